# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Predictions: the row of a video, the files in which rows can be written, and the accuracy of many rows.

    row = make_row(task, scores, facts, names, topk, average_clips)

A row is a dict: id, path, label, label_rank, classes, probabilities, frames, duration_s; or id, path, label, error.
Rows of windows have window, windows, start_s and end_s as well. r2plus1d/journal.py keeps the rows.
"""
import array
import csv
import io
import itertools
import json
import os

import numpy as np

from r2plus1d.classes import class_name
from r2plus1d.files import InputError, printable, write_whole
from r2plus1d.interruptions import naming
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax

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
    if task.first is not None:
        row['id'] = f'{video.path}#{task.start_s:g}'
        row.update(window=task.window, windows=task.windows, start_s=task.start_s, end_s=task.end_s)
    return row


def error_row(task, fault, names):
    return dict(begin_row(task, names), error=fault)


def make_row(task, scores, facts, names, topk, average_clips):
    """The row of a task. SCORES: crops x classes. FACTS: frames and duration_s, as far as they are known.

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
    row['frames'] = facts.get('frames')
    row['duration_s'] = facts.get('duration_s')
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
