# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The file of the rows of a prediction, which a later run continues.

    with Journal('predictions.jsonl', settings, notes) as journal:
        for row in journal.rows():                    # of the runs before
            ...
        journal.add([row])
        journal.finish()

The journal is a file of JSON lines, to which only one process writes. A row that is there is never computed again. All
rows of a video are added at once. The journal of FILE.jsonl is that file itself; that of FILE.csv or FILE.parquet is
FILE.csv.rows.jsonl beside it, from which the other form is made at the end.
"""
import contextlib
import json
import os

from tqdm import tqdm

from r2plus1d.files import InputError, log, read_json, write_all, write_json
from r2plus1d.folders import locked
from r2plus1d.interruptions import naming
from r2plus1d.predictions import describe_row, write_csv, write_parquet

FORMATS = ('.jsonl', '.csv', '.parquet')
SETTINGS_ENDING = '.settings.json'


def encode_row(row):
    """A row as a line of bytes."""
    with contextlib.suppress(UnicodeEncodeError):  # of a file name that is not UTF-8
        return json.dumps(row, ensure_ascii=False).encode() + b'\n'
    return json.dumps(row).encode() + b'\n'


def journal_path(output):
    return output if output.endswith('.jsonl') else f'{output}.rows.jsonl'


class Journal:
    """The rows of a prediction, to be used in a with statement, which no second process may enter at the same time.

    SETTINGS: a dict of what the rows depend on; a run with other settings is refused. NOTES: a dict that is written
    beside them and compared with nothing.
    """

    def __init__(self, output, settings, notes):
        self.output = output
        self.path = journal_path(output)
        self.settings = settings
        self.notes = notes
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        with self.stack as stack:
            stack.enter_context(locked(self.output))
            self.check_settings()
            with naming(self.path):
                self.file = stack.enter_context(open(self.path, 'ab', buffering=0))
            self.cut_torn_end()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def check_settings(self):
        """Write the settings beside the output, or compare them with those that are there."""
        path = self.output + SETTINGS_ENDING
        has_rows = os.path.exists(self.path) and os.path.getsize(self.path) > 0
        if not has_rows:
            if os.path.exists(self.output) and self.output != self.path:
                raise InputError(f'{self.output}: is there without {self.path}, by which it could be continued; '
                                 'move it away or give another --output')
            write_json(path, {'settings': self.settings, 'notes': self.notes})
            return
        content = read_json(path, f'the rows in {self.path} cannot be continued without it; give another --output')
        before = content.get('settings') if isinstance(content, dict) else None
        if not isinstance(before, dict):
            raise InputError(f'{path}: is not the settings of a prediction; give another --output')
        for name in sorted({*before, *self.settings}):
            old, new = before.get(name), self.settings.get(name)
            if old != new:
                raise InputError(f'{self.output}: {name} was {json.dumps(old)} and is {json.dumps(new)} now; '
                                 'give another --output, or what it was begun with')

    def cut_torn_end(self):
        """Cut off what a killed run has left at the end: part of a line, or some rows of a video without the rest."""
        whole = 0  # bytes up to the end of the last video
        position = 0
        for line, row in self.lines():
            position += len(line)
            if row is not None and row.get('window', 0) == row.get('windows', 1) - 1:
                whole = position
        size = os.path.getsize(self.path)
        if whole < size:
            log(f'{self.path}: its last {size - whole} bytes are no whole row; they are cut off')
            self.file.truncate(whole)

    def lines(self):
        """(line, row) of all lines; the row is None where the last line has no end. Raises InputError."""
        with naming(self.path), open(self.path, 'rb') as f:
            for number, line in enumerate(f, 1):
                if not line.endswith(b'\n'):
                    yield line, None
                    return
                try:
                    row = json.loads(line)
                    row['id'] + row['path']  # they are texts
                except (ValueError, TypeError, KeyError):
                    raise InputError(f'{self.path}: line {number} is not a row of a prediction; '
                                     'give another --output')
                yield line, row

    def rows(self):
        for _, row in self.lines():
            yield row

    def add(self, rows):
        """Add all rows of a video. An OSError names the file."""
        with naming(self.path):
            write_all(self.file, b''.join(map(encode_row, rows)))

    def remove_failed(self):
        """Take the videos with errors out, so that they are tried again."""
        failed = {row['path'] for row in self.rows() if 'error' in row}
        if not failed:
            return
        part = self.path + '.part'
        with naming(part), open(part, 'wb') as f:
            for line, row in self.lines():
                if row['path'] not in failed:
                    f.write(line)
        os.replace(part, self.path)
        self.file.close()
        self.file = self.stack.enter_context(open(self.path, 'ab', buffering=0))
        log(f'{len(failed)} videos with errors are tried again')

    def finish(self):
        """Make the .csv or .parquet file of all rows."""
        if self.output.endswith('.csv'):
            write_csv(self.output, self.rows())
        elif self.output.endswith('.parquet'):
            write_parquet(self.output, self.rows())


class Printer:
    """Takes the place of a Journal where there is no --output: the rows are printed, and nothing is kept."""

    def __init__(self, says_errors):
        self.says_errors = says_errors

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def rows(self):
        return ()

    def add(self, rows):
        for row in rows:
            if 'error' not in row:
                tqdm.write(describe_row(row))
            elif self.says_errors:
                log(row['error'])

    def remove_failed(self):
        pass

    def finish(self):
        pass
