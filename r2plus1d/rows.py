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
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from r2plus1d.store import whole_file

FORMULA = ('=', '+', '-', '@', '\t', '\r')  # a spreadsheet takes a cell that begins so for a formula
MOST = 2**63  # numbers of a row are below this, as Parquet has them
MOST_CLASSES = 10**6
ROWS_AT_ONCE = 10000  # in memory, of those that go to Parquet
ARROW_TYPES = {str: 'string', int: 'int64', float: 'double'}

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
    file_bytes, file_time: see file_stamp().
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

    def columns(self) -> List[Column]:
        """Those that this row has."""
        kinds = {EVERY: True, PREDICTION: self.error is None, ERROR: self.error is not None,
                 WINDOW: self.window is not None, LABELLED: self.error is None and self.label_index is not None}
        return [column for column in COLUMNS if kinds[column.kind]]

    def to_json(self) -> Dict[str, Any]:
        return {column.name: getattr(self, column.name) for column in self.columns()}

    @classmethod
    def from_json(cls, content: object) -> Row:
        """Raises ValueError, which says what is wrong."""
        if not isinstance(content, dict):
            raise ValueError('no JSON object')
        values = {column.name: content[column.name] for column in COLUMNS if content.get(column.name) is not None}
        wrong = [column.name for column in COLUMNS if column.name in values and not column.takes(values[column.name])]
        if wrong:
            raise ValueError(f'its {wrong[0]} has another type or is out of range')
        row = cls(**{'id': '', 'path': '', **values})
        missing = [column.name for column in row.columns() if column.needed and column.name not in values]
        if missing or 'label' not in content:
            raise ValueError(f'it has no {[*missing, "label"][0]}')
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
    """A field of Row. ITEM: str, int or float; of a list where IS_LIST. The rest is of of()."""

    name: str
    item: type
    is_list: bool
    kind: str = EVERY
    needed: bool = True
    most: int = MOST

    def takes(self, value: object) -> bool:
        """Whether a value from a JSON file is of this column."""
        if isinstance(value, list):
            return self.is_list and all(map(self.takes_item, value))
        return not self.is_list and self.takes_item(value)

    def takes_item(self, value: object) -> bool:
        if self.item is str:
            return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return 0 <= value < self.most and (self.item is float or isinstance(value, int))

    def arrow_type(self) -> Any:
        import pyarrow as pa
        item = pa.type_for_alias(ARROW_TYPES[self.item])
        return pa.list_(item) if self.is_list else item


def columns_of(form: type) -> List[Column]:
    """The columns by the type hints of a dataclass, which are T, Optional[T] or Optional[List[T]]."""
    columns = []
    hints = typing.get_type_hints(form)
    for column in dataclasses.fields(form):
        hint, *_ = typing.get_args(hints[column.name]) or [hints[column.name]]
        item, = typing.get_args(hint) or [hint]
        columns.append(Column(column.name, item, item is not hint, **column.metadata))
    return columns


COLUMNS = columns_of(Row)


def file_stamp(path: str) -> Tuple[Optional[int], Optional[float]]:
    """By what a video is known again: its size, and when it was changed (seconds since 1970). None: unknown."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # it is gone, or its name has a zero byte
        return None, None
    return status.st_size, max(0, status.st_mtime_ns // 10**6) / 1000


# ---- forms ---------------------------------------------------------------------------------------------


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
        writer = csv.DictWriter(f, [column.name for column in COLUMNS])
        writer.writeheader()
        for row in rows:
            writer.writerow({name: csv_cell(value) for name, value in row.to_json().items()})


def write_parquet(path: str, rows: Iterable[Row]) -> None:
    """A Parquet file that appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet
    schema = pa.schema([(column.name, column.arrow_type()) for column in COLUMNS])
    rest = iter(rows)
    with whole_file(path) as part, pyarrow.parquet.ParquetWriter(part, schema) as writer:
        for row in rest:
            some = [row, *itertools.islice(rest, ROWS_AT_ONCE)]
            content = [{name: readable(value) for name, value in row.to_json().items()} for row in some]
            writer.write_table(pa.Table.from_pylist(content, schema))


def readable(value: Any) -> Any:
    """A text, or a list of texts, for what takes only UTF-8: the bytes of a file name that are none are written out."""
    if isinstance(value, list):
        return [readable(item) for item in value]
    return value.encode('utf-8', 'backslashreplace').decode() if isinstance(value, str) else value


WRITERS: Dict[str, Callable[[str, Iterable[Row]], None]] = {'.csv': write_csv, '.parquet': write_parquet}
FORMATS = ('.jsonl', *WRITERS)  # endings of an output
