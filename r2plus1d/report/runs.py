# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""All values of the page of r2plus1d_report.py, by name: what each run was, how accurate, how fast.

    values = collect(ReportSettings(work_dir='work_dirs/demo', batch_sizes=[1, 16], ...))

They are of the kinds that JSON has, so that the page can hand them on; the page puts them into words.
"""
from __future__ import annotations

import dataclasses
import datetime
import glob
import os
import re
import shlex
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.bins import config_digest
from r2plus1d.class_names import class_names
from r2plus1d.comparison import read_comparison
from r2plus1d.data import Clips, read_config, shape_of_config
from r2plus1d.environment import Environment, cpu_name, describe_environment
from r2plus1d.lists import check_names_of_videos
from r2plus1d.metrics import accuracy_of_scores
from r2plus1d.outputs import Run
from r2plus1d.report import figures
from r2plus1d.results import (
    Accuracy,
    Evaluation,
    Result,
    find_batch_sizes,
    judge,
    read_performance,
    read_result,
)
from r2plus1d.run import FOLDER, InputError
from r2plus1d.store import is_within
from r2plus1d.summary import SUMMARY_ENDING, Summary, group_runs, newest_of

GUIDES_BACKBONE = {'type': 'ResNet2Plus1d', 'depth': 34, 'base_channels': 64}
LEAST_BATCHES_OF_P99 = 100  # of fewer, the 99th percentile is the slowest batch or lies between the two slowest


@dataclasses.dataclass(frozen=True)
class ReportSettings:
    """The options of r2plus1d_report.py, and what they leave to the record of the evaluation."""

    work_dir: str
    batch_sizes: List[int]
    config: str
    classes: Optional[str]
    tolerance: float
    reference: Optional[float] = None
    evaluation: Optional[Evaluation] = None
    dataset: Optional[str] = None
    extra: Sequence[Tuple[str, str]] = ()  # names and folders
    compare: Optional[str] = None
    examples: int = 8
    crops: Optional[int] = None


def collect(settings: ReportSettings) -> Dict[str, Any]:
    """Raises InputError."""
    results = {size: read_result(settings.work_dir, size) for size in settings.batch_sizes}
    first = results[settings.batch_sizes[0]]
    cfg = config_of_run(settings, first.run)
    source, names = class_names(first.run.model, cfg, settings.classes)
    if not names:
        raise InputError(f'{source}: names no classes, nor does the model; give their list by --classes')
    listed = Clips(cfg)
    check_names_of_videos(source, names, zip(listed.names, listed.labels))
    clips = figures.join_clips(first, listed)
    views = first.run.views(settings.crops or first.accuracy.views, shape_of_config(cfg))
    predictions = figures.read_predictions(first, views)
    matrix = figures.count_confusions(predictions.labels, predictions.predicted, len(names))
    classes = figures.describe_classes(matrix)
    comparison = read_comparison(settings.work_dir)
    list_file = str(listed.videos.list_file)
    name = 'UCF-101, test split 1' if first.is_of_ucf101 else os.path.basename(list_file) if clips else None
    return {
        'views': views,
        'written': {'date': datetime.datetime.now().astimezone().isoformat(' ', 'minutes'),
                    'commit': describe_environment().commit},
        'is_guides': first.is_of_ucf101 and is_guides_model(cfg),
        'agreement': dataclasses.asdict(comparison) if comparison else None,
        'facts': {**identify_run(first, cfg), 'num_classes': len(names), 'dataset': settings.dataset or name,
                  'list_file': shorten(list_file, settings.work_dir) if clips else None,
                  'training_videos': settings.evaluation.training_videos if settings.evaluation else 0},
        'verdict': dataclasses.asdict(judge(results, settings.reference, settings.tolerance)),
        **describe_results(settings, cfg, results),
        'names': names,
        'matrix': matrix,
        'cells': figures.matrix_cells(matrix),
        'classes': classes,
        'pairs': figures.confused_pairs(classes),
        'videos': figures.list_videos(predictions, clips),
        'examples': figures.make_examples(predictions, clips, settings.examples),
        'other': describe_other(settings, cfg, clips, predictions) if settings.compare else None,
    }


# ---- reading ---------------------------------------------------------------------------------------


def config_of_run(settings: ReportSettings, run: Run) -> Any:
    """The config that the run was of, with the list and the folder of videos where they are found from here."""
    cfg = read_config(settings.config)
    if run.config_sha256 not in (None, config_digest(cfg)):
        raise InputError(f'{settings.config}: its data.test is not that of {run.path}; give the --config of that run')
    evaluation = settings.evaluation
    if evaluation and os.path.realpath(settings.config) == os.path.realpath(evaluation.config):
        for key in ('ann_file', 'data_prefix'):
            if cfg.data.test.get(key):
                cfg.data.test[key] = os.path.join(evaluation.folder, cfg.data.test[key])
    return cfg


def read_extra(name: str, folder: str) -> List[Run]:
    """The runs in a folder and up to two levels below: the newest of each batch size."""
    patterns = [f'{glob.escape(folder)}/{level}*{SUMMARY_ENDING}' for level in ('', '*/', '*/*/')]
    paths = [path for pattern in patterns for path in glob.glob(pattern)]
    if not paths:
        raise InputError(f'--extra {name}={folder}: no *{SUMMARY_ENDING} in it')
    by_batch_size: Dict[int, List[List[str]]] = {}
    for summaries in group_runs(paths):
        by_batch_size.setdefault(Run(summaries).summary.batch_size, []).append(summaries)
    return [Run(newest_of(by_batch_size[size])) for size in sorted(by_batch_size)]


def read_other(settings: ReportSettings, average_clips: str) -> Dict[int, Result]:
    """The results in the folder of --compare, of one batch size at least; or of the outputs of an inference there."""
    folder = str(settings.compare)
    if glob.glob(f'{glob.escape(folder)}/result_bs*.json'):
        found = find_batch_sizes(folder)
        return {size: read_result(folder, size) for size in [s for s in settings.batch_sizes if s in found] or found}
    run = Run.open(folder)
    views, num_videos = run.views(), run.num_videos()
    accuracy = accuracy_of_scores(*run.scores(views, num_videos), average_clips)
    content = {**accuracy, 'views': views, 'num_expected': num_videos}
    return {run.summary.batch_size: Result(run.path, Accuracy.from_json(run.path, content), run)}


# ---- what was run ------------------------------------------------------------------------------------


def identify_run(result: Result, cfg: Any) -> Dict[str, Any]:
    """What a run was. Whether its list of videos is that of CFG, join_clips() says."""
    run, work_dir = result.run, os.path.dirname(result.path) or '.'
    summary = run.summary
    engine = summary.engine or {'name': 'ais_bench', 'cpu': 'NPU'}
    environment = Environment.from_json(run.path, summary.environment) if summary.environment else None
    comparison = read_comparison(work_dir)
    model = summary.model or 'unknown model'
    return {
        'work_dir': work_dir,
        'model': name_model(cfg),
        'model_file': shorten(model, work_dir),
        'model_sha256': summary.model_sha256,
        'weights': comparison.weights_of(model) if comparison else None,
        'config': shorten(cfg.filename, work_dir),
        'num_videos': result.accuracy.num_videos,
        'num_expected': result.num_expected,
        'views': result.accuracy.views,
        'average_clips': result.accuracy.average_clips,
        'engine': {**{key: engine.get(key) for key in ('name', 'version', 'precision', 'threads', 'streams')},
                   'machine': engine['cpu'],
                   'host': None if summary.engine else cpu_name()},  # an NPU's, if it is the one that writes the page
        'environment': dataclasses.asdict(environment or describe_environment()),
        'environment_is_of_report': not environment,
        'date': date_of_run(summary),
        'command': ' '.join(shlex.quote(shorten(str(word), work_dir)) for word in summary.args or ()),
    }


def shorten(path: str, work_dir: str) -> str:
    """An absolute path in the work folder, or in that of the scripts, from there on."""
    for folder in (os.path.realpath(work_dir), FOLDER):
        if os.path.isabs(path) and is_within(os.path.realpath(path), folder):
            return os.path.relpath(os.path.realpath(path), folder)
    return path


def read_backbone(cfg: Any) -> Dict[str, Any]:
    """The size of a config's backbone, in the form of GUIDES_BACKBONE."""
    backbone = cfg.get('model', {}).get('backbone', {})
    return {'type': backbone.get('type'), 'depth': backbone.get('depth'),
            'base_channels': backbone.get('base_channels', 64)}  # mmaction2's default


