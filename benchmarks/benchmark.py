# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the full-size model and its preprocessing against what a user would take instead.

    python benchmarks/benchmark.py --frames <folder with data/ucf101 of videos, frames and lists>
    python benchmarks/benchmark.py --frames <folder> --parts preprocessing    # in parts: the rest of the results stays

engines.py        inference: mmaction2's own model call and its variants in PyTorch, ONNX Runtime, OpenVINO's
                  benchmark_app, and r2plus1d_infer.py's engine, at each precision that the CPU has, in int8 where NNCF
                  is installed; three crops, and the full frame as one view
limit.py          the limit of the machine: the fastest of single operations, in the same engine at the same precision;
                  the arithmetic that the model and these operations need
preprocessing.py  from frames or .avi files to .bin files
videos.py         the whole way from .avi files to the accuracy; the time to the first prediction
common.py         the models, with random weights, since speed does not depend on them
tables.py         the results as Markdown and as a chart

What is compared is measured in turns, in several rounds, so that a change of the machine's load meets all of it.
Figures are medians over the rounds; the limit is the best of them. A figure whose rounds differ by more than 20% of it
is marked. Results: benchmarks/results.json, .md and .png.
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
from common import ROOT, machine, make_models, run
from engines import choose_rows, measure
from tables import draw_chart, markdown

from r2plus1d.forms import read_json
from r2plus1d.precision import CPU_PRECISIONS, PRECISIONS
from r2plus1d.run import InputError, positive_int, script_main
from r2plus1d.store import write_whole

PARTS = ['inference', 'preprocessing', 'end_to_end']

# ---- inference, in rounds --------------------------------------------------------------------------


def choose_precisions(limits):
    """f32; those that the CPU has, which the limits tell; those of quantized models where NNCF makes them."""
    found = {'f32', *(entry['precision'] for entry in limits)}
    return [name for name in CPU_PRECISIONS
            if (importlib.util.find_spec('nncf') if PRECISIONS[name].needs_quantized else name in found)]


def measure_inference(args, models, precisions):
    """The part "inference" of the results: {"rows": see summarize_runs(), "limits": one a precision, see limit.py}."""
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
    gflop = {ending: limit.count_gflop(onnx.load(models['onnx' + ending]), 1) for ending in ('', '_frame')}
    entries = []
    for row, batch_size in jobs:
        ending = '_frame' if row.model.endswith('_frame') else ''
        entries.append(summarize_runs(row, batch_size, runs[row, batch_size], gflop[ending]))
    return {'rows': entries, 'limits': limit.fastest(limits)}


def summarize_runs(row, batch_size, runs, gflop):
    """One entry of the rows, of the measurements in all rounds. GFLOP: of one video.

    rounds: the median seconds of a batch in each round; median: that of these. start and peak_mb are medians, too.
    """
    rounds = [float(np.median(found['times'])) for found in runs]
    median = float(np.median(rounds))
    return {
        'engine': row.name,
        'precision': row.precision,
        'gflop': gflop,
        'batch_size': batch_size,
        'rate': batch_size / median,
        'rounds': rounds,
        'median': median,
        'start': float(np.median([found['start'] for found in runs])),
        'peak_mb': float(np.median([found['peak_mb'] for found in runs])),
    }


# ---- the run ---------------------------------------------------------------------------------------


def versions():
    """In a process of its own: it imports engines, whose threads are not to be there when preprocessing forks."""
    code = ('import onnxruntime, openvino, torch; print(f"torch {torch.__version__}, ONNX Runtime '
            '{onnxruntime.__version__}, OpenVINO {openvino.__version__.split(chr(45))[0]}")')
    return run(sys.executable, '-c', code).stdout.strip()


