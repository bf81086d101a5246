# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The rows of a prediction: what a row has, how it is made, and the accuracy of many.

    maker = RowMaker(names, topk=5, average_clips='prob')
    row = maker.row(outcome, FileStamp.of(path))

Row is the only declaration of the columns: a field that is added there is checked when a row is read, and stands in all
forms, JSON, CSV and Parquet (r2plus1d/journal.py).
"""
from __future__ import annotations

import array
import dataclasses
import os
import typing
from typing import Any, Dict, List, Optional

import numpy as np

from r2plus1d.classes import class_name
from r2plus1d.inference import Outcome
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax
from r2plus1d.run import InputError, printable
from r2plus1d.videos import Task

DIGITS = 7  # of a probability after the point
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


# ---- from outcomes to rows -----------------------------------------------------------------------------


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


@dataclasses.dataclass(frozen=True)
class RowMaker:
    """NAMES: of the classes, of read_classes(). TOPK: how many classes a row has. AVERAGE_CLIPS: score or prob."""

    names: List[str]
    topk: int
    average_clips: str

    def row(self, outcome: Outcome, stamp: FileStamp) -> Row:
        row = self.begin(outcome.task, stamp)
        if outcome.scores is None or outcome.facts is None:
            return dataclasses.replace(row, error=str(outcome.fault))
        if not np.isfinite(outcome.scores).all():
            return dataclasses.replace(row, error=f'{row.path}: the outputs of the model are not finite')
        averaged = average_crops(outcome.scores[None], self.average_clips)[0]
        probabilities = averaged if self.average_clips == 'prob' else softmax(averaged)
        best = np.argsort(-averaged, kind='stable')[:self.topk].tolist()
        facts = outcome.facts
        return dataclasses.replace(
            row, label_rank=self.label_rank(row, averaged), class_indices=best,
            classes=[class_name(self.names, i) for i in best],
            probabilities=[round(float(probabilities[i]), DIGITS) for i in best],
            frames=facts.frames if facts.window_frames is None else facts.window_frames, duration_s=facts.duration_s)

    def begin(self, task: Task, stamp: FileStamp) -> Row:
        """What the rows of a prediction and of an error have in common."""
        video, window = task.video, task.window
        label = None if video.label is None else class_name(self.names, video.label)
        row = Row(video.path, video.path, label, video.label, **dataclasses.asdict(stamp))
        if window is None:
            return row
        return dataclasses.replace(row, id=f'{video.path}#{window.start_s:g}', window=window.number,
                                   windows=window.count, start_s=window.start_s, end_s=window.end_s)

    @staticmethod
    def label_rank(row: Row, averaged: np.ndarray) -> Optional[int]:
        """The rank of the label, in the order of mmaction2's top_k_accuracy."""
        label = row.label_index
        if label is None:
            return None
        if label >= len(averaged):
            raise InputError(f'{row.path}: has label {label}, and the model has {len(averaged)} classes')
        ascending = np.argsort(averaged[None], axis=1)[0]
        return int(len(averaged) - np.flatnonzero(ascending == label)[0])


def describe_row(row: Row) -> str:
    """A row as a person reads it: the name of the video, then a line for each class."""
    head = printable(row.path)
    if row.start_s is not None:
        head += f', {row.start_s:g} s to {row.end_s:g} s'
    lines = [f'{probability:.4f} {name}' for probability, name in zip(row.probabilities or (), row.classes or ())]
    return '\n'.join([head, *map(printable, lines)])


# ---- accuracy ------------------------------------------------------------------------------------------


class Tally:
    """Counts rows, in 12 bytes for each that has a label: how many there are, how many failed, how accurate they are.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes  # in the list of classes
        self.count = 0
        self.failed = 0
        self.beyond_list = 0  # rows whose best class the list of classes does not have
        self.last_error: Optional[str] = None
        self.labels = array.array('q')
        self.predicted = array.array('q')
        self.ranks = array.array('q')
        self.all_have_labels = True

    def add(self, row: Row) -> None:
        self.count += 1
        self.all_have_labels &= row.label_index is not None
        if row.error is not None or not row.class_indices:
            self.failed += 1
            self.last_error = row.error
            return
        self.beyond_list += row.class_indices[0] >= self.num_classes
        if row.label_index is not None and row.label_rank is not None:
            self.labels.append(row.label_index)
            self.predicted.append(row.class_indices[0])
            self.ranks.append(row.label_rank)

    def accuracy(self, average_clips: str, shape: Optional[List[int]]) -> Optional[Dict[str, Any]]:
        """The accuracy JSON of postprocess; None unless all videos have labels and one could be read.

        SHAPE: of a sample, None if unknown.
        """
        if not self.all_have_labels or not self.labels:
            return None
        arrays = [np.array(values, np.int64) for values in (self.labels, self.predicted, self.ranks)]
        accuracy = dict(accuracy_of_ranks(*arrays, average_clips), num_expected=self.count)
        if shape:
            accuracy['views'] = shape[0]
        return accuracy
