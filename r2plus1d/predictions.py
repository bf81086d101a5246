# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From outcomes to rows: the row of an outcome, the rows of whole videos, and the accuracy of many rows.

    maker = RowMaker(names, topk=5, average_clips='prob')
    row = maker.row(outcome, FileStamp.of(path))
    tally.add([row])
    print(tally.accuracy('prob', shape))
"""
from __future__ import annotations

import array
import dataclasses
from typing import Any, Dict, Iterable, List, Optional, Sequence

import numpy as np

from r2plus1d.classes import class_name
from r2plus1d.inference import Outcome
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax
from r2plus1d.rows import FileStamp, Row
from r2plus1d.run import InputError, log
from r2plus1d.videos import Task, Video

DIGITS = 7  # of a probability after the point


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
        return dataclasses.replace(row, id=f'{video.path}#{window.start_s:.12g}', window=window.number,
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


class VideoRows:
    """Keeps rows until all of a video are there."""

    def __init__(self) -> None:
        self.incomplete: Dict[str, Dict[int, Row]] = {}

    def add(self, row: Row) -> List[Row]:
        """All rows of the video of this row, in the order of its windows, if this was the last one; else none."""
        rows = self.incomplete.setdefault(row.path, {})
        rows[row.window or 0] = row
        if len(rows) < (row.windows or 1):
            return []
        del self.incomplete[row.path]
        return [rows[window] for window in sorted(rows)]


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

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.count += 1
            self.all_have_labels &= row.label_index is not None
            if row.error is not None or not row.class_indices:
                self.failed += 1
                self.last_error = row.error
                continue
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