def name_model(cfg: Any) -> str:
    """R(2+1)D-34, or the like, of a config."""
    backbone = read_backbone(cfg)
    if backbone['type'] != GUIDES_BACKBONE['type']:
        return str(backbone['type'])
    narrow = f', {backbone["base_channels"]} channels' if backbone['base_channels'] != 64 else ''
    return f'R(2+1)D-{backbone["depth"]}{narrow}'


def is_guides_model(cfg: Any) -> bool:
    """Whether a config is of the original guide's model: 34 layers of full width, 8 frames and three crops of 256."""
    steps = {step['type']: step for step in cfg.data.test.pipeline}
    return bool(read_backbone(cfg) == GUIDES_BACKBONE and steps.get('SampleFrames', {}).get('clip_len') == 8
                and steps.get('ThreeCrop', {}).get('crop_size') == 256)


def date_of_run(summary: Summary) -> Optional[str]:
    """Date and time of a run by its summary, with the zone, or by its name; None where neither says them."""
    form = r'(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_\d\d(?:([+-]\d\d)(\d\d))?'
    match = re.search(form, summary.time or '') or re.search(form, os.path.basename(summary.folder))
    if not match:
        return None
    date = '{}-{}-{} {}:{}'.format(*match.groups())
    return f'{date}{match[6]}:{match[7]}' if match[6] else date


