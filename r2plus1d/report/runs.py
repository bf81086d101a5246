# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The runs of a report: what each was (model, weights, data set, engine, machine), how accurate and how fast.

    results = read_results('work_dirs/demo', [1, 16])  # of test/eval_acc_perf.sh
    facts = identify_run(results[1], cfg, names)

All values are of the kinds that JSON has, so that the page can hand them on; the page puts them into words.
"""
from __future__ import annotations

import dataclasses
import glob
import os
import re
import shlex
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from r2plus1d.environment import Environment, cpu_name, describe_environment
from r2plus1d.metrics import GUIDE_CLASSES, GUIDE_VIDEOS, wilson_interval
from r2plus1d.outputs import Run, group_runs, time_of
from r2plus1d.results import Accuracy, Performance, Result, read_comparison, read_performance, read_result
from r2plus1d.run import InputError
from r2plus1d.summary import SUMMARY_ENDING

FULL_SIZE = {'type': 'ResNet2Plus1d', 'depth': 34, 'base_channels': 64}  # the backbone of the guide's R(2+1)D-34
LEAST_BATCHES_OF_P99 = 100  # of fewer, the 99th percentile is the slowest batch or lies between the two slowest


# ---- reading ---------------------------------------------------------------------------------------


def read_results(work_dir: str, batch_sizes: Sequence[int]) -> Dict[int, Result]:
    """By batch size. Raises InputError."""
    return {batch_size: read_result(work_dir, batch_size) for batch_size in batch_sizes}


def find_batch_sizes(work_dir: str) -> List[int]:
    """The batch sizes, ascending, of which test/eval_acc_perf.sh has left a result in a folder."""
    names = [os.path.basename(path) for path in glob.glob(f'{glob.escape(work_dir)}/result_bs*.json')]
    matches = [re.fullmatch(r'result_bs([1-9]\d*)\.json', name) for name in names]
    found = sorted(int(match[1]) for match in matches if match)
    if not found:
        raise InputError(f'{work_dir}: no result_bs<N>.json in it; run test/eval_acc_perf.sh for that folder')
    return found


def read_extra(name: str, folder: str) -> List[Run]:
    """The runs in a folder and up to two levels below: the newest of each batch size."""
    paths = []
    for level in ('', '*/', '*/*/'):
        paths += glob.glob(f'{glob.escape(folder)}/{level}*{SUMMARY_ENDING}')
    if not paths:
        raise InputError(f'--extra {name}={folder}: no *{SUMMARY_ENDING} in it')
    by_batch_size: Dict[int, List[List[str]]] = {}
    for summaries in group_runs(paths):
        by_batch_size.setdefault(Run(summaries).summary.batch_size, []).append(summaries)
    newest = {size: max(runs, key=time_of) if len(runs) > 1 else runs[0] for size, runs in by_batch_size.items()}
    return [Run(newest[size]) for size in sorted(newest)]


# ---- what was run ------------------------------------------------------------------------------------


def identify_run(result: Result, cfg: Any, names: Sequence[str]) -> Dict[str, Any]:
    """What a run was. NAMES of the classes. Whether its list of videos is that of CFG, check_list() says."""
    run, accuracy = result.run, result.accuracy
    performance = read_performance(run)
    engine = run.summary.engine or {'name': 'ais_bench', 'cpu': 'NPU'}
    environment = run.summary.environment
    noted = Environment.from_json(run.path, environment) if environment else None
    return {
        'work_dir': os.path.dirname(result.path) or '.',
        'model': name_model(cfg),
        'model_file': performance.model,
        'model_sha256': run.provenance.model_sha256,
        'weights': find_weights(os.path.dirname(result.path), performance.model),
        'config': cfg.filename,
        'num_videos': accuracy.num_videos,
        'num_expected': run.num_videos(accuracy.num_expected or accuracy.num_videos),
        'num_classes': len(names),
        'average_clips': accuracy.average_clips,
        'engine': {
            'name': engine['name'],
            'version': engine.get('version'),
            'precision': engine.get('precision'),
            'machine': engine['cpu'],
            'threads': engine.get('threads'),
            # an NPU's host, if it is the one that writes the page
            'host': cpu_name() if run.summary.engine is None else None,
        },
        'environment': dataclasses.asdict(noted or describe_environment()),
        'environment_is_of_report': not noted,
        'date': date_of_run(run),
        'command': ' '.join(shlex.quote(word) for word in performance.args),
    }


def read_backbone(cfg: Any) -> Dict[str, Any]:
    """The size of a config's backbone, in the form of FULL_SIZE."""
    backbone = cfg.get('model', {}).get('backbone', {})
    return {
        'type': backbone.get('type'),
        'depth': backbone.get('depth'),
        'base_channels': backbone.get('base_channels', 64),  # mmaction2's default
    }


