# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From outcomes to rows, and what follows from rows: the accuracy of many, and subtitles of the windows of a video.

    maker = RowMaker('classInd.txt', names, topk=5, average_clips='prob')
    for rows in predict_videos(args, videos, maker, infer):       # all rows of a video
        tally.add(rows)
        subtitles.write(rows)
    print(tally.accuracy('prob', shape))
"""
from __future__ import annotations

import argparse
import array
import dataclasses
import hashlib
import json
import os
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

import numpy as np
from tqdm import tqdm

from r2plus1d.inference import Outcome, Task, Video
from r2plus1d.lists import check_names_of_videos, class_name, plain
from r2plus1d.metrics import accuracy_of_ranks, average_crops, softmax
from r2plus1d.rows import Row, file_stamp
from r2plus1d.run import InputError, log, printable
from r2plus1d.store import PART_ENDING, naming, remove_tree, write_whole
from r2plus1d.videos import tasks_of

DIGITS = 7  # of a probability after the point
SUBTITLES_LIST = '.r2plus1d_subtitles.jsonl'  # a line for each file before it is written: its name and digest


# ---- rows ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RowMaker:
    """NAMES: of the classes in the file CLASS_LIST. TOPK: how many classes a row has. AVERAGE_CLIPS: score or prob."""

    class_list: str
    names: List[str]
    topk: int
    average_clips: str

    def check_classes(self, num_classes: int) -> None:
        """Raise InputError where a model with NUM_CLASSES lacks some of the list. It may have more: the head of a model
        that was trained on a part of its classes.
        """
        if len(self.names) > num_classes:
            raise InputError(f'{self.class_list}: {len(self.names)} classes, and the model has {num_classes}; give the '
                             'list of its classes by --classes')

    def row(self, outcome: Outcome, begun: Row) -> Row:
        """What begin() has BEGUN, with the prediction or the error."""
        scores, facts = outcome.scores, outcome.facts
        if scores is None or facts is None:
            return dataclasses.replace(begun, error=str(outcome.fault))
        if not np.isfinite(scores).all():
            return dataclasses.replace(begun, error=f'{begun.path}: the outputs of the model are not finite')
        self.check_classes(scores.shape[-1])
        averaged = average_crops(scores[None], 'score' if outcome.probabilities else self.average_clips)[0]
        are_logits = self.average_clips == 'score' and not outcome.probabilities
        probabilities = softmax(averaged) if are_logits else averaged
        best = np.argsort(-averaged, kind='stable')[:self.topk].tolist()
        return dataclasses.replace(
            begun, label_rank=label_rank(begun, averaged), class_indices=best,
            classes=[class_name(self.names, i) for i in best],
            probabilities=[round(float(probabilities[i]), DIGITS) for i in best],
            frames=facts.frames, duration_s=facts.duration_s)

    def begin(self, task: Task) -> Row:
        """What the rows of a prediction and of an error have in common."""
        video, window = task.video, task.window
        label = None if video.label is None else class_name(self.names, video.label)
        file_bytes, file_time = file_stamp(video.path)
        row = Row(video.path, video.path, label, video.label, file_bytes=file_bytes, file_time=file_time)
        if window is None:
            return row
        return dataclasses.replace(row, id=f'{video.path}#{window.start_s:.12g}', window=window.number,
                                   windows=window.count, start_s=window.start_s, end_s=window.end_s)


def label_rank(row: Row, averaged: np.ndarray) -> Optional[int]:
    """The rank of the label of a row, in the order of mmaction2's top_k_accuracy."""
    label = row.label_index
    if label is None:
        return None
    if label >= len(averaged):
        raise InputError(f'{row.path}: has label {label}, and the model has {len(averaged)} classes')
    ascending = np.argsort(averaged[None], axis=1)[0]
    return int(len(averaged) - np.flatnonzero(ascending == label)[0])


