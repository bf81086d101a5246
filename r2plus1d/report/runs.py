# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The runs of a report: what each was (model, weights, data set, engine, machine), how accurate and how fast.

    runs = read_runs('work_dirs/demo', [1, 16])            # of test/eval_acc_perf.sh
    facts = identify_run(runs[1], cfg, num_classes=101, dataset=None)
    is_guides = is_guides_run(cfg, facts)

All values are of the kinds that JSON has, so that the page can hand them on; the page puts them into words.
"""
import collections
import glob
import os
import re
import shlex
import time

import numpy as np

from r2plus1d.engine_base import cpu_name
from r2plus1d.environment import describe_environment
from r2plus1d.metrics import GUIDE_CLASSES, GUIDE_VIDEOS, wilson_interval
from r2plus1d.outputs import SUMMARY_ENDING
from r2plus1d.results import read_comparison, read_performance, read_result, result_path
from r2plus1d.run import InputError
from r2plus1d.store import read_json

FULL_SIZE = {'type': 'ResNet2Plus1d', 'depth': 34, 'base_channels': 64}  # the backbone of the guide's R(2+1)D-34
LEAST_BATCHES_OF_P99 = 100  # of fewer, the 99th percentile is the slowest batch or lies between the two slowest

# One batch size: its folder, path of its accuracy JSON, the content of that, paths of its summaries, the content of the
# first of these, a Performance.
Run = collections.namedtuple('Run', 'work_dir result accuracy summaries summary performance')


# ---- reading ---------------------------------------------------------------------------------------


def read_runs(work_dir, batch_sizes):
    """{batch size: Run}. Raises InputError."""
    runs = {}
    for batch_size in batch_sizes:
        accuracy, summaries = read_result(work_dir, batch_size)
        performance = read_performance(summaries)
        path = result_path(work_dir, batch_size)
        runs[batch_size] = Run(work_dir, path, accuracy, summaries, read_json(summaries[0]), performance)
    return runs


def find_batch_sizes(work_dir):
    """The batch sizes, ascending, of which test/eval_acc_perf.sh has left a result in a folder."""
    names = [os.path.basename(path) for path in glob.glob(f'{glob.escape(work_dir)}/result_bs*.json')]
    matches = [re.fullmatch(r'result_bs([1-9]\d*)\.json', name) for name in names]
    found = sorted(int(match[1]) for match in matches if match)
    if not found:
        raise InputError(f'{work_dir}: no result_bs<N>.json in it; run test/eval_acc_perf.sh for that folder')
    return found


def read_extra(name, folder):
    """[Performance] of the summaries in a folder and up to two levels below: the newest of each batch size."""
    paths = []
    for level in ('', '*/', '*/*/'):
        paths += glob.glob(f'{glob.escape(folder)}/{level}*{SUMMARY_ENDING}')
    if not paths:
        raise InputError(f'--extra {name}={folder}: no *{SUMMARY_ENDING} in it')
    newest = {}
    for path in sorted(paths, key=os.path.getmtime):
        performance = read_performance([path])
        newest[performance.batch_size] = performance
    return [newest[batch_size] for batch_size in sorted(newest)]


# ---- what was run ------------------------------------------------------------------------------------


def identify_run(run, cfg, num_classes, dataset):
    """What a run was, as a dict. DATASET: the name of its data set, or None where nobody has given one."""
    num_videos = run.accuracy['num_videos']
    list_file = cfg.data.test.ann_file
    if dataset is None and (num_classes, num_videos) == (GUIDE_CLASSES, GUIDE_VIDEOS):
        dataset = 'UCF-101, test split 1'
    noted = run.summary.get('environment')
    return {
        'work_dir': run.work_dir,
        'model': name_model(cfg),
        'model_file': run.performance.model,
        'model_sha256': run.summary.get('model_sha256'),
        'weights': find_weights(run),
        'dataset': dataset or os.path.basename(list_file),
        'list_file': list_file,
        'config': cfg.filename,
        'num_videos': num_videos,
        'num_classes': num_classes,
        'average_clips': run.accuracy['average_clips'],
        'engine': describe_engine(run.summary),
        'environment': noted if isinstance(noted, dict) else describe_environment(),
        'environment_is_of_report': not isinstance(noted, dict),
        'date': date_of_run(run.summaries[0]),
        'command': ' '.join(shlex.quote(word) for word in run.performance.args),
    }


def read_backbone(cfg):
    """The size of a config's backbone, in the form of FULL_SIZE."""
    backbone = cfg.get('model', {}).get('backbone', {})
    return {
        'type': backbone.get('type'),
        'depth': backbone.get('depth'),
        'base_channels': backbone.get('base_channels', 64),  # mmaction2's default
    }


