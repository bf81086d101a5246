# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A row of a prediction, and its forms: JSON lines, CSV and Parquet.

    row = Row.from_json(json.loads(line))
    write_csv('rows.csv', [row])

Row is the only declaration of the columns: a field that is added there is checked when a row is read, and stands in all
forms. r2plus1d/predictions.py makes the rows.
"""
from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import os
import typing
from typing import Any, Dict, Iterable, List, Optional

from r2plus1d.run import InputError, printable
from r2plus1d.store import whole_file

FORMULA = ('=', '+', '-', '@', '\t', '\r')  # a spreadsheet takes a cell that begins so for a formula
MOST = 2**63  # numbers of a row are below this, as Parquet has them
MOST_CLASSES = 10**6

# Which rows have a field.
EVERY, LABELLED, PREDICTION, WINDOW, ERROR = 'every', 'labelled', 'prediction', 'window', 'error'


def of(kind: str, needed: bool = True, most: int = MOST) -> Any:
    """A field that the rows of this KIND have; where it is not NEEDED, it may be null in them. Numbers are below MOST.
    """
    return dataclasses.field(default=None, metadata={'kind': kind, 'needed': needed, 'most': most})


@dataclasses.dataclass(frozen=True)
class Row:
    """The prediction for a video or for a window of it, or the error in its place. In this order stand the columns.

    label: the name of the true class, null where it is unknown. label_rank: how many classes are at least as probable
    as the label, itself included; 1 where the prediction is right. classes: the most probable ones, in falling order,
    with their numbers (from 0) and probabilities. frames: how many were counted, in the window where there is one.
    file_bytes, file_time: size and time of change (seconds since 1970) of the video when it was predicted.
    """

    id: str
    path: str
    label: Optional[str] = of(EVERY, needed=False)
    label_index: Optional[int] = of(EVERY, needed=False, most=MOST_CLASSES)
    label_rank: Optional[int] = of(LABELLED)
    classes: Optional[List[str]] = of(PREDICTION)
    class_indices: Optional[List[int]] = of(PREDICTION, most=MOST_CLASSES)
    probabilities: Optional[List[float]] = of(PREDICTION)
    frames: Optional[int] = of(PREDICTION, needed=False)
    duration_s: Optional[float] = of(PREDICTION, needed=False)
    window: Optional[int] = of(WINDOW)
    windows: Optional[int] = of(WINDOW)
    start_s: Optional[float] = of(WINDOW)
    end_s: Optional[float] = of(WINDOW)
    file_bytes: Optional[int] = of(EVERY, needed=False)
    file_time: Optional[float] = of(EVERY, needed=False)
    error: Optional[str] = of(ERROR)

    def kinds(self) -> List[str]:
        kinds = [EVERY, PREDICTION if self.error is None else ERROR]
        if self.window is not None:
            kinds.append(WINDOW)
        if self.label_index is not None and self.error is None:
            kinds.append(LABELLED)
        return kinds

    def to_json(self) -> Dict[str, Any]:
        kinds = self.kinds()
        return {column.name: getattr(self, column.name) for column in COLUMNS if column.kind in kinds}

    @classmethod
    def from_json(cls, content: object) -> Row:
        """Raises ValueError, which says what is wrong."""
        if not isinstance(content, dict):
            raise ValueError('no JSON object')
        values = {column.name: content[column.name] for column in COLUMNS if content.get(column.name) is not None}
        for column in COLUMNS:
            if column.name in values and not column.takes(values[column.name]):
                raise ValueError(f'its {column.name} is not {column.words()}')
        row = cls(**{'id': '', 'path': '', **values})
        kinds = row.kinds()
        needed = ['label', *(column.name for column in COLUMNS if column.needed and column.kind in kinds)]
        for name in needed:
            if name not in values and (name != 'label' or name not in content):
                raise ValueError(f'it has no {name}')
        if (row.label is None) != (row.label_index is None):
            raise ValueError('of its label and label_index, one is null')
        lengths = {len(value or ()) for value in (row.classes, row.class_indices, row.probabilities)}
        if row.error is None and (len(lengths) > 1 or not row.classes):
            raise ValueError('its classes, class_indices and probabilities are not of one length')
        return row

    def is_last_of_video(self) -> bool:
        return self.window is None or self.windows is None or self.window == self.windows - 1


@dataclasses.dataclass(frozen=True)
class Column:
    """A field of Row. ITEM: str, int or float; of a list where IS_LIST."""

    name: str
    item: type
    is_list: bool
    kind: str
    needed: bool
    most: int

    def takes(self, value: object) -> bool:
        """Whether a value from a JSON file is of this column."""
        if self.is_list:
            return isinstance(value, list) and all(map(self.takes_item, value))
        return self.takes_item(value)

    def takes_item(self, value: object) -> bool:
        if self.item is str:
            return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return 0 <= value < self.most and (self.item is float or isinstance(value, int))

    def words(self) -> str:
        name = {str: 'text', int: 'whole numbers' if self.is_list else 'a whole number', float: 'numbers'}[self.item]
        return f'a list of {name}' if self.is_list else name.rstrip('s') if self.item is float else name

    def arrow_type(self) -> Any:
        import pyarrow as pa
        item = {str: pa.string(), int: pa.int64(), float: pa.float64()}[self.item]
        return pa.list_(item) if self.is_list else item


def columns_of(form: type) -> List[Column]:
    """The columns by the type hints of a dataclass, which are T, Optional[T] or Optional[List[T]]."""
    columns = []
    hints = typing.get_type_hints(form)
    for field in dataclasses.fields(form):
        hint = hints[field.name]
        if typing.get_origin(hint) is typing.Union:
            hint = typing.get_args(hint)[0]
        is_list = typing.get_origin(hint) is list
        columns.append(Column(field.name, typing.get_args(hint)[0] if is_list else hint, is_list,
                              **{'kind': EVERY, 'needed': True, 'most': MOST, **field.metadata}))
    return columns


COLUMNS = columns_of(Row)


@dataclasses.dataclass(frozen=True)
class FileStamp:
    """By what a video is known again: its size, and when it was changed (seconds since 1970). None: unknown."""

    file_bytes: Optional[int] = None
    file_time: Optional[float] = None

    @classmethod
    def of(cls, path: str) -> FileStamp:
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # it is gone, or its name has a zero byte
            return cls()
        return cls(status.st_size, max(0, status.st_mtime_ns // 10**6) / 1000)

    def is_other_than(self, row: Row) -> bool:
        """Whether the video of a row was replaced by another file since."""
        return None not in (self.file_bytes, row.file_bytes) and self != FileStamp(row.file_bytes, row.file_time)


# ---- forms ---------------------------------------------------------------------------------------------


def describe_row(row: Row) -> str:
    """A row as a person reads it: the name of the video, then a line for each class."""
    head = printable(row.path)
    if row.start_s is not None:
        head += f', {row.start_s:g} s to {row.end_s:g} s'
    lines = [f'{probability:.4f} {name}' for probability, name in zip(row.probabilities or (), row.classes or ())]
    return '\n'.join([head, *map(printable, lines)])


def json_line(row: Row) -> bytes:
    content = row.to_json()
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b'\n'
    except UnicodeEncodeError:  # of a file name that is not UTF-8
        return json.dumps(content).encode() + b'\n'


def csv_cell(value: object) -> object:
    """A list is a JSON text. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def write_csv(path: str, rows: Iterable[Row]) -> None:
    """A CSV file that appears whole or not at all."""
    with whole_file(path) as part, open(part, 'w', newline='', encoding='utf-8', errors='surrogateescape') as f:
        writer = csv.writer(f)
        writer.writerow([column.name for column in COLUMNS])
        for row in rows:
            content = row.to_json()
            writer.writerow([csv_cell(content.get(column.name)) for column in COLUMNS])


def require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError('a .parquet file needs pyarrow: pip install pyarrow, or give --output a name that ends with '
                         '.jsonl or .csv')


def write_parquet(path: str, rows: Iterable[Row], rows_at_once: int = 10000) -> None:
    """A Parquet file that appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet
    schema = pa.schema([(column.name, column.arrow_type()) for column in COLUMNS])
    rest = iter(rows)
    with whole_file(path) as part, pyarrow.parquet.ParquetWriter(part, schema) as writer:
        while True:
            some = [{name: readable(value) for name, value in row.to_json().items()}
                    for row in itertools.islice(rest, rows_at_once)]
            if not some:
                break
            writer.write_table(pa.Table.from_pylist(some, schema))


def readable(value: Any) -> Any:
    """A text, or a list of texts, for what takes only UTF-8: the bytes of a file name that are none are written out."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    return value.encode('utf-8', 'backslashreplace').decode() if isinstance(value, str) else value
