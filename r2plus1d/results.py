# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation has left, for the report and the verdict: the speed of a run, the files of test/eval_acc_perf.sh.

    speed = read_performance(find_summaries('predata_bts1_bs16_out'))
    accuracy, summaries = read_result('.', batch_size=16)
"""
import argparse
import collections
import math
import os
import re

import numpy as np

from r2plus1d.metrics import accuracy_of_scores, average_crops
from r2plus1d.outputs import find_summaries, latency_statistics, option_of, read_run
from r2plus1d.run import InputError, one_line
from r2plus1d.store import is_count, is_fraction, read_json

Performance = collections.namedtuple('Performance', 'batch_size batches rate times median p99 devices model engine cpu '
                                     'args')
DeviceSpeed = collections.namedtuple('DeviceSpeed', 'name rate median p99')


def read_performance(summaries):
    """The speed of a run, from its summary files (several where several devices wrote one each). Raises InputError.

    batch_size; batches: how many; rate: samples/s, the sum over the devices; times: ms of each batch, an array; median,
    p99: ms, of all batches; devices: a DeviceSpeed for each device, [] where there is one only; model: its file name;
    engine: what ran, as text; cpu: that of the machine that ran it, None where the summary does not say it; args: the
    command line.
    """
    content = [read_json(path) for path in summaries]
    devices = [device for path, summary in zip(summaries, content) for device in device_times(path, summary)]
    batch_size = batch_size_of(summaries[0], content[0])
    for path, summary in zip(summaries, content):
        check_figures(path, summary, batch_size)
    times = np.concatenate([ms for _, ms in devices])
    speeds = [DeviceSpeed(name, 1000 * batch_size / float(np.mean(ms)), *median_and_p99(ms)) for name, ms in devices]
    try:
        args = [str(arg) for arg in content[0]['args']]
        engine = describe_engine(content[0])
        cpu = (content[0].get('engine') or {}).get('cpu')
    except (KeyError, TypeError, AttributeError, IndexError):
        raise InputError(f'{summaries[0]}: not a summary of ais_bench or r2plus1d_infer.py')
    median, p99 = median_and_p99(times)
    return Performance(batch_size=batch_size, batches=len(times), rate=sum(speed.rate for speed in speeds), times=times,
                       median=median, p99=p99, devices=speeds if len(speeds) > 1 else [],
                       model=option_of(args, ('--model', '-m'), 'unknown model'), engine=engine, cpu=cpu, args=args)


def median_and_p99(times):
    """They are computed here and not read, since some versions of ais_bench leave them out or call them otherwise."""
    return float(np.median(times)), float(np.percentile(times, 99))


def device_times(path, summary):
    """[(name of the device, ms of each of its batches)] of one summary file. Raises InputError."""
    try:
        times = np.array(summary['npu_compute_time_list'], float)
        counts = summary.get('batches_by_device') or {device_of(path): len(times)}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f'{path}: not a summary of ais_bench or r2plus1d_infer.py')
    if times.ndim != 1 or not len(times) or not (np.isfinite(times) & (times > 0)).all():
        raise InputError(f'{path}: not a summary of ais_bench or r2plus1d_infer.py: its npu_compute_time_list '
                         'is not a list of times in ms')
    ends = np.cumsum(list(counts.values()))
    return list(zip(counts, np.split(times, ends[:-1])))


def check_figures(path, summary, batch_size):
    """Raise InputError where the figures of a summary are not those of its times: something has changed one of them.

    Where ais_bench overlaps copying and computing, it notes a mean only, which is of something else.
    """
    noted = summary.get('NPU_compute_time')
    if isinstance(noted, dict) and 'min' in noted:
        figures = latency_statistics(np.concatenate([ms for _, ms in device_times(path, summary)]))
        for key in figures.keys() & noted.keys():
            if not is_close(noted[key], figures[key]):
                raise InputError(f'{path}: was changed: its NPU_compute_time has the {key} {one_line(noted[key], 50)}, '
                                 f'and that of its npu_compute_time_list is {figures[key]:g}; run the inference again')
    if 'batchsize' in summary:  # r2plus1d_infer.py wrote it, else the batch size comes from the throughput
        rate = sum(1000 * batch_size / float(np.mean(ms)) for _, ms in device_times(path, summary))
        if not is_close(summary.get('throughput'), rate):
            raise InputError(f'{path}: was changed: its throughput is {one_line(summary.get("throughput"), 50)}, and '
                             f'that of its times at batch size {batch_size} is {rate:g}; run the inference again')


def is_close(value, expected):
    """Whether a value from a JSON file is the number EXPECTED, as far as another rounding allows."""
    return isinstance(value, (int, float)) and math.isclose(value, expected, rel_tol=1e-6)


def device_of(path):
    """device0 of .../device0_summary.json, and of .../device0_1_summary.json of later versions, which add a number."""
    return os.path.basename(path).split('_')[0]


def batch_size_of(path, summary):
    """The batch size of a run. ais_bench does not note it, but its throughput is 1000 * batch size / mean ms."""
    try:
        batch_size = summary.get('batchsize')
        if batch_size is None:
            batch_size = round(summary['throughput'] * summary['NPU_compute_time']['mean'] / 1000)
        if is_count(batch_size):
            return batch_size
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise InputError(f'{path}: not a summary of ais_bench or r2plus1d_infer.py: it has no batch size')


def describe_engine(summary):
    """Which engine a summary is of, as one line of text. ais_bench does not say it in its summary."""
    engine = summary.get('engine')
    if not engine and 'r2plus1d_infer' in str(summary['args'][0]):
        return 'r2plus1d_infer.py of a version that did not note its engine'
    if not engine:
        return 'ais_bench, on an NPU'
    return f'{engine["name"]} {engine["version"]}, {engine["precision"]}, on {engine["cpu"]}'


# ---- the files of test/eval_acc_perf.sh ------------------------------------------------------------

BATCH_SIZES_FORM = re.compile(r'\s*[1-9]\d*(\s+[1-9]\d*)*\s*')
NUM_CLASSES = 400  # of outputs in .bin files, which have no shape; test/eval_acc_perf.sh asks for text
ACCURACY_KEYS = ('top1_acc', 'top5_acc', 'mean_class_accuracy', 'num_videos', 'average_clips')


def parse_batch_sizes(text):
    """Type of the option --batch_sizes: "1 16" gives [1, 16]. A number that stands there twice counts once."""
    if not BATCH_SIZES_FORM.fullmatch(text):
        raise argparse.ArgumentTypeError(f'"{text}" is not a list of numbers with spaces between, such as "1 16"')
    return list(dict.fromkeys(int(word) for word in text.split()))


def outputs_folder(work_dir, batch_size):
    return os.path.join(work_dir, f'predata_bts1_bs{batch_size}_out')


def result_path(work_dir, batch_size):
    return os.path.join(work_dir, f'result_bs{batch_size}.json')


def read_comparison(work_dir):
    """What r2plus1d_compare.py printed, if test/pth2om.sh has left it in the folder; else None."""
    path = os.path.join(work_dir, 'compare.json')
    if not os.path.isfile(path):
        return None
    comparison = read_json(path, 'run test/pth2om.sh again')
    if not isinstance(comparison, dict) or not isinstance(comparison.get('models'), list):
        raise InputError(f'{path}: not what r2plus1d_compare.py prints; run test/pth2om.sh again')
    return comparison


def read_result(work_dir, batch_size):
    """(accuracy JSON, paths of the summaries) of one batch size, as test/eval_acc_perf.sh left them."""
    path = result_path(work_dir, batch_size)
    accuracy = read_json(path, 'run test/eval_acc_perf.sh for this batch size')
    summaries = find_summaries(outputs_folder(work_dir, batch_size))
    check_result(path, accuracy)
    return accuracy, summaries


def check_against_outputs(path, accuracy, summaries, crops):
    """(labels, an int array; average scores, videos x classes) of the outputs of a run.

    Raises InputError where they do not give the figures of ACCURACY, the content of the file PATH.
    """
    num_expected = accuracy.get('num_expected', accuracy['num_videos'])
    scores, labels = read_run(summaries, crops, NUM_CLASSES, num_expected, allow_missing=True)
    found = accuracy_of_scores(scores, labels, accuracy['average_clips'])
    for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy', 'num_videos'):
        if abs(found[key] - accuracy[key]) > 1e-6:
            raise InputError(f'{path}: {key} is {accuracy[key]:.6g}, and the outputs of {summaries[0]} give '
                             f'{found[key]:.6g}; run r2plus1d_postprocess.py, or test/eval_acc_perf.sh, again')
    return np.array(labels), average_crops(scores, accuracy['average_clips'])


def check_result(path, accuracy):
    """Raise InputError unless ACCURACY, the content of the file PATH, is what r2plus1d_postprocess.py prints."""
    remedy = 'run test/eval_acc_perf.sh again'
    for key in ACCURACY_KEYS:
        if not isinstance(accuracy, dict) or key not in accuracy:
            raise InputError(f'{path}: has no {key}; {remedy}')
    for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy'):
        if not is_fraction(accuracy[key]):
            raise InputError(f'{path}: {key} is {one_line(accuracy[key], 50)}, '
                             f'expected a number from 0 to 1; {remedy}')
    for key in ('num_videos', 'num_expected', 'views'):
        if key in accuracy and not is_count(accuracy[key]):
            raise InputError(f'{path}: {key} is {one_line(accuracy[key], 50)}, '
                             f'expected a whole number of 1 or more; {remedy}')
    check_shares(path, accuracy, remedy)
    if accuracy['average_clips'] not in ('score', 'prob'):
        raise InputError(f'{path}: average_clips is {one_line(accuracy["average_clips"], 50)}, '
                         f'expected score or prob; {remedy}')


def check_shares(path, accuracy, remedy):
    """Raise InputError unless top-1 and top-5 are shares of num_videos, which a changed number seldom is."""
    for key in ('top1_acc', 'top5_acc'):
        correct = accuracy[key] * accuracy['num_videos']
        if abs(correct - round(correct)) > 1e-6:
            raise InputError(f'{path}: was changed: {key} is {accuracy[key]}, which is no whole number of the '
                             f'{accuracy["num_videos"]} videos; {remedy}')
    if accuracy['top1_acc'] > accuracy['top5_acc']:
        raise InputError(f'{path}: was changed: top1_acc is {accuracy["top1_acc"]}, more than top5_acc, '
                         f'{accuracy["top5_acc"]}; {remedy}')
