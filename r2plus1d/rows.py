# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Predictions: the row of a video, the files in which rows can be written, and the accuracy of many rows.

    row = make_row(task, scores, facts, names, topk, average_clips)

A row is a dict: id, path, label, label_rank, classes, probabilities, frames, duration_s; or id, path, label, error.
Rows of windows have window, windows, start_s and end_s as well. r2plus1d/rows.py keeps the rows.

The file of the rows of a prediction, which a later run continues.

    with Journal('predictions.jsonl', settings, notes) as journal:
        for row in journal.rows():                    # of the runs before
            ...
        journal.add([row])
        journal.finish()

The journal is a file of JSON lines, to which only one process writes. A row that is there is never computed again. All
rows of a video are added at once. The journal of FILE.jsonl is that file itself; that of FILE.csv or FILE.parquet is
FILE.csv.rows.jsonl beside it, from which the other form is made at the end.
"""
import array
import contextlib
import csv
import io
import itertools
import json
import os

import numpy as np
from tqdm import tqdm

from r2plus1d.classes import class_name
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax
from r2plus1d.run import InputError, log, printable
from r2plus1d.store import locked, naming, read_json, write_all, write_json, write_whole

COLUMNS = ('id', 'path', 'label', 'label_rank', 'classes', 'probabilities', 'frames', 'duration_s', 'window', 'windows',
           'start_s', 'end_s', 'error')
DIGITS = 7  # of a probability after the point


# ---- rows ----------------------------------------------------------------------------------------------


def begin_row(task, names):
    """What the rows of a prediction and of an error have in common."""
    video = task.video
    row = {'id': video.path, 'path': video.path, 'label': None}
    if video.label is not None:
        row['label'] = class_name(names, video.label)
    window = task.window
    if window is not None:
        row['id'] = f'{video.path}#{window.start_s:g}'
        row.update(window=window.number, windows=window.count, start_s=window.start_s, end_s=window.end_s)
    return row


def error_row(task, fault, names):
    return dict(begin_row(task, names), error=fault)


def make_row(task, scores, facts, names, topk, average_clips):
    """The row of a task. SCORES: crops x classes. FACTS: of its video.

    label_rank: how many classes are at least as probable as the label, itself included: 1 where the prediction is
    right. The order is that of mmaction2's top_k_accuracy.
    """
    if not np.isfinite(scores).all():
        return error_row(task, f'{task.video.path}: the outputs of the model are not finite', names)
    averaged = average_crops(scores[None], average_clips)[0]
    probabilities = averaged if average_clips == 'prob' else softmax(averaged)
    best = np.argsort(-averaged, kind='stable')[:topk]
    row = begin_row(task, names)
    label = task.video.label
    if label is not None:
        if label >= len(averaged):
            raise InputError(f'{task.video.path}: has label {label}, and the model has {len(averaged)} classes')
        ascending = np.argsort(averaged[None], axis=1)[0]
        row['label_rank'] = int(len(averaged) - np.flatnonzero(ascending == label)[0])
    row['classes'] = [class_name(names, i) for i in best]
    row['probabilities'] = [round(float(probabilities[i]), DIGITS) for i in best]
    row['frames'] = facts.frames
    row['duration_s'] = facts.duration_s
    return row


def describe_row(row):
    """A row as a person reads it: the name of the video, then a line for each class."""
    head = printable(row['path'])
    if 'start_s' in row:
        head += f', {row["start_s"]:g} s to {row["end_s"]:g} s'
    lines = [f'{probability:.4f} {name}' for probability, name in zip(row['probabilities'], row['classes'])]
    return '\n'.join([head, *map(printable, lines)])


# ---- other forms ---------------------------------------------------------------------------------------


def write_csv(path, rows):
    """A CSV file that appears whole or not at all. Lists are JSON texts."""
    part = path + '.part'
    with naming(path), open(part, 'w', newline='', encoding='utf-8', errors='surrogateescape') as f:
        writer = csv.writer(f)
        writer.writerow(COLUMNS)
        for row in rows:
            values = (row.get(column) for column in COLUMNS)
            writer.writerow([json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
                             for value in values])
    os.replace(part, path)


def require_pyarrow():
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError('a .parquet file needs pyarrow: pip install pyarrow, or give --output a name that ends with '
                         '.jsonl or .csv')


def write_parquet(path, rows, rows_at_once=10000):
    """A Parquet file that appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet
    kinds = dict.fromkeys(COLUMNS, pa.string())
    kinds.update(classes=pa.list_(pa.string()), probabilities=pa.list_(pa.float64()))
    kinds.update(dict.fromkeys(['label_rank', 'frames', 'window', 'windows'], pa.int64()))
    kinds.update(dict.fromkeys(['duration_s', 'start_s', 'end_s'], pa.float64()))
    schema = pa.schema(list(kinds.items()))
    part = path + '.part'
    rows = iter(rows)
    with naming(path), pyarrow.parquet.ParquetWriter(part, schema) as writer:
        while True:
            some = list(itertools.islice(rows, rows_at_once))
            if not some:
                break
            writer.write_table(pa.Table.from_pylist([readable_row(row) for row in some], schema))
    os.replace(part, path)


def readable(text):
    """A text for what takes only UTF-8: the bytes of a file name that are none are written out."""
    return text.encode('utf-8', 'backslashreplace').decode()


def readable_row(row):
    return {key: readable(value) if isinstance(value, str) else value for key, value in row.items()}


def srt_time(seconds):
    """Seconds as SubRip has them: 00:01:02,345."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60000)
    hours, minutes = divmod(minutes, 60)
    return f'{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}'


def write_srt(path, rows):
    """Subtitles with the best class of each window of a video."""
    text = io.StringIO()
    for number, row in enumerate((row for row in rows if 'error' not in row), 1):
        text.write(f'{number}\n{srt_time(row["start_s"])} --> {srt_time(row["end_s"])}\n'
                   f'{row["classes"][0]} {100 * row["probabilities"][0]:.0f}%\n\n')
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    write_whole(path, text.getvalue().encode())


# ---- accuracy ------------------------------------------------------------------------------------------


class Tally:
    """Counts rows, in 12 bytes for each that has a label: how many there are, how many failed, how accurate they are.
    """

    def __init__(self, names):
        self.names = {name: number for number, name in enumerate(names)}
        self.count = 0
        self.failed = 0
        self.last_error = None
        self.labels = array.array('i')
        self.predicted = array.array('i')
        self.ranks = array.array('i')
        self.all_have_labels = True

    def add(self, row):
        self.count += 1
        if row['label'] is None:
            self.all_have_labels = False
        if 'error' in row:
            self.failed += 1
            self.last_error = row['error']
        elif row['label'] is not None:
            self.labels.append(self.number_of(row['label']))
            self.predicted.append(self.number_of(row['classes'][0]))
            self.ranks.append(row['label_rank'])

    def number_of(self, name):
        """The inverse of class_name()."""
        if name in self.names:
            return self.names[name]
        return int(name.split()[1].rstrip(',')) - 1

    def accuracy(self, average_clips, shape):
        """The accuracy JSON of postprocess, as a dict; None unless all videos have labels and one could be read.

        SHAPE: of a sample, None if unknown.
        """
        if not self.all_have_labels or not self.labels:
            return None
        arrays = [np.array(values, np.int64) for values in (self.labels, self.predicted, self.ranks)]
        accuracy = dict(accuracy_of_ranks(*arrays, average_clips), num_expected=self.count)
        if shape:
            accuracy['views'] = shape[0]
        return accuracy

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
