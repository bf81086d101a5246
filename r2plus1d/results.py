# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation has left, for the report and the verdict: accuracy, speed, what was run and how it is judged.

    result = read_result('.', batch_size=16)           # of test/eval_acc_perf.sh
    speed = read_performance(Run.open('predata_bts1_bs1_out'))
    evaluation = Evaluation.read('.')
"""
from __future__ import annotations

import argparse
import dataclasses
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from r2plus1d.metrics import REFERENCE_TOP1, Accuracy, accuracy_of_scores, average_crops
from r2plus1d.outputs import Run
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import is_count, is_fraction, read_json, write_json
from r2plus1d.summary import EngineFacts

BATCH_SIZES_FORM = re.compile(r'\s*[1-9]\d{0,8}(\s+[1-9]\d{0,8})*\s*')
DEFAULT_BATCH_SIZES = [1, 16]
DEFAULT_TOLERANCE = 0.01


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
    engine: EngineFacts = run.summary.engine
    return Performance(batch_size, len(times), sum(speed.rate for speed in speeds), times, *median_and_p99(times),
                       devices=speeds if len(speeds) > 1 else [], model=run.summary.model or 'unknown model',
                       engine=str(engine), cpu=engine.cpu, args=run.summary.args)


def median_and_p99(times: np.ndarray) -> Tuple[float, float]:
    return float(np.median(times)), float(np.percentile(times, 99))


# ---- accuracy --------------------------------------------------------------------------------------


def check_accuracy(path: str, content: Any) -> Accuracy:
    """The content of the file PATH, into which r2plus1d_postprocess.py printed. Raises InputError."""
    remedy = 'run test/eval_acc_perf.sh again'
    content = content if isinstance(content, dict) else {}
    for field in dataclasses.fields(Accuracy):
        value = content.get(field.name)
        is_optional = field.name in ('num_expected', 'views')
        if field.name not in content and not is_optional:
            raise InputError(f'{path}: has no {field.name}; {remedy}')
        if field.name == 'average_clips':
            is_good, expected = value in ('score', 'prob'), 'score or prob'
        elif is_optional or field.name == 'num_videos':
            is_good, expected = is_count(value) or (is_optional and value is None), 'a whole number of 1 or more'
        else:
            is_good, expected = is_fraction(value), 'a number from 0 to 1'
        if not is_good:
            raise InputError(f'{path}: {field.name} is {one_line(value, 50)}, expected {expected}; {remedy}')
    return Accuracy(**{field.name: content.get(field.name) for field in dataclasses.fields(Accuracy)})


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
    return Result(path, check_accuracy(path, content), run)


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
class Evaluation:
    """evaluation.json: what test/eval_acc_perf.sh ran and by what it is judged, for test/parse.py and the report.

    config: an absolute path; folder: to which the paths in the config are relative; models: one for each batch size.
    """

    config: str
    folder: str
    reference: float
    tolerance: float
    batch_sizes: List[int]
    models: List[str]
    average_clips: str
    device: str

    @staticmethod
    def path(work_dir: str) -> str:
        return os.path.join(work_dir, 'evaluation.json')

    def write(self, work_dir: str) -> None:
        write_json(self.path(work_dir), dataclasses.asdict(self))

    @classmethod
    def read(cls, work_dir: str) -> Optional[Evaluation]:
        """None where there is none, as of an older test/eval_acc_perf.sh. Raises InputError."""
        path = cls.path(work_dir)
        if not os.path.isfile(path):
            return None
        content = read_json(path, 'run test/eval_acc_perf.sh again')
        checks = {
            'config': is_text, 'folder': is_text, 'reference': is_fraction, 'tolerance': is_fraction,
            'batch_sizes': lambda value: isinstance(value, list) and value != [] and all(map(is_count, value)),
            'models': lambda value: isinstance(value, list) and all(map(is_text, value)),
            'average_clips': is_text, 'device': is_text,
        }
        for key, is_good in checks.items():
            value = content.get(key) if isinstance(content, dict) else None
            if not is_good(value):
                raise InputError(f'{path}: {key} is {one_line(repr(value), 50)}; run test/eval_acc_perf.sh again')
        return cls(**{key: content[key] for key in checks})


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ''


def take_evaluation(args: argparse.Namespace) -> Optional[Evaluation]:
    """The Evaluation of --work_dir; ARGS.batch_sizes, reference and tolerance become its own where no option says them.

    Where an option says something else, that is logged. Raises InputError for a batch size that it does not have.
    """
    evaluation = Evaluation.read(args.work_dir)
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


def read_comparison(work_dir: str) -> Optional[Dict[str, Any]]:
    """What r2plus1d_compare.py printed, if test/pth2om.sh has left it in the folder; else None."""
    path = os.path.join(work_dir, 'compare.json')
    if not os.path.isfile(path) or not os.path.getsize(path):
        return None
    comparison = read_json(path, 'run test/pth2om.sh again')
    rows = comparison.get('models') if isinstance(comparison, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f'{path}: not what r2plus1d_compare.py prints; run test/pth2om.sh again')
    return dict(comparison)
