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
from typing import BinaryIO, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from tqdm import tqdm

from r2plus1d.precision import CPU_PRECISIONS
from r2plus1d.rows import Row, describe_row, json_line, write_csv, write_parquet
from r2plus1d.run import InputError, log
from r2plus1d.store import file_digest, locked, naming, read_json, whole_file, write_all, write_json

FORMATS = ('.jsonl', '.csv', '.parquet')
SETTINGS_ENDING = '.settings.json'
VERSION = 2  # of the rows and their settings; the first one had no number, and no class_indices in its rows


# ---- settings ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the rows of a file depend on. A run with other settings does not continue it. model, test_pipeline, classes:
    digests. NOTES: is compared with nothing.
    """

    model: str
    test_pipeline: str
    classes: str
    topk: int
    average_clips: str
    every: Optional[float]
    backend: str
    precision: str
    allow_damaged: bool
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def compare(self, before: Mapping[str, object], output: str) -> None:
        """Raise InputError where the settings BEFORE, of the OUTPUT, were others."""
        now = dataclasses.asdict(self)
        del now['notes']
        for name in sorted({*before, *now}):
            old, new = before.get(name), now.get(name)
            if old != new:
                raise InputError(f'{output}: {name} was {json.dumps(old)} and is {json.dumps(new)} now; '
                                 'give another --output, or what it was begun with')


def write_settings(output: str, settings: Settings) -> None:
    content = dataclasses.asdict(settings)
    notes = content.pop('notes')
    write_json(output + SETTINGS_ENDING, {'version': VERSION, 'settings': content, 'notes': notes})


def read_settings(output: str) -> Dict[str, object]:
    """The settings of the rows of an OUTPUT. Raises InputError where there are none, or those of another version."""
    path = output + SETTINGS_ENDING
    content = read_json(path, f'{output} cannot be continued without it; give another --output')
    before = content.get('settings') if isinstance(content, dict) else None
    if not isinstance(before, dict):
        raise InputError(f'{path}: is not the settings of a prediction; give another --output')
    if content.get('version') != VERSION:
        raise InputError(f'{path}: is of version {content.get("version", 1)} of these scripts\' rows, and this is '
                         f'version {VERSION}; give another --output')
    return before


def noted_precision(output: Optional[str], model: str) -> Optional[str]:
    """The value of --precision by which the rows of an OUTPUT were made with this MODEL; None where there are none."""
    if output is None or not has_rows(output):
        return None
    before = read_settings(output)
    precision = before.get('precision')
    return str(precision) if precision in CPU_PRECISIONS and before.get('model') == file_digest(model) else None


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
        self.path = journal_path(output)
        self.settings = settings
        self.outdated = outdated
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Journal:
        with self.stack as stack:
            stack.enter_context(locked(self.output))
            self.check_settings()
            self.open()
            self.clean()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stack.close()

    def check_settings(self) -> None:
        """Write the settings beside the output, or compare them with those that are there."""
        if has_rows(self.output):
            self.settings.compare(read_settings(self.output), self.output)
            return
        if os.path.exists(self.output) and self.output != self.path:
            raise InputError(f'{self.output}: is there without {self.path}, by which it could be continued; '
                             'move it away or give another --output')
        write_settings(self.output, self.settings)

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
        if self.output.endswith('.csv'):
            write_csv(self.output, self.rows())
        elif self.output.endswith('.parquet'):
            write_parquet(self.output, self.rows())


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