def name_model(cfg: Any) -> str:
    """R(2+1)D-34, or the like, of a config."""
    backbone = read_backbone(cfg)
    if backbone['type'] != FULL_SIZE['type']:
        return str(backbone['type'])
    narrow = f', {backbone["base_channels"]} channels' if backbone['base_channels'] != 64 else ''
    return f'R(2+1)D-{backbone["depth"]}{narrow}'


def find_weights(work_dir: str, model: str) -> Optional[str]:
    """The file name of the checkpoint, where r2plus1d_compare.py has noted it for this model; else None."""
    comparison = read_comparison(work_dir)
    if comparison is None or comparison.checkpoint is None:
        return None
    compared = {os.path.basename(row.model) for row in comparison.models}
    return os.path.basename(comparison.checkpoint) if os.path.basename(model) in compared else None


def date_of_run(run: Run) -> Optional[str]:
    """Date and time from the name of a run, or its summary; None where neither says them."""
    match = re.search(r'(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)', os.path.basename(run.path) + (run.summary.time or ''))
    return '{}-{}-{} {}:{}'.format(*match.groups()) if match else None


def is_guides_run(cfg: Any, facts: Dict[str, Any]) -> bool:
    """Whether the original guide's figures compare with a run: the guide's model on the guide's data set.

    The config says which model it is: 34 layers of full width, 8 frames and three crops of 256. A digest of the model
    file would not do, since each training and each converter makes another file. The data set is known by its numbers:
    no other split of UCF-101, and hardly another data set, has 101 classes and 3,783 test videos.
    """
    steps = {step['type']: step for step in cfg.data.test.pipeline}
    return bool(read_backbone(cfg) == FULL_SIZE
                and steps.get('SampleFrames', {}).get('clip_len') == 8
                and steps.get('ThreeCrop', {}).get('crop_size') == 256
                and facts['num_classes'] == GUIDE_CLASSES
                and facts['num_videos'] == GUIDE_VIDEOS)


# ---- how accurate, how fast --------------------------------------------------------------------------


def describe_accuracy(accuracy: Accuracy) -> Dict[str, Any]:
    """An accuracy JSON with the 95% confidence intervals of top-1 and top-5, and the videos that are right."""
    total = accuracy.num_videos
    described = dataclasses.asdict(accuracy)
    for key in ('top1', 'top5'):
        right = round(described[f'{key}_acc'] * total)
        described[f'{key}_right'] = right
        described[f'{key}_interval'] = wilson_interval(right, total)
    return described


def describe_speed(source: Optional[str], run: Run, performance: Performance) -> Dict[str, Any]:
    """The speed of one batch size. p99_ms is None where there are too few batches for it.

    SOURCE: the name of other runs than those that the report is about. views: None where the summary does not say them.
    """
    has_p99 = performance.batches >= LEAST_BATCHES_OF_P99
    shape = run.summary.sample_shape
    return {
        'source': source,
        'model_file': performance.model,
        'engine': performance.engine,
        'batch_size': performance.batch_size,
        'batches': performance.batches,
        'views': shape[0] if shape else None,
        'videos_per_second': performance.rate,
        'median_ms': performance.median,
        'p99_ms': performance.p99 if has_p99 else None,
        'quantiles_ms': np.percentile(performance.times, [0, 25, 50, 75, 100]).tolist(),
        'devices': [device._asdict() for device in performance.devices],
    }
