# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation has left, for the report and the verdict: accuracy, speed, what was run and how it is judged.

    result = read_result('.', batch_size=16)           # of test/eval_acc_perf.sh
    speed = read_performance(Run.open('predata_bts1_bs1_out'))
    evaluation = Evaluation.of('.')
"""
from __future__ import annotations

import argparse
import dataclasses
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.forms import COUNT, FLAG, FRACTION, TEXT, Check, Form, field, one_of, read_json, write_json
from r2plus1d.metrics import REFERENCE_TOP1, accuracy_of_scores, average_crops
from r2plus1d.outputs import Run
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import PART_ENDING, claim
from r2plus1d.summary import NUMBER, OBJECT, Loose, Summary

BATCH_SIZES_FORM = re.compile(r'\s*[1-9]\d{0,8}(\s+[1-9]\d{0,8})*\s*')
DEFAULT_BATCH_SIZES = [1, 16]
DEFAULT_TOLERANCE = 0.01
AGAIN = 'run test/eval_acc_perf.sh again'
AVERAGE = one_of('score', 'prob')


# ---- speed -----------------------------------------------------------------------------------------


class DeviceSpeed(NamedTuple):
    """samples/s, and ms of its batches."""

    name: str
    rate: float
    median: float
    p99: float


@dataclasses.dataclass(frozen=True)
class Performance:
    """The speed of a run. rate: samples/s, the sum over the devices; times: ms of each batch; median, p99: ms, of all
    batches; devices: empty where there is one only; engine: as text.
    """

    batch_size: int
    batches: int
    rate: float
    times: np.ndarray
    median: float
    p99: float
    devices: List[DeviceSpeed]
    model: str
    engine: str
    cpu: Optional[str]
    args: List[str]


def read_performance(run: Run) -> Performance:
    """The speed of a run. Raises InputError."""
    batch_size = run.summary.batch_size
    devices = [device for summary in run.summaries for device in summary.devices]
    speeds = [DeviceSpeed(name, 1000 * batch_size / float(np.mean(ms)), *median_and_p99(ms)) for name, ms in devices]
    times = np.concatenate([ms for _, ms in devices])
    engine = run.summary.engine
    return Performance(batch_size, len(times), sum(speed.rate for speed in speeds), times, *median_and_p99(times),
                       devices=speeds if len(speeds) > 1 else [], model=run.summary.model or 'unknown model',
                       engine=describe_engine(run.summary), cpu=engine['cpu'] if engine else None,
                       args=[str(arg) for arg in run.summary.args or ()])


def describe_engine(summary: Summary) -> str:
    """Which engine a summary is of. ais_bench does not say it."""
    if summary.engine:
        return '{name} {version}, {precision}, on {cpu}'.format(**summary.engine)
    is_older = 'r2plus1d_infer' in str(summary.args)
    return 'r2plus1d_infer.py of a version that did not note its engine' if is_older else 'ais_bench, on an NPU'


def median_and_p99(times: np.ndarray) -> Tuple[float, float]:
    return float(np.median(times)), float(np.percentile(times, 99))


# ---- accuracy --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Accuracy(Loose):
    """An accuracy JSON. num_expected: the videos of the data set; views: of a video; None where nobody noted it."""

    REMEDY = AGAIN
    top1_acc: float = field(FRACTION)
    top5_acc: float = field(FRACTION)
    mean_class_accuracy: float = field(FRACTION)
    num_videos: int = field(COUNT)
    average_clips: str = field(AVERAGE)
    num_expected: Optional[int] = field(COUNT.or_null())
    views: Optional[int] = field(COUNT.or_null())

    @property
    def is_complete(self) -> bool:
        return self.num_expected is None or self.num_videos == self.num_expected


def judge_accuracy(accuracies: Sequence[Accuracy], reference: float, tolerance: float) -> Tuple[float, bool]:
    """(smallest top-1 of several accuracies, whether they pass).

    They pass where each has all expected videos and a top-1 of at least the REFERENCE less the TOLERANCE.
    """
    top1 = min(accuracy.top1_acc for accuracy in accuracies)
    return top1, all(accuracy.is_complete for accuracy in accuracies) and top1 >= reference - tolerance


class Result(NamedTuple):
    """What test/eval_acc_perf.sh left of one batch size: the path of the accuracy JSON, its content, the run."""

    path: str
    accuracy: Accuracy
    run: Run


class Videos(NamedTuple):
    """The videos of a result: their numbers in the list, true classes, and scores averaged over the views."""

    numbers: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def outputs_folder(work_dir: str, batch_size: int) -> str:
    return os.path.join(work_dir, f'predata_bts1_bs{batch_size}_out')


def result_path(work_dir: str, batch_size: int) -> str:
    return os.path.join(work_dir, f'result_bs{batch_size}.json')


def read_result(work_dir: str, batch_size: int) -> Result:
    """Raises InputError."""
    path = result_path(work_dir, batch_size)
    content = read_json(path, 'run test/eval_acc_perf.sh for this batch size')
    run = Run.open(outputs_folder(work_dir, batch_size))
    return Result(path, Accuracy.from_json(path, content), run)


def read_videos(result: Result, views: int) -> Videos:
    """The scores of a result. Raises InputError where they do not give the accuracy that it says."""
    path, accuracy, run = result
    num_expected = run.num_videos(accuracy.num_expected or accuracy.num_videos)
    scores, labels = run.scores(views, num_expected, allow_missing=True)
    found = accuracy_of_scores(scores, labels, accuracy.average_clips)
    for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy', 'num_videos'):
        noted = getattr(accuracy, key)
        if abs(found[key] - noted) > 1e-6:
            raise InputError(f'{path}: {key} is {one_line(f"{noted:.6g}", 50)}, and the outputs of {run.path} give '
                             f'{found[key]:.6g}; run r2plus1d_postprocess.py, or test/eval_acc_perf.sh, again')
    numbers = [file.first + i for file in run.files for i in range(len(file.labels))]
    return Videos(np.array(numbers), np.array(labels), average_crops(scores, accuracy.average_clips))


# ---- what was evaluated ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Evaluation(Form):
    """evaluation.json: what test/eval_acc_perf.sh ran and by what it is judged, for test/parse.py and the report.

    config: an absolute path; folder: to which the paths in the config are relative; models: one for each batch size.
    """

    REMEDY = AGAIN
    config: str = field(TEXT)
    folder: str = field(TEXT)
    reference: float = field(FRACTION)
    tolerance: float = field(FRACTION)
    batch_sizes: List[int] = field(Check(lambda value: COUNT.list_of().takes(value) and value, 'numbers of 1 or more'))
    models: List[str] = field(TEXT.list_of())
    average_clips: str = field(AVERAGE)
    device: str = field(TEXT)

    @staticmethod
    def path(work_dir: str) -> str:
        return os.path.join(work_dir, 'evaluation.json')

    def write(self, work_dir: str) -> None:
        """Raises InputError where a file of this name is none of ours."""
        with claim(self.path(work_dir), self.check_ours, endings=[PART_ENDING]) as path:
            write_json(path, self.to_json())

    @classmethod
    def check_ours(cls, path: str) -> None:
        try:
            cls.read(path)
        except InputError:
            raise InputError(f'{path}: exists and is no record of test/eval_acc_perf.sh; move it away')

    @classmethod
    def of(cls, work_dir: str) -> Optional[Evaluation]:
        """None where there is none, as of an older test/eval_acc_perf.sh. Raises InputError."""
        return cls.read(cls.path(work_dir)) if os.path.isfile(cls.path(work_dir)) else None


def take_evaluation(args: argparse.Namespace) -> Optional[Evaluation]:
    """The Evaluation of --work_dir; ARGS.batch_sizes, reference and tolerance become its own where no option says them.

    Where an option says something else, that is logged. Raises InputError for a batch size that it does not have.
    """
    evaluation = Evaluation.of(args.work_dir)
    defaults: Dict[str, Any] = {'batch_sizes': DEFAULT_BATCH_SIZES, 'reference': REFERENCE_TOP1,
                                'tolerance': DEFAULT_TOLERANCE}
    if evaluation is None and args.reference is None:
        log(f'{args.work_dir}: no evaluation.json in it: judged by {REFERENCE_TOP1}, the original guide\'s top-1 on '
            'UCF-101, since no --reference says another')
    for name, default in defaults.items():
        noted = getattr(evaluation, name) if evaluation else default
        said = getattr(args, name)
        if evaluation and name == 'batch_sizes' and set(said or ()) - set(noted):
            other, = sorted(set(said) - set(noted))[:1]
            raise InputError(f'{Evaluation.path(args.work_dir)}: batch size {other} is not of this evaluation, which '
                             f'has {", ".join(map(str, noted))}; run test/eval_acc_perf.sh for it')
        if evaluation and name != 'batch_sizes' and said not in (None, noted):
            log(f'--{name} {said:g} in the place of {noted:g}, by which {Evaluation.path(args.work_dir)} judges')
        setattr(args, name, noted if said is None else said)
    return evaluation


def parse_batch_sizes(text: str) -> List[int]:
    """Type of the option --batch_sizes: "1 16" gives [1, 16]. A number that stands there twice counts once."""
    if not BATCH_SIZES_FORM.fullmatch(text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a list of numbers with spaces between, such as "1 16"')
    return list(dict.fromkeys(int(word) for word in text.split()))


# ---- agreement -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ComparedModel(Loose):
    """What the report shows of a row of compare.json. That of bins has no figures but the first one."""

    model: str = field(TEXT)
    step: str = field(TEXT)
    precision: str = field(TEXT)
    passed: bool = field(FLAG)
    bound: float = field(NUMBER)
    max_abs_difference: Optional[float] = field(NUMBER.or_null())
    max_rel_difference: Optional[float] = field(NUMBER.or_null())
    cosine: Optional[float] = field(NUMBER.or_null())
    top1_agreement: Optional[float] = field(NUMBER.or_null())
    top5_agreement: Optional[float] = field(NUMBER.or_null())


@dataclasses.dataclass(frozen=True)
class ComparedModels(Loose):
    """What the report shows of compare.json."""

    REMEDY = 'run test/pth2om.sh again'
    passed: bool = field(FLAG)
    num_videos: int = field(COUNT)
    num_test_videos: int = field(COUNT)
    models: List[Any] = field(Check(lambda value: isinstance(value, list), 'a list of models'))
    first_difference: Optional[Dict[str, Any]] = field(OBJECT.or_null())
    checkpoint: Optional[str] = field(TEXT.or_null())


def read_comparison(work_dir: str) -> Optional[ComparedModels]:
    """What r2plus1d_compare.py printed, if test/pth2om.sh has left it in the folder; else None."""
    path = os.path.join(work_dir, 'compare.json')
    if not os.path.isfile(path) or not os.path.getsize(path):
        return None
    comparison = ComparedModels.read(path)
    return dataclasses.replace(comparison, models=[ComparedModel.from_json(path, row) for row in comparison.models])