def predict_videos(args: argparse.Namespace, videos: Sequence[Video], maker: RowMaker,
                   infer: Callable[[Iterable[Task]], Iterable[Outcome]]) -> Iterator[List[Row]]:
    """The rows of one video after another, as soon as all its windows are there."""
    begun: Dict[Task, Row] = {}  # when the video's turn comes: it may be replaced while it is predicted

    def tasks() -> Iterator[Task]:
        for video in videos:
            for task in tasks_of(video, args.every, args.allow_damaged):
                begun[task] = maker.begin(task)
                yield task

    waiting: Dict[str, Dict[int, Row]] = {}  # by path: rows of videos that lack others, by window
    with tqdm(total=len(videos), unit='video', desc='Prediction', disable=len(videos) == 1 and not args.every) as bar:
        for count, outcome in enumerate(infer(tasks()), 1):
            row = maker.row(outcome, begun.pop(outcome.task))
            rows = waiting.setdefault(row.path, {})
            rows[row.window or 0] = row
            if args.every:
                bar.set_postfix(windows=count, refresh=False)
                bar.update(0)
            if len(rows) == (row.windows or 1):
                del waiting[row.path]
                yield [rows[window] for window in sorted(rows)]
                bar.update()


def check_folders(class_list: str, names: List[str], videos: Sequence[Video]) -> None:
    """Raise InputError where videos in folders that have the names of classes have the labels of other classes."""
    known = set(map(plain, names))
    labels = [(video.path, video.label) for video in videos if video.label is not None
              and plain(os.path.basename(os.path.dirname(video.path))) in known]
    check_names_of_videos(class_list, names, labels)


def read_rows(rows_of_videos: Iterable[List[Row]], videos: Sequence[Video],
              finish: Callable[[List[Row]], None]) -> List[Video]:
    """Read the rows of the runs before; FINISH is called with those of each of the VIDEOS. Those that have none."""
    wanted = {video.path: video for video in videos}
    done = set()
    others = 0
    for rows in rows_of_videos:
        path = rows[0].path
        if path not in wanted:
            others += len(rows)
            continue
        label = wanted[path].label
        if rows[0].label_index != label:
            raise InputError(f'{path}: has the label {label} now, and had {rows[0].label_index} when it was predicted; '
                             'give another --output')
        done.add(path)
        finish(rows)
    if done or others:
        rest = f'; {others} rows of other videos stay' if others else ''
        log(f'{len(done)} of {len(wanted)} videos are done{rest}')
    return [video for video in videos if video.path not in done]


class Tally:
    """Counts rows: how many there are, how many failed, how accurate they are. It takes 24 bytes for each of these."""

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes  # in the list of classes
        self.count = 0
        self.failed = 0
        self.beyond_list = 0  # rows whose best class the list of classes does not have
        self.last_error: Optional[str] = None
        self.judged = array.array('q')  # label, best class and rank of the label, row after row
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
                self.judged.extend((row.label_index, row.class_indices[0], row.label_rank))

    def accuracy(self, average_clips: str, shape: Optional[List[int]]) -> Optional[Dict[str, Any]]:
        """The accuracy JSON of postprocess; None unless all videos have labels and one could be read.

        SHAPE: of a sample, None if unknown.
        """
        if not self.all_have_labels or not self.judged:
            return None
        labels, predicted, ranks = np.array(self.judged, np.int64).reshape(-1, 3).T
        accuracy = dict(accuracy_of_ranks(labels, predicted, ranks, average_clips), num_expected=self.count)
        if shape:
            accuracy['views'] = shape[0]
        return accuracy


def show(rows: Sequence[Row], says_errors: bool) -> None:
    """Print rows as a person reads them: the name of the video, then a line for each class."""
    for row in rows:
        if row.error is not None:
            if says_errors:
                log(row.error)
            continue
        window = f', {row.start_s:g} s to {row.end_s:g} s' if row.start_s is not None else ''
        tqdm.write(printable(row.path) + window)
        for probability, name in zip(row.probabilities or (), row.classes or ()):
            tqdm.write(printable(f'{probability:.4f} {name}'))