# ---- how accurate, how fast --------------------------------------------------------------------------


def describe_accuracy(accuracy: Accuracy) -> Dict[str, Any]:
    """An accuracy JSON with the 95% confidence intervals of top-1 and top-5, and the videos that are right."""
    described = dataclasses.asdict(accuracy)
    for key in ('top1', 'top5'):
        described[f'{key}_right'] = accuracy.right(f'{key}_acc')
        described[f'{key}_interval'] = accuracy.interval(f'{key}_acc')
    return described


def describe_speed(name: Optional[str], run: Run) -> Dict[str, Any]:
    """The speed of one batch size. p99_ms is None where there are too few batches for it.

    NAME: of --extra; None for the run that the report is about. views: None where the summary does not say them.
    """
    performance, summary = read_performance(run), run.summary
    engine = summary.engine
    return {
        'source': name,
        'model_file': os.path.basename(summary.model or 'unknown model'),
        'engine': '{name} {version}, {precision}, on {cpu}'.format(**engine) if engine else 'ais_bench, on an NPU',
        'batch_size': performance.batch_size,
        'batches': len(performance.times),
        'views': summary.sample_shape[0] if summary.sample_shape else None,
        'videos_per_second': performance.rate,
        'median_ms': performance.median,
        'p99_ms': performance.p99 if len(performance.times) >= LEAST_BATCHES_OF_P99 else None,
        'quantiles_ms': np.percentile(performance.times, [0, 25, 50, 75, 100]).tolist(),
        'devices': [{'name': device, 'rate': performance.rate_of(device), 'median': float(np.median(ms))}
                    for device, ms in performance.devices.items() if len(performance.devices) > 1],
    }


def describe_results(settings: ReportSettings, cfg: Any, results: Mapping[int, Result]) -> Dict[str, Any]:
    """The values about the accuracy and the speed of this run, and about the speed of the other ones of --extra.

    scale, ratio: of a row, to the fastest and to the first row of the same model. What a name of --extra has before a
    comma is a model; what it has behind it says more of the run.
    """
    accuracies = {size: describe_accuracy(result.accuracy) for size, result in results.items()}
    runs: List[Tuple[Optional[str], Run]] = [(None, result.run) for result in results.values()]
    runs += [(name, run) for name, folder in settings.extra for run in read_extra(name, folder)]
    speeds = [describe_speed(name, run) for name, run in runs]
    times = [read_performance(run).times / speed['batch_size'] for (_, run), speed in zip(runs, speeds)]  # ms a video
    for speed in speeds:
        speed['model'] = (speed['source'] or name_model(cfg)).partition(',')[0]
    for speed, ms in zip(speeds, times):
        rates = [other['videos_per_second'] for other in speeds if other['model'] == speed['model']]
        longest = max(other.max() for other, row in zip(times, speeds) if row['source'] == speed['source'])
        speed.update(scale=speed['videos_per_second'] / max(rates), ratio=speed['videos_per_second'] / rates[0],
                     longest=float(longest), marks=figures.time_marks(ms, longest))
    return {
        'accuracies': accuracies,
        'accuracy': min(accuracies.values(), key=lambda accuracy: accuracy['top1_acc']),
        'speeds': speeds,
        'fastest': max(speeds[:len(results)], key=lambda speed: float(speed['videos_per_second'])),
    }


def describe_other(settings: ReportSettings, cfg: Any, clips: Optional[Clips],
                   predictions: figures.Predictions) -> Dict[str, Any]:
    """The values about the run of --compare. Its videos are compared with those of this run one by one, where both runs
    say that they are of the same list.
    """
    results = read_other(settings, 'score')
    first = next(iter(results.values()))
    other: Dict[str, Any] = {
        'facts': identify_run(first, cfg),
        'accuracy': describe_accuracy(first.accuracy),
        'speeds': [describe_speed(None, result.run) for result in results.values()],
        'videos': None,
    }
    try:
        if clips is None or figures.join_clips(first, clips) is None:
            raise InputError('one of the runs does not note its list of videos')
        views = first.run.views(first.accuracy.views, shape_of_config(cfg))
        other['videos'] = figures.compare_predictions(predictions, figures.read_predictions(first, views))
    except InputError as e:  # the page says it in the place of this comparison
        other['reason'] = str(e)
    return other