def measure_part(part, args, folder):
    """What stands for a part in the results; its measure function says what that is."""
    if part == 'preprocessing':
        from preprocessing import measure_sizes
        return {'sizes': measure_sizes(args.frames, folder, args.videos, args.rounds)}
    precisions = choose_precisions(limit.fastest(limit.measure_in_process(0)))
    models = make_models(args.frames, folder, 'int8' in precisions)
    if part == 'inference':
        return measure_inference(args, models, precisions)
    from videos import choose_ways, measure_end_to_end, measure_first_prediction
    ways = choose_ways(models, precisions, args.engines)
    return {
        'first_prediction': measure_first_prediction(args.frames, folder, ways, args.rounds),
        'entries': measure_end_to_end(args.frames, folder, ways, models['checkpoint'], args.end_to_end, args.rounds),
    }


def benchmark(args, folder):
    """Measure the parts that are asked for, and write the results after each of them.

    results.json: {part: {"command", "machine", "versions", "date", and what measure_part() gives}}. The other parts
    stay as they are in it. Returns its content.
    """
    words = ['python', 'benchmarks/benchmark.py', *(shlex.quote(word) for word in sys.argv[1:])]
    path = args.output + '.json'
    for part in args.parts:
        found = measure_part(part, args, folder)
        results = read_json(path) if os.path.exists(path) else {}
        about = {
            'command': ' '.join(words),
            'machine': machine(),
            'versions': versions(),
            'date': time.strftime('%Y-%m-%d'),
        }
        results[part] = {**about, **found}
        write_whole(path, json.dumps(results, indent=1).encode())
        write_whole(args.output + '.md', markdown(results).encode())
        if 'inference' in results:
            draw_chart(results, args.output + '.png')
    return results


def numbers(parser, name, text):
    """The whole numbers in a text, with spaces between, as a list."""
    try:
        return [positive_int(number) for number in text.split()]
    except (ValueError, argparse.ArgumentTypeError):
        parser.error(f'--{name} "{text}": expected whole numbers with spaces between')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', required=True, help='folder in which the config finds data/ucf101')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS, help='(default: all)')
    parser.add_argument('--batch_sizes', default='1 4 8 16', help='of inference (default: "1 4 8 16")')
    parser.add_argument('--engines', default='', help='of inference and end_to_end: only those whose names match this '
                        'expression, and mmaction2')
    parser.add_argument('--rounds', type=positive_int, default=3, help='(default: 3)')
    parser.add_argument('--seconds', type=float, default=5, help='least time of a measurement (default: 5)')
    parser.add_argument('--videos', type=positive_int, default=200, help='to preprocess (default: 200)')
    parser.add_argument('--end_to_end', default='1 24 200', help='videos from .avi to accuracy (default: "1 24 200")')
    parser.add_argument('--work_dir', help='folder in which the models stay for the next parts (default: a new one, '
                        'which is deleted at the end)')
    parser.add_argument('--output', default=f'{ROOT}/benchmarks/results',
                        help='the files to write, without .json, .md and .png (default: benchmarks/results)')
    args = parser.parse_args()
    args.frames = os.path.abspath(args.frames)
    for name in ('videos', 'rawframes', 'annotations', 'ucf101_val_split_1_rawframes.txt'):
        path = os.path.join(args.frames, 'data', 'ucf101', name)
        if not os.path.exists(path):
            parser.error(f'--frames: {path}: not found; give a folder such as work_dirs/demo after demo/run.sh')
    args.batch_sizes = numbers(parser, 'batch_sizes', args.batch_sizes)
    args.end_to_end = numbers(parser, 'end_to_end', args.end_to_end)
    if not os.path.isdir(os.path.dirname(args.output) or '.'):
        parser.error(f'--output {args.output}: expected a name in a folder that exists')
    return args


@script_main
def main():
    args = parse_args()
    if not importlib.util.find_spec('openvino'):
        raise InputError('needs OpenVINO, which is not installed: pip install openvino')
    if args.work_dir:
        os.makedirs(args.work_dir, exist_ok=True)
        results = benchmark(args, os.path.abspath(args.work_dir))
    else:
        with tempfile.TemporaryDirectory() as folder:
            results = benchmark(args, folder)
    print(markdown(results))


if __name__ == '__main__':
    main()