def name_model(cfg):
    """R(2+1)D-34, or the like, of a config."""
    backbone = read_backbone(cfg)
    if backbone['type'] != FULL_SIZE['type']:
        return str(backbone['type'])
    narrow = f', {backbone["base_channels"]} channels' if backbone['base_channels'] != 64 else ''
    return f'R(2+1)D-{backbone["depth"]}{narrow}'


def find_weights(run):
    """The file name of the checkpoint, where r2plus1d_compare.py has noted it for the model of this run; else None."""
    comparison = read_comparison(run.work_dir) or {}
    models = [row.get('model') for row in comparison.get('models', []) if isinstance(row, dict)]
    compared = {os.path.basename(model) for model in models if isinstance(model, str)}
    checkpoint = comparison.get('checkpoint')
    if os.path.basename(run.performance.model) in compared and isinstance(checkpoint, str):
        return os.path.basename(checkpoint)
    return None


def describe_engine(summary):
    """What ran: a dict of name, version, precision, machine and threads, with None for what is not noted.

    read_performance() has accepted the SUMMARY. The summary of ais_bench does not name ais_bench.
    """
    engine = summary.get('engine') or {'name': 'ais_bench', 'cpu': 'NPU'}
    return {
        'name': engine['name'],
        'version': engine.get('version'),
        'precision': engine.get('precision'),
        'machine': engine['cpu'],
        'threads': engine.get('threads'),
        'host': cpu_name() if 'engine' not in summary else None,  # an NPU's host, if it is the one that wrote the page
    }


def date_of_run(summary):
    """Date and time from the name of a summary, or else when the file was written."""
    match = re.search(r'(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)', os.path.basename(summary))
    if match:
        return '{}-{}-{} {}:{}'.format(*match.groups())
    return time.strftime('%Y-%m-%d %H:%M', time.localtime(os.path.getmtime(summary)))


def is_guides_run(cfg, facts):
    """Whether the original guide's figures compare with a run: the guide's model on the guide's data set.

    The config says which model it is: 34 layers of full width, 8 frames and three crops of 256. A digest of the model
    file would not do, since each training and each converter makes another file. The data set is known by its numbers:
    no other split of UCF-101, and hardly another data set, has 101 classes and 3,783 test videos.
    """
    steps = {step['type']: step for step in cfg.data.test.pipeline}
    return (read_backbone(cfg) == FULL_SIZE
            and steps.get('SampleFrames', {}).get('clip_len') == 8
            and steps.get('ThreeCrop', {}).get('crop_size') == 256
            and facts['num_classes'] == GUIDE_CLASSES
            and facts['num_videos'] == GUIDE_VIDEOS)


# ---- how accurate, how fast --------------------------------------------------------------------------


def describe_accuracy(accuracy):
    """An accuracy JSON with the 95% confidence intervals of top-1 and top-5, and the videos that are right."""
    total = accuracy['num_videos']
    described = dict(accuracy)
    for key in ('top1', 'top5'):
        right = round(accuracy[f'{key}_acc'] * total)
        described[f'{key}_right'] = right
        described[f'{key}_interval'] = wilson_interval(right, total)
    return described


def describe_speed(source, performance):
    """The speed of one batch size, as a dict. p99_ms is None where there are too few batches for it."""
    has_p99 = performance.batches >= LEAST_BATCHES_OF_P99
    return {
        'source': source,
        'model_file': performance.model,
        'engine': performance.engine,
        'batch_size': performance.batch_size,
        'batches': performance.batches,
        'videos_per_second': performance.rate,
        'median_ms': performance.median,
        'p99_ms': performance.p99 if has_p99 else None,
        'quantiles_ms': np.percentile(performance.times, [0, 25, 50, 75, 100]).tolist(),
        'devices': [device._asdict() for device in performance.devices],
    }
