# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation has left, for the report and the verdict: accuracy, speed, what was run and how it is judged.

    evaluation = take_evaluation(args)                 # what test/eval_acc_perf.sh has noted of its batch sizes
    results = {size: read_result('.', size) for size in args.batch_sizes}
    verdict = judge(results, args.reference, args.tolerance)
    speed = read_performance(results[1].run)
"""
from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import re
from typing import List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from r2plus1d.json_forms import COUNT, FRACTION, TEXT, Check, Form, field, is_count, one_of, write_json
from r2plus1d.metrics import (
    GUIDE_CLASSES,
    GUIDE_VIDEOS,
    REFERENCE_TOP1,
    accuracy_of_scores,
    average_crops,
    wilson_interval,
)
from r2plus1d.outputs import Run
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import PART_ENDING, claim

DEFAULT_TOLERANCE = 0.01
AGAIN = 'run test/eval_acc_perf.sh again'
AVERAGE = one_of('score', 'prob')


# ---- speed -----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Performance:
    """The speed of a run. devices: ms of each batch of each device, by its name. The rate, in samples/s, is the sum of
    theirs; median and p99 are ms, of all batches.
    """

    batch_size: int
    devices: Mapping[str, np.ndarray]

    def rate_of(self, device: str) -> float:
        return 1000 * self.batch_size / float(np.mean(self.devices[device]))

    @property
    def rate(self) -> float:
        return sum(map(self.rate_of, self.devices))

    @functools.cached_property
    def times(self) -> np.ndarray:
        return np.concatenate(list(self.devices.values()))

    @property
    def median(self) -> float:
        return float(np.median(self.times))

    @property
    def p99(self) -> float:
        return float(np.percentile(self.times, 99))


def read_performance(run: Run) -> Performance:
    """The speed of a run. Raises InputError."""
    return Performance(run.summary.batch_size, {name: ms for summary in run.summaries
                                                for name, ms in summary.times.items()})


# ---- accuracy --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Accuracy(Form):
    """An accuracy JSON. num_expected: the videos of the data set; views: of a video; None where nobody noted it."""

    REMEDY = AGAIN
    top1_acc: float = field(FRACTION)
    top5_acc: float = field(FRACTION)
    mean_class_accuracy: float = field(FRACTION)
    num_videos: int = field(COUNT)
    average_clips: str = field(AVERAGE)
    mmaction2_mean_class_accuracy: Optional[float] = field(FRACTION.or_null())
    num_expected: Optional[int] = field(COUNT.or_null())
    views: Optional[int] = field(COUNT.or_null())

    @property
    def is_complete(self) -> bool:
        return self.num_expected is None or self.num_videos == self.num_expected

    def right(self, key: str = 'top1_acc') -> int:
        return int(round(getattr(self, key) * self.num_videos))

    def interval(self, key: str = 'top1_acc') -> Tuple[float, float]:
        """Of 95% confidence, Wilson's."""
        return wilson_interval(self.right(key), self.num_videos)


class Result(NamedTuple):
    """What test/eval_acc_perf.sh left of one batch size: the path of the accuracy JSON, its content, the run."""

    path: str
    accuracy: Accuracy
    run: Run

    @property
    def num_expected(self) -> int:
        """The videos of the data set."""
        return self.run.num_videos(self.accuracy.num_expected or self.accuracy.num_videos)

    @property
    def is_of_ucf101(self) -> bool:
        """Of test split 1: no other split, and hardly another data set, has as many classes and videos."""
        labels = {label for file in self.run.files for label in file.labels}
        return self.num_expected == GUIDE_VIDEOS and labels == set(range(GUIDE_CLASSES))


class ScoredVideos(NamedTuple):
    """The videos of a result: their numbers in the list, true classes, and scores averaged over the views."""

    numbers: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def outputs_folder(work_dir: str, batch_size: int) -> str:
    return os.path.join(work_dir, f'predata_bts1_bs{batch_size}_out')


def result_path(work_dir: str, batch_size: int) -> str:
    return os.path.join(work_dir, f'result_bs{batch_size}.json')


def find_batch_sizes(work_dir: str) -> List[int]:
    """The batch sizes, ascending, of which test/eval_acc_perf.sh has left a result in a folder."""
    form = re.compile(r'result_bs([1-9]\d{0,8})\.json')
    found = [int(match[1]) for match in map(form.fullmatch, os.listdir(work_dir)) if match]
    if not found:
        raise InputError(f'{work_dir}: no result_bs<N>.json in it; run test/eval_acc_perf.sh for that folder')
    return sorted(found)


def read_result(work_dir: str, batch_size: int) -> Result:
    """Raises InputError."""
    path = result_path(work_dir, batch_size)
    return Result(path, Accuracy.read(path), Run.open(outputs_folder(work_dir, batch_size)))


