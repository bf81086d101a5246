# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The file of the rows of a prediction, which a later run continues.

    with Journal('predictions.jsonl', settings, outdated) as journal:
        for row in journal.rows():                    # of the runs before
            ...
        journal.add([row])
        journal.finish()

The journal is a file of JSON lines, to which only one process writes. A row that is there is not computed again. All
rows of a video are added at once. The journal of FILE.jsonl is that file itself; that of FILE.csv or FILE.parquet is
FILE.csv.rows.jsonl beside it, from which the other form is made at the end.
"""
from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple

from tqdm import tqdm

from r2plus1d.forms import COUNT, FLAG, TEXT, Check, Form, field, is_count, one_of, write_json
from r2plus1d.precision import CPU_PRECISIONS
from r2plus1d.rows import Row, describe_row, json_line, write_csv, write_parquet
from r2plus1d.run import InputError, log
from r2plus1d.store import PART_ENDING, claim, file_digest, naming, remove_tree, whole_file, write_all

FORMATS = ('.jsonl', '.csv', '.parquet')
SETTINGS_ENDING = '.settings.json'
SECONDS = Check(lambda value: is_count(value) or isinstance(value, float) and value > 0, 'seconds')


# ---- settings ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings(Form):
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
    def lift(cls, content: Dict[str, Any]) -> Dict[str, Any]:
        """Of version 1, whose rows have no class_indices: those with predictions are refused when they are read."""
        settings = content.get('settings')
        if not isinstance(settings, dict):
            return content
        return {'test_pipeline': settings.get('test pipeline of the config'), **settings}

    def check_same(self, before: Settings, output: str) -> None:
        """Raise InputError where the settings BEFORE, of the OUTPUT, were others."""
        for name in self.differences(before):
            old, new = json.dumps(getattr(before, name)), json.dumps(getattr(self, name))
            raise InputError(f'{output}: {name} was {old} and is {new} now; give another --output, or what it was '
                             'begun with')


def noted_precision(output: Optional[str], model: str) -> Optional[str]:
    """The value of --precision by which the rows of an OUTPUT were made with this MODEL; None where there are none."""
    if output is None or not has_rows(output):
        return None
    before = Settings.read(output + SETTINGS_ENDING)
    return before.precision if before.precision in CPU_PRECISIONS and before.model == file_digest(model) else None


def journal_path(output: str) -> str:
    return output if output.endswith('.jsonl') else f'{output}.rows.jsonl'


def has_rows(output: str) -> bool:
    path = journal_path(output)
    return os.path.exists(path) and os.path.getsize(path) > 0


# ---- the journal ---------------------------------------------------------------------------------------


class Journal:
    """The rows of a prediction, to be used in a with statement, which no second process may enter at the same time.

    OUTDATED: a function of a row; it says why the video of this row is to be predicted anew, or None.
    """

    file: BinaryIO

    def __init__(self, output: str, settings: Settings, outdated: Callable[[Row], Optional[str]]) -> None:
        self.output = output
        self.inputs = (settings.model_file, settings.config_file, settings.classes_file)
        self.path = journal_path(output)
        self.settings = settings
        self.outdated = outdated
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Journal:
        with self.stack as stack:
            endings = [PART_ENDING, SETTINGS_ENDING + PART_ENDING, self.path[len(self.output):] + PART_ENDING]
            stack.enter_context(claim(self.output, inputs=self.inputs, endings=endings))
            for ending in endings:  # what killed runs have left
                remove_tree(self.output + ending)
            self.check_settings()
            self.open()
            self.clean()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def check_settings(self) -> None:
        """Write the settings beside the output, or compare them with those that are there."""
        path = self.output + SETTINGS_ENDING
        if has_rows(self.output):
            self.settings.check_same(Settings.read(path), self.output)
            return
        if os.path.exists(self.output) and self.output != self.path:
            raise InputError(f'{self.output}: is there without {self.path}, by which it could be continued; '
                             'move it away or give another --output')
        if os.path.lexists(path):
            Settings.read(path)  # it refuses what these scripts did not write
        write_json(path, self.settings.to_json())

    def open(self) -> None:
        with naming(self.path):
            self.file = self.stack.enter_context(open(self.path, 'ab', buffering=0))

    def clean(self) -> None:
        """Take out what a killed run has left at the end, what stands twice, and the videos that are outdated.

        A killed run leaves a part of a line, or some rows of a video without the rest. Of rows that stand twice, the
        last one stays.
        """
        whole = position = count = 0  # whole: bytes up to the end of the last video; count: of the rows until there
        last: Dict[str, int] = {}  # id: number of its last line
        reasons: Dict[str, str] = {}  # by path
        video: List[Row] = []
        for line, row in self.lines():
            position += len(line)
            video += [row] if row else []
            if row is None or not row.is_last_of_video():
                continue
            last.update((each.id, count + number) for number, each in enumerate(video))
            reasons.update((each.path, reason) for each in video for reason in [self.outdated(each)] if reason)
            whole, count, video = position, count + len(video), []
        size = os.path.getsize(self.path)
        if whole < size:
            log(f'{self.path}: its last {size - whole} bytes are no whole row; they are cut off')
            self.file.truncate(whole)
        for reason, number in collections.Counter(reasons.values()).items():
            log(f'{self.path}: {number} videos are predicted again: {reason}')
        if reasons or len(last) < count:
            self.rewrite(reasons.keys(), set(last.values()) if len(last) < count else None)

    def rewrite(self, paths: Iterable[str], numbers: Optional[Set[int]]) -> None:
        """Leave out the rows of videos with these PATHS, and lines whose NUMBERS are not given."""
        gone = set(paths)
        with whole_file(self.path) as part, open(part, 'wb') as f:
            for number, (line, row) in enumerate(self.lines()):
                if row is not None and row.path not in gone and (numbers is None or number in numbers):
                    f.write(line)
        self.file.close()
        self.open()

    def lines(self) -> Iterator[Tuple[bytes, Optional[Row]]]:
        """All lines with their rows; the row is None where the last line has no end. Raises InputError."""
        with naming(self.path), open(self.path, 'rb') as f:
            for number, line in enumerate(f, 1):
                if not line.endswith(b'\n'):
                    yield line, None
                    return
                try:
                    row = Row.from_json(json.loads(line))
                except (ValueError, RecursionError) as e:
                    what = 'is not JSON' if isinstance(e, (json.JSONDecodeError, RecursionError)) else e
                    raise InputError(f'{self.path}: line {number} is not a row of a prediction: {what}; '
                                     'give another --output')
                yield line, row

    def rows(self) -> Iterator[Row]:
        for _, row in self.lines():
            if row is not None:
                yield row

    def add(self, rows: Sequence[Row]) -> None:
        """Add all rows of a video. An OSError names the file."""
        with naming(self.path):
            write_all(self.file, b''.join(map(json_line, rows)))

    def finish(self) -> None:
        """Make the .csv or .parquet file of all rows."""
        path = os.path.realpath(self.output)  # a link stays
        if self.output.endswith('.csv'):
            write_csv(path, self.rows())
        elif self.output.endswith('.parquet'):
            write_parquet(path, self.rows())


class Printer:
    """Takes the place of a Journal where there is no --output: the rows are printed, and nothing is kept."""

    def __init__(self, says_errors: bool) -> None:
        self.says_errors = says_errors

    def __enter__(self) -> Printer:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def rows(self) -> Sequence[Row]:
        return ()

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row.error is None:
                tqdm.write(describe_row(row))
            elif self.says_errors:
                log(row.error)

    def finish(self) -> None:
        pass
