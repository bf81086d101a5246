# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From outcomes to rows: the row of an outcome, the rows of whole videos, and the accuracy of many rows.

    maker = RowMaker('classInd.txt', names, topk=5, average_clips='prob')
    row = maker.row(outcome, FileStamp.of(path))
    tally.add([row])
    print(tally.accuracy('prob', shape))
"""
from __future__ import annotations

import argparse
import array
import dataclasses
import os
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

import numpy as np
from tqdm import tqdm

from r2plus1d.inference import Outcome
from r2plus1d.lists import check_names_of_videos, class_name, plain
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax
from r2plus1d.rows import FileStamp, Row
from r2plus1d.run import InputError, log
from r2plus1d.videos import Task, Video, tasks_of

DIGITS = 7  # of a probability after the point


@dataclasses.dataclass(frozen=True)
class RowMaker:
    """NAMES: of the classes in the file CLASS_LIST. TOPK: how many classes a row has. AVERAGE_CLIPS: score or prob."""

    class_list: str
    names: List[str]
    topk: int
    average_clips: str

    def row(self, outcome: Outcome, stamp: FileStamp) -> Row:
        row = self.begin(outcome.task, stamp)
        if outcome.scores is None or outcome.facts is None:
            return dataclasses.replace(row, error=str(outcome.fault))
        if not np.isfinite(outcome.scores).all():
            return dataclasses.replace(row, error=f'{row.path}: the outputs of the model are not finite')
        if len(self.names) > outcome.scores.shape[-1]:
            raise InputError(f'{self.class_list}: {len(self.names)} classes, and the model has '
                             f'{outcome.scores.shape[-1]}; give the list of its classes by --classes')
        are_probabilities = outcome.probabilities
        averaged = average_crops(outcome.scores[None], 'score' if are_probabilities else self.average_clips)[0]
        probabilities = averaged if are_probabilities or self.average_clips == 'prob' else softmax(averaged)
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


def predict_videos(args: argparse.Namespace, videos: Sequence[Video], maker: RowMaker,
                   infer: Callable[[Iterable[Task]], Iterable[Outcome]]) -> Iterator[List[Row]]:
    """The rows of one video after another, as soon as all its windows are there."""
    stamps: Dict[str, FileStamp] = {}

    def tasks() -> Iterator[Task]:
        for video in videos:
            stamps[video.path] = FileStamp.of(video.path)
            yield from tasks_of(video, args.every, args.allow_damaged)

    collected = VideoRows()
    with tqdm(total=len(videos), unit='video', desc='Prediction', disable=len(videos) == 1 and not args.every) as bar:
        for count, outcome in enumerate(infer(tasks()), 1):
            path = outcome.task.video.path
            rows = collected.add(maker.row(outcome, stamps[path]))
            if args.every:
                bar.set_postfix(windows=count, refresh=False)
                bar.update(0)
            if rows:
                del stamps[path]
                yield rows
                bar.update()


def check_folders(class_list: str, names: List[str], videos: Sequence[Video]) -> None:
    """Raise InputError where videos in folders that have the names of classes have the labels of other classes."""
    known = set(map(plain, names))
    labels = [(video.path, video.label) for video in videos if video.label is not None
              and plain(os.path.basename(os.path.dirname(video.path))) in known]
    check_names_of_videos(class_list, names, labels)


def why_again(row: Row, retry_failed: bool) -> Optional[str]:
    """Why the video of a row of an earlier run is to be predicted again; None where the row stays."""
    if FileStamp.of(row.path).is_other_than(row):
        return 'their files are others than those before, by size or time'
    return 'they had errors' if retry_failed and row.error is not None else None


def read_rows(rows: Iterable[Row], videos: Sequence[Video], finish: Callable[[List[Row]], None]) -> List[Video]:
    """Read the ROWS of the runs before; FINISH is called with all rows of each of the VIDEOS. Those that have none."""
    wanted = {video.path: video for video in videos}
    done = set()
    others = 0
    collected = VideoRows()
    for row in rows:
        if row.path not in wanted:
            others += 1
            continue
        label = wanted[row.path].label
        if row.label_index != label:
            raise InputError(f'{row.path}: has the label {label} now, and had {row.label_index} when it was predicted; '
                             'give another --output')
        found = collected.add(row)
        if found:
            done.add(row.path)
            finish(found)
    if done or others:
        rest = f'; {others} rows of other videos stay' if others else ''
        log(f'{len(done)} of {len(wanted)} videos are done{rest}')
    return [video for video in videos if video.path not in done]


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
        labels, predicted, ranks = (np.array(values, np.int64) for values in (self.labels, self.predicted, self.ranks))
        accuracy = dict(accuracy_of_ranks(labels, predicted, ranks, average_clips), num_expected=self.count)
        if shape:
            accuracy['views'] = shape[0]
        return accuracy
