# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The file of the rows of a prediction, which a later run continues.

    with open_rows_file('predictions.csv', settings, paths, retry_failed=False) as rows_file:
        for rows in rows_file.videos():               # of the runs before
            ...
        rows_file.add([row])
        rows_file.finish()                            # writes the CSV

It is a file of JSON lines, to which only one process writes. A row that is there is not computed again. All rows of a
video are added at once. For an output FILE.jsonl it is that file itself; for FILE.csv and FILE.parquet it lies beside
it, as FILE.csv.rows.jsonl, and the other form is made from it at the end.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import functools
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from r2plus1d.engines import choose_backend, make_engine
from r2plus1d.json_forms import COUNT, FLAG, TEXT, Check, Form, field, is_count, json_digest, one_of, write_json
from r2plus1d.models import is_quantized, load_onnx
from r2plus1d.precision import AUTO, CPU_PRECISIONS, computed_in
from r2plus1d.rows import WRITERS, Row, file_stamp, json_line
from r2plus1d.run import InputError, log
from r2plus1d.store import PART_ENDING, claim, file_digest, naming, remove_tree, whole_file, write_all

SETTINGS_ENDING = '.settings.json'
SECONDS = Check(lambda value: is_count(value) or isinstance(value, float) and value > 0, 'seconds')


@dataclasses.dataclass(frozen=True)
class RowsSettings(Form):
    """What the rows of a file depend on: a run with others does not continue it. The first three are digests."""

    VERSION = 2
    REMEDY = 'give another --output'

    model: str = field(TEXT, identity=True)
    test_pipeline: str = field(TEXT, identity=True)
    classes: str = field(TEXT, identity=True)
    topk: int = field(COUNT, identity=True)
    average_clips: str = field(one_of('score', 'prob'), identity=True)
    every: Optional[float] = field(SECONDS.or_null(), identity=True)
    backend: str = field(TEXT, identity=True)
    precision: str = field(TEXT, identity=True)
    allow_damaged: bool = field(FLAG, identity=True)
    model_file: str = field(TEXT)
    config_file: str = field(TEXT)
    classes_file: str = field(TEXT)

    @classmethod
    def of(cls, args: argparse.Namespace, cfg: Any, precision: str) -> RowsSettings:
        same = ('topk', 'average_clips', 'every', 'backend', 'allow_damaged')
        return cls(
            model=file_digest(args.model), test_pipeline=json_digest(cfg.data.test.pipeline),
            classes=json_digest(args.classes.names), precision=precision, model_file=args.model,
            config_file=args.config, classes_file=args.classes.source, **{name: getattr(args, name) for name in same})


def noted_precision(output: Optional[str], model: str) -> Optional[str]:
    """The value of --precision by which the rows of an OUTPUT were made with this MODEL; None where there are none."""
    if output is None or not has_rows(output):
        return None
    before = RowsSettings.read(output + SETTINGS_ENDING)
    return before.precision if before.precision in CPU_PRECISIONS and before.model == file_digest(model) else None


def settle_precision(args: argparse.Namespace) -> str:
    """What the model is computed in by all machines of a cluster. Where --precision is auto, it becomes f32, the only
    one that all of them have, or on this machine the fastest one.
    """
    if choose_backend(args.model, args.backend) == 'ais_bench':
        return 'as converted'
    if args.precision == AUTO:
        is_local = args.ray == 'local'
        args.precision = make_engine(args.model, args.backend, AUTO).precision if is_local else 'f32'
    return computed_in(args.model, args.precision, is_quantized(load_onnx(args.model)))


def rows_path(output: str) -> str:
    return output if output.endswith('.jsonl') else f'{output}.rows.jsonl'


def has_rows(output: str) -> bool:
    path = rows_path(output)
    return os.path.exists(path) and os.path.getsize(path) > 0


# ---- the file ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_rows_file(output: str, settings: RowsSettings, paths: Sequence[str], retry_failed: bool) -> Iterator[RowsFile]:
    """The RowsFile of an OUTPUT, which no second process may open at the same time. PATHS: of this run's videos.

    The rows of those that were replaced, or with RETRY_FAILED have errors, are gone. Raises InputError where rows are
    there that were made by other SETTINGS.
    """
    path = rows_path(output)
    endings = [PART_ENDING, SETTINGS_ENDING + PART_ENDING, path[len(output):] + PART_ENDING]
    with claim(output, inputs=(settings.model_file, settings.config_file, settings.classes_file), endings=endings):
        for ending in endings:  # what killed runs have left
            remove_tree(output + ending)
        check_settings(output, settings)
        with open(path, 'ab', buffering=0):
            pass
        clean(path, functools.partial(why_again, set(paths), retry_failed))
        with open(path, 'ab', buffering=0) as f:
            yield RowsFile(output, f)