def read_videos(result: Result, views: int) -> ScoredVideos:
    """The scores of a result. Raises InputError where they do not give the accuracy that it says."""
    path, accuracy, run = result
    scores, labels = run.scores(views, result.num_expected, allow_missing=True)
    found = accuracy_of_scores(scores, labels, accuracy.average_clips)
    found.setdefault('mmaction2_mean_class_accuracy', found['mean_class_accuracy'])  # noted where it is another one
    for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy', 'mmaction2_mean_class_accuracy', 'num_videos'):
        noted = accuracy.mean_class_accuracy if getattr(accuracy, key) is None else getattr(accuracy, key)
        if abs(found[key] - noted) > 1e-6:
            raise InputError(f'{path}: {key} is {one_line(f"{noted:.6g}", 50)}, and the outputs of {run.path} give '
                             f'{found[key]:.6g}; run r2plus1d_postprocess.py, or test/eval_acc_perf.sh, again')
    return ScoredVideos(np.array(run.numbers), np.array(labels), average_crops(scores, accuracy.average_clips))


# ---- the verdict -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Verdict:
    """top1: the smallest one. reference: None where there is none for these videos; then passed is None, too, unless
    videos are missing.
    """

    top1: float
    interval: Tuple[float, float]
    reference: Optional[float]
    tolerance: float
    passed: Optional[bool]


def judge(results: Mapping[int, Result], reference: Optional[float], tolerance: float) -> Verdict:
    """They pass where each has all expected videos and a top-1 of at least the REFERENCE less the TOLERANCE.

    Where nobody says a REFERENCE, that of UCF-101's test split 1 is the original guide's, and other videos have none.
    """
    lowest = min((result.accuracy for result in results.values()), key=lambda accuracy: accuracy.top1_acc)
    if reference is None and all(result.is_of_ucf101 for result in results.values()):
        reference = REFERENCE_TOP1
    passed = None if reference is None else lowest.top1_acc >= reference - tolerance
    if not all(result.accuracy.is_complete for result in results.values()):
        passed = False
    return Verdict(lowest.top1_acc, lowest.interval(), reference, tolerance, passed)


# ---- what was evaluated ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Evaluation(Form):
    """evaluation_bs<N>.json: what test/eval_acc_perf.sh ran at one batch size, and by what it is judged.

    config: an absolute path; folder: to which the paths in the config are relative; reference: None where no option
    said one; training_videos: how many test videos are training videos, too.
    """

    REMEDY = AGAIN
    config: str = field(TEXT, identity=True)
    folder: str = field(TEXT, identity=True)
    reference: Optional[float] = field(FRACTION.or_null(), identity=True)
    tolerance: float = field(FRACTION, identity=True)
    average_clips: str = field(AVERAGE, identity=True)
    model: str = field(TEXT)
    device: str = field(TEXT)
    training_videos: int = field(Check(lambda value: value == 0 or is_count(value), 'a number of videos'))

    @staticmethod
    def path(work_dir: str, batch_size: int) -> str:
        return os.path.join(work_dir, f'evaluation_bs{batch_size}.json')

    def write(self, work_dir: str, batch_size: int) -> None:
        """Raises InputError where a file of this name is none of ours."""
        with claim(self.path(work_dir, batch_size), self.check_ours, endings=[PART_ENDING]) as path:
            write_json(path, self.to_json())

    @classmethod
    def check_ours(cls, path: str) -> None:
        try:
            cls.read(path)
        except InputError:
            raise InputError(f'{path}: exists and is no record of test/eval_acc_perf.sh; move it away')


def take_evaluation(args: argparse.Namespace) -> Optional[Evaluation]:
    """The Evaluation of --work_dir and --batch_sizes, by default all; None where there is none, as of older versions.

    ARGS.reference and tolerance become its own where no option says them. Where one says something else, that is
    logged. Raises InputError where the batch sizes are of different evaluations.
    """
    args.batch_sizes = args.batch_sizes or find_batch_sizes(args.work_dir)
    paths = [Evaluation.path(args.work_dir, size) for size in args.batch_sizes]
    found = {path: Evaluation.read(path) for path in paths if os.path.isfile(path)}
    path, first = next(iter(found.items()), ('', None))
    said = {name for name in ('reference', 'tolerance') if getattr(args, name) is not None}
    for other, evaluation in found.items():
        differing = [name for name in evaluation.differences(found[path]) if name not in said]
        if differing:
            raise InputError(f'{other}: is of another evaluation than {path} ({", ".join(differing)}); give the '
                             '--batch_sizes of one')
    for name in ('reference', 'tolerance'):
        noted, value = getattr(first, name, None), getattr(args, name)
        if name in said and noted not in (None, value):
            log(f'--{name} {value:g} in the place of {noted:g}, by which {path} judges')
        setattr(args, name, value if name in said else noted)
    args.tolerance = DEFAULT_TOLERANCE if args.tolerance is None else args.tolerance
    return first


def parse_batch_sizes(text: str) -> List[int]:
    """Type of the option --batch_sizes: "1 16" gives [1, 16]. A number that stands there twice counts once."""
    if not re.fullmatch(r'\s*[1-9]\d{0,8}(\s+[1-9]\d{0,8})*\s*', text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a list of numbers with spaces between, such as "1 16"')
    return list(dict.fromkeys(int(word) for word in text.split()))
