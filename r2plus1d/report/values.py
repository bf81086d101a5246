# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""All values of the page of r2plus1d_report.py, by name.

    values = collect(Settings(work_dir='work_dirs/demo', batch_sizes=[1, 16], ...))
"""
from __future__ import annotations

import dataclasses
import datetime
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from r2plus1d.data import Clips, config_digest, read_config, shape_of_config
from r2plus1d.environment import describe_environment
from r2plus1d.lists import check_names_of_videos
from r2plus1d.metrics import GUIDE_CLASSES, GUIDE_VIDEOS
from r2plus1d.onnx_files import class_names
from r2plus1d.outputs import Run
from r2plus1d.report import figures, mistakes
from r2plus1d.report.runs import (
    describe_accuracy,
    describe_speed,
    find_batch_sizes,
    identify_run,
    is_guides_run,
    read_extra,
    read_results,
)
from r2plus1d.results import Evaluation, Result, judge_accuracy, read_comparison, read_performance
from r2plus1d.run import InputError

CLIP_BYTES = 1_700_000  # of all clips; base64 makes 2.3 MB of them, which leaves 0.7 MB of 3 for the rest


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of r2plus1d_report.py, and what they leave to evaluation.json."""

    work_dir: str
    batch_sizes: List[int]
    config: str
    classes: Optional[str]
    reference: float
    tolerance: float
    evaluation: Optional[Evaluation] = None
    dataset: Optional[str] = None
    extra: Sequence[Tuple[str, str]] = ()  # names and folders
    compare: Optional[str] = None
    examples: int = 8
    crops: Optional[int] = None


def collect(settings: Settings) -> Dict[str, Any]:
    """Raises InputError."""
    results = read_results(settings.work_dir, settings.batch_sizes)
    first = results[settings.batch_sizes[0]]
    comparison = read_comparison(settings.work_dir)
    cfg = config_of_run(settings, first.run)
    source, names = class_names(first.run.model, cfg, settings.classes)
    if not names:
        raise InputError(f'{source}: names no classes, nor does the model; give their list by --classes')
    listed = Clips(cfg)
    check_names_of_videos(source, names, zip(listed.names, listed.labels))
    clips = mistakes.join_clips(first, listed)
    views = first.run.views(settings.crops or first.accuracy.views, shape_of_config(cfg))
    predictions = mistakes.read_predictions(first, views)
    facts = {**identify_run(first, cfg, names), 'list_file': listed.videos.list_file if clips else None}
    return {
        'views': views,
        'written': {'date': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'),
                    **dataclasses.asdict(describe_environment())},
        'is_guides': is_guides_run(cfg, facts),
        'agreement': dataclasses.asdict(comparison) if comparison else None,
        'facts': {**facts, 'dataset': settings.dataset or name_of_dataset(facts)},
        **describe_results(settings, results),
        **describe_mistakes(predictions, clips, names),
        'examples': describe_examples(predictions, clips, settings.examples),
        'other': describe_other(settings, cfg, clips, predictions) if settings.compare else None,
    }


def config_of_run(settings: Settings, run: Run) -> Any:
    """The config that the run was of, with the list and the folder of videos where they are found from here."""
    cfg = read_config(settings.config)
    noted = run.provenance.config_sha256
    if noted and noted != config_digest(cfg):
        raise InputError(f'{settings.config}: its data.test is not that of {run.path}; give the --config of that run')
    evaluation = settings.evaluation
    if evaluation and os.path.realpath(settings.config) == os.path.realpath(evaluation.config):
        for key in ('ann_file', 'data_prefix'):
            if cfg.data.test.get(key):
                cfg.data.test[key] = os.path.join(evaluation.folder, cfg.data.test[key])
    return cfg


def name_of_dataset(facts: Mapping[str, Any]) -> Optional[str]:
    """None where neither its size nor its list has a name."""
    if (facts['num_classes'], facts['num_videos']) == (GUIDE_CLASSES, GUIDE_VIDEOS):
        return 'UCF-101, test split 1'
    return os.path.basename(facts['list_file']) if facts['list_file'] else None


