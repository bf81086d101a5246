# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the full-size model and its preprocessing against what a user would take instead, in one run.

    python benchmarks/benchmark.py --frames <folder with data/ucf101 of videos, frames and lists>

engines.py  inference: mmaction2's own model call and its variants in PyTorch, ONNX Runtime, OpenVINO's benchmark_app,
            and r2plus1d_infer.py's engine; in bf16 where the CPU has it, in int8 where NNCF is installed
limit.py    the limit of the machine: the fastest of single operations, in the same engine at the same precision
gflop.py    the arithmetic that the model and these operations need
videos.py   preprocessing; the whole way from .avi files to the accuracy
tables.py   the results as Markdown and as a chart

The weights are random, since speed does not depend on them. What is compared is measured in turns, in several rounds,
so that a change of the machine's load meets all of it. Figures are medians over the rounds; the limit is the best of
them. Results: benchmarks/results.json, .md and .png.
"""
import argparse
import importlib.util
import json
import os
import shlex
import sys
import tempfile
import time

import limit
import numpy as np
import onnx
from common import CONFIG, ROOT, run
from engines import choose_rows, measure
from gflop import count_gflop
from tables import draw_chart, markdown
from videos import measure_end_to_end, measure_preprocessing

from r2plus1d_engines import cpu_name
from r2plus1d_files import InputError, positive_int, script_main

VIDEOS_TO_CALIBRATE = 8  # of the int8 model: its speed does not depend on their number

# ---- the models ------------------------------------------------------------------------------------


def make_models(frames, folder, int8):
    """{"checkpoint", "onnx", "int8": path} of the full-size model with random weights; int8 only if asked for."""
    checkpoint = os.path.join(folder, 'model.pth')
    run(sys.executable, f'{ROOT}/demo/random_weights.py', CONFIG, checkpoint)
    run('bash', f'{ROOT}/test/pth2om.sh', '--config', CONFIG, '--checkpoint', checkpoint, '--work_dir', folder)
    models = {'checkpoint': checkpoint, 'onnx': os.path.join(folder, 'r2plus1d_sim.onnx')}
    if int8:
        models['int8'] = make_int8(frames, folder, models['onnx'])
    return models


def make_int8(frames, folder, model):
    """Quantize a model. It is evaluated on one video, and any drop will do: with random weights it says nothing."""
    with open(f'{frames}/data/ucf101/ucf101_val_split_1_rawframes.txt') as f:
        lines = f.readlines()
    options = []
    for part, chosen in (('train', lines[:VIDEOS_TO_CALIBRATE]), ('test', lines[-1:])):
        path = os.path.join(folder, f'{part}.txt')
        with open(path, 'w') as f:
            f.writelines(chosen)
        options.append(f'data.{part}.ann_file={path}')
    output = os.path.join(folder, 'r2plus1d_int8.onnx')
    run(sys.executable, f'{ROOT}/r2plus1d_optimize.py', '--int8', '--model', model, '--config', CONFIG,
        '--max_drop', '1', '--allow_unproven', '--output', output, '--cfg-options', *options, cwd=frames)
    return output


# ---- inference, in rounds --------------------------------------------------------------------------


def choose_precisions(limits):
    """f32; bf16 where the CPU has it, which the limits tell; int8 where NNCF is there to make the model."""
    precisions = ['f32']
    if 'bf16' in [entry['precision'] for entry in limits]:
        precisions.append('bf16')
    if importlib.util.find_spec('nncf'):
        precisions.append('int8')
    return precisions


def measure_inference(args, models, precisions):
    """(the list of results["inference"], the limits of all rounds as one list; see limit.py)."""
    rows = choose_rows(args.engines, precisions)
    jobs = [(row, batch_size) for batch_size in args.batch_sizes for row in rows]
    runs = {job: [] for job in jobs}
    limits = []
    for number in range(1, args.rounds + 1):
        limits += limit.measure_in_process(args.seconds / 10)
        for row, batch_size in jobs:
            found = measure(row, models[row.model], batch_size, args.seconds)
            runs[row, batch_size].append(found)
            seconds = np.median(found['times'])
            print(f'round {number}: {row.name}, batch size {batch_size}: {seconds:.3f} s', flush=True)
    inference = [summarize_runs(row, batch_size, runs[row, batch_size]) for row, batch_size in jobs]
    return inference, limits


def summarize_runs(row, batch_size, runs):
    """One entry of results["inference"], of the measurements in all rounds."""
    times = [seconds for found in runs for seconds in found['times']]
    median = float(np.median(times))
    return {
        'engine': row.name,
        'precision': row.precision,
        'batch_size': batch_size,
        'rate': batch_size / median,
        'times': times,
        'median': median,
        'start': runs[-1]['start'],
        'peak_mb': runs[-1]['peak_mb'],
    }


# ---- the run ---------------------------------------------------------------------------------------


def versions():
    import onnxruntime
    import openvino
    import torch
    return (f'torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, '
            f'OpenVINO {openvino.__version__.split("-")[0]}')


def benchmark(args, folder):
    """The results as a dict, for results.json and tables.py.

    inference: a list, see summarize_runs(). gflop: of one video. limit_gflops: {precision: GFLOP/s}. limits: which
    operations these are, see limit.py. preprocessing, end_to_end: see videos.py.
    """
    precisions = choose_precisions(limit.fastest(limit.measure_in_process(0)))
    models = make_models(args.frames, folder, 'int8' in precisions)
    inference, limits = measure_inference(args, models, precisions)
    limits = limit.fastest(limits)
    variants = {precision: models.get(precision, models['onnx']) for precision in precisions}
    words = ['python', 'benchmarks/benchmark.py', *(shlex.quote(word) for word in sys.argv[1:])]
    return {
        'command': ' '.join(words),
        'cpu': cpu_name(),
        'cores': os.cpu_count(),
        'date': time.strftime('%Y-%m-%d'),
        'inference': inference,
        'gflop': count_gflop(onnx.load(models['onnx']), 1),
        'limit_gflops': {entry['precision']: round(entry['gflops']) for entry in limits},
        'limits': limits,
        'preprocessing': measure_preprocessing(args.frames, folder, args.videos, args.rounds),
        'end_to_end': measure_end_to_end(args.frames, folder, models['checkpoint'], variants, args.end_to_end,
                                         args.rounds),
        'versions': versions(),  # imports engines, whose threads are not to be there when preprocessing forks
    }


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', required=True, help='folder in which the config finds data/ucf101')
    parser.add_argument('--batch_sizes', default='1 4 8 16', help='(default: "1 4 8 16")')
    parser.add_argument('--engines', default='', help='only those whose name matches this expression')
    parser.add_argument('--rounds', type=positive_int, default=3, help='(default: 3)')
    parser.add_argument('--seconds', type=float, default=5, help='least time of a measurement (default: 5)')
    parser.add_argument('--videos', type=positive_int, default=200, help='to preprocess (default: 200)')
    parser.add_argument('--end_to_end', type=positive_int, default=24,
                        help='videos from .avi to accuracy (default: 24)')
    parser.add_argument('--output', default=f'{ROOT}/benchmarks/results',
                        help='the files to write, without .json, .md and .png (default: benchmarks/results)')
    args = parser.parse_args()
    args.frames = os.path.abspath(args.frames)
    for name in ('videos', 'rawframes', 'annotations', 'ucf101_val_split_1_rawframes.txt'):
        path = os.path.join(args.frames, 'data', 'ucf101', name)
        if not os.path.exists(path):
            parser.error(f'--frames: {path}: not found; give a folder such as work_dirs/demo after demo/run.sh')
    try:
        args.batch_sizes = [positive_int(text) for text in args.batch_sizes.split()]
    except (ValueError, argparse.ArgumentTypeError):
        parser.error(f'--batch_sizes "{args.batch_sizes}": expected whole numbers with spaces between')
    if not os.path.isdir(os.path.dirname(args.output) or '.'):
        parser.error(f'--output {args.output}: expected a name in a folder that exists')
    return args


@script_main
def main():
    args = parse_args()
    if not importlib.util.find_spec('openvino'):
        raise InputError('needs OpenVINO, which is not installed: pip install openvino')
    with tempfile.TemporaryDirectory() as folder:
        results = benchmark(args, folder)
    with open(args.output + '.json', 'w') as f:
        json.dump(results, f, indent=1)
    with open(args.output + '.md', 'w') as f:
        f.write(markdown(results))
    draw_chart(results, args.output + '.png')
    print(markdown(results))


if __name__ == '__main__':
    main()