# ---- subtitles -----------------------------------------------------------------------------------------


class Subtitles:
    """One SubRip file a video, with the best class of each window, in a FOLDER of their own.

    GIVEN: what --video was given, by which VIDEOS were found. A name follows from the path of the video alone, so it
    stays the same when a run is continued or a folder grows. A file is ours if the list in the folder has its content;
    only such a file is replaced. Raises InputError before anything is written.
    """

    def __init__(self, folder: str, given: Sequence[str], videos: Sequence[Video]) -> None:
        self.folder = folder
        self.list = os.path.join(folder, SUBTITLES_LIST)
        folders = [os.path.abspath(one) for one in given if os.path.isdir(one)]
        self.names = {video.path: subtitle_name(video.path, given, folders) for video in videos}
        owners: Dict[str, str] = {}
        for path, name in self.names.items():
            other = owners.setdefault(name, path)
            if other != path:
                raise InputError(f'{other} and {path}: both would have the subtitles {os.path.join(folder, name)}; '
                                 'rename one of them, or give them one by one, each with another --srt')
        self.ours = set(read_file(self.list).splitlines()) if os.path.isfile(self.list) else set()
        for name in owners:
            path = os.path.join(folder, name)
            is_file = os.path.isfile(path) and not os.path.islink(path)
            if os.path.lexists(path) and not (is_file and self.entry(name, read_file(path)) in self.ours):
                raise InputError(f'{path}: was not written by this script, or was changed since; it is kept: move it '
                                 'away, or give another --srt')

    @staticmethod
    def entry(name: str, content: bytes) -> bytes:
        return json.dumps([name, hashlib.sha256(content).hexdigest()]).encode()

    def write(self, rows: Sequence[Row]) -> None:
        """Write the file of the video whose rows these are, unless it is there. A video of errors alone gets none."""
        name = self.names[rows[0].path]
        content = srt_text(rows).encode('utf-8', 'backslashreplace')
        path = os.path.join(self.folder, name)
        if not content or os.path.isfile(path) and read_file(path) == content:
            return
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        entry = self.entry(name, content)
        if entry in self.ours:  # a killed run may have left a part of it
            remove_tree(path + PART_ENDING)
        with naming(self.list), open(self.list, 'ab') as f:
            f.write(b'\n' + entry)  # a killed run may have left a part of a line
        write_whole(path, content)


def subtitle_name(path: str, given: Sequence[str], folders: Sequence[str]) -> str:
    """The place of a video's subtitles in their folder. FOLDERS: the absolute paths of those that were GIVEN.

    A video that was given by its own name has that name; one that was found in a folder has its place in that folder;
    one of a list has the path that it has in the current folder, or its whole path where it lies elsewhere.
    """
    absolute = os.path.abspath(path)
    if path in given:
        relative = os.path.basename(absolute)
    else:
        base = next((one for one in [*folders, os.getcwd()] if os.path.commonpath([one, absolute]) == one), os.sep)
        relative = os.path.relpath(absolute, base)
    return os.path.splitext(relative)[0] + '.srt'


def read_file(path: str) -> bytes:
    with open(path, 'rb') as f:
        return f.read()


def srt_time(seconds: float) -> str:
    """Seconds as SubRip has them: 00:01:02,345."""
    rest, milliseconds = divmod(round(seconds * 1000), 1000)
    return f'{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02},{milliseconds:03}'


def srt_text(rows: Sequence[Row]) -> str:
    cues: List[str] = []
    for row in rows:
        if row.start_s is not None and row.end_s is not None and row.classes and row.probabilities:
            cues.append(f'{len(cues) + 1}\n{srt_time(row.start_s)} --> {srt_time(row.end_s)}\n'
                        f'{row.classes[0]} {100 * row.probabilities[0]:.0f}%\n\n')
    return ''.join(cues)