def describe_results(settings: Settings, results: Mapping[int, Result]) -> Dict[str, Any]:
    """The values about the accuracy and the speed of this run."""
    accuracies = {batch_size: describe_accuracy(result.accuracy) for batch_size, result in results.items()}
    judged = [result.accuracy for result in results.values()]
    top1, passed = judge_accuracy(judged, settings.reference, settings.tolerance)
    sources: List[Tuple[Optional[str], Run]] = [(None, result.run) for result in results.values()]  # None: this run
    for name, folder in settings.extra:
        sources += [(name, run) for run in read_extra(name, folder)]
    performances = [read_performance(run) for _, run in sources]
    longest: Dict[Optional[str], float] = {}  # ms a video, by source: the rows of a source are drawn to one scale
    for (source, _), performance in zip(sources, performances):
        longest[source] = max(longest.get(source, 0), performance.times.max() / performance.batch_size)
    speeds = [describe_speed(source, run, performance) for (source, run), performance in zip(sources, performances)]
    return {
        'accuracies': accuracies,
        'accuracy': min(accuracies.values(), key=lambda accuracy: accuracy['top1_acc']),
        'verdict': {'passed': passed, 'top1': top1, 'reference': settings.reference, 'tolerance': settings.tolerance},
        'speeds': speeds,
        'fastest': max(speeds[:len(results)], key=lambda speed: float(speed['videos_per_second'])),
        'sources': list(longest),
        'longest': longest,
        'marks': [figures.time_marks(performance.times / performance.batch_size, longest[source])
                  for (source, _), performance in zip(sources, performances)],
    }


def describe_mistakes(predictions: mistakes.Predictions, clips: Optional[Clips],
                      names: Sequence[str]) -> Dict[str, Any]:
    """The values about classes and confusions."""
    matrix = mistakes.count_confusions(predictions.labels, predictions.predicted, len(names))
    has_other = bool(matrix[:, -1].any())
    if not has_other:
        matrix = matrix[:, :-1]  # no video was given a class without a name
    return {
        'names': names,
        'classes': mistakes.describe_classes(matrix),
        'pairs': mistakes.confused_pairs(matrix),
        'has_other': has_other,
        'matrix': matrix,
        'cells': figures.matrix_cells(matrix),
        'videos': mistakes.list_videos(predictions, clips),
    }


def describe_examples(predictions: mistakes.Predictions, clips: Optional[Clips],
                      count: int) -> List[Tuple[mistakes.Example, figures.Clip]]:
    """Wrongly classified videos, then rightly classified ones; none without CLIPS."""
    wrong, right = mistakes.choose_examples(predictions, count)
    examples = []
    for index in [*wrong, *right]:
        if clips is None:
            break
        example = mistakes.make_example(index, predictions, clips)
        clip = figures.encode_clip(example.frames, CLIP_BYTES // (len(wrong) + len(right)))
        examples.append((example._replace(frames=[]), clip))
    return examples


def describe_other(settings: Settings, cfg: Any, clips: Optional[Clips],
                   predictions: mistakes.Predictions) -> Dict[str, Any]:
    """The values about the run of --compare.

    Its videos are compared with those of this run one by one, where both runs say that they are of the same list.
    """
    folder = str(settings.compare)
    found = find_batch_sizes(folder)
    results = read_results(folder, [size for size in settings.batch_sizes if size in found] or found)
    first = next(iter(results.values()))
    other: Dict[str, Any] = {
        'facts': identify_run(first, cfg, ()),
        'accuracy': describe_accuracy(first.accuracy),
        'speeds': [describe_speed(None, result.run, read_performance(result.run)) for result in results.values()],
        'videos': None,
    }
    try:
        if clips is None or mistakes.join_clips(first, clips) is None:
            raise InputError('one of the runs does not note its list of videos')
        views = first.run.views(first.accuracy.views, shape_of_config(cfg))
        other['videos'] = mistakes.compare_predictions(predictions, mistakes.read_predictions(first, views))
    except InputError as e:  # the page says it in the place of this comparison
        other['reason'] = str(e)
    return other