def check_settings(output: str, settings: RowsSettings) -> None:
    """Write the settings beside the output, or compare them with those that are there."""
    path = output + SETTINGS_ENDING
    if not has_rows(output):
        if os.path.exists(output) and not output.endswith('.jsonl'):
            raise InputError(f'{output}: is there without {rows_path(output)}, by which it could be continued; '
                             'move it away or give another --output')
        if os.path.lexists(path):
            RowsSettings.read(path)  # it refuses what these scripts did not write
        write_json(path, settings.to_json())
        return
    before = RowsSettings.read(path)
    for name in settings.differences(before):
        old, new = json.dumps(getattr(before, name)), json.dumps(getattr(settings, name))
        raise InputError(f'{output}: {name} was {old} and is {new} now; give another --output, or what it was begun '
                         'with')


def why_again(paths: Set[str], retry_failed: bool, row: Row) -> Optional[str]:
    """Why the video of a row of an earlier run is to be predicted again; None where the row stays."""
    if row.path not in paths:
        return None
    now, before = file_stamp(row.path), (row.file_bytes, row.file_time)
    if None not in (now[0], before[0]) and now != before:
        return 'their files are others than those before, by size or time'
    return 'they had errors' if retry_failed and row.error is not None else None


def clean(path: str, outdated: Callable[[Row], Optional[str]]) -> None:
    """Take out what a killed run has left at the end, what stands twice, and the videos that are outdated.

    A killed run leaves a part of a line, or some rows of a video without the rest. Of rows that stand twice, the last
    one stays.
    """
    size = number = 0  # of the whole lines
    last: Dict[str, int] = {}  # id: number of its last line
    part: Dict[str, int] = {}  # the same of the rows of a video that is not complete
    reasons: Dict[str, str] = {}  # by path
    for number, (line, row) in enumerate(read_rows_with_lines(path), 1):
        size += len(line)
        part[row.id] = number
        reason = outdated(row)
        if reason:
            reasons[row.path] = reason
        if row.is_last_of_video():
            last.update(part)
            part.clear()
    for reason, count in collections.Counter(reasons.values()).items():
        log(f'{path}: {count} videos are predicted again: {reason}')
    if not reasons and len(last) == number and size == os.path.getsize(path):
        return
    kept = set(last.values())
    with whole_file(path) as new, open(new, 'wb') as f:
        f.writelines(line for number, (line, row) in enumerate(read_rows_with_lines(path), 1)
                     if number in kept and row.path not in reasons)


def read_rows_with_lines(path: str) -> Iterator[Tuple[bytes, Row]]:
    """All lines with their rows, without a last one that has no end. Raises InputError."""
    with naming(path), open(path, 'rb') as f:
        for number, line in enumerate(f, 1):
            if not line.endswith(b'\n'):
                return
            try:
                row = Row.from_json(json.loads(line))
            except (ValueError, RecursionError) as e:
                what = 'is not JSON' if isinstance(e, (json.JSONDecodeError, RecursionError)) else e
                raise InputError(f'{path}: line {number} is not a row of a prediction: {what}; give another --output')
            yield line, row


@dataclasses.dataclass(frozen=True)
class RowsFile:
    """The rows of a prediction for an OUTPUT. FILE: that of the rows, unbuffered."""

    output: str
    file: BinaryIO

    def rows(self) -> Iterator[Row]:
        return (row for _, row in read_rows_with_lines(rows_path(self.output)))

    def videos(self) -> Iterator[List[Row]]:
        """The rows of one video after another."""
        rows = []
        for row in self.rows():
            rows.append(row)
            if row.is_last_of_video():
                yield rows
                rows = []

    def add(self, rows: Sequence[Row]) -> None:
        """Add all rows of a video. An OSError names the file."""
        with naming(rows_path(self.output)):
            write_all(self.file, b''.join(map(json_line, rows)))

    def finish(self) -> None:
        """Make the .csv or .parquet file of all rows."""
        write = WRITERS.get(os.path.splitext(self.output)[1])
        if write:
            write(os.path.realpath(self.output), self.rows())  # a link stays
