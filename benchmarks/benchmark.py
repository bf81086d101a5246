# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the full-size model and its preprocessing against what a user would take instead.

    python benchmarks/benchmark.py --frames <folder with data/ucf101 of videos, frames and lists>
    python benchmarks/benchmark.py --frames <folder> --parts preprocessing    # in parts: the rest of the results stays

engines.py        inference: mmaction2's own model call and its variants in PyTorch, ONNX Runtime, OpenVINO's
                  benchmark_app, and r2plus1d_infer.py's engine, at each precision that the CPU has, in int8 where NNCF
                  is installed; three crops, and the full frame as one view
limit.py          the limit of the machine: the fastest of single operations, in the same engine at the same precision
preprocessing.py  from frames or .avi files to .bin files
videos.py         the whole way from .avi files to the accuracy; the time to the first prediction
common.py         the models, with random weights, since speed does not depend on them

Each of these makes the tables of its results, too.

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

import engines
import limit
import preprocessing
import videos
from common import LARGEST_SPREAD, ROOT, machine, make_models, run

from r2plus1d.json_forms import read_json
from r2plus1d.precision import CPU_PRECISIONS, PRECISIONS
from r2plus1d.run import InputError, positive_int, script_main
from r2plus1d.store import write_whole

PARTS = ['inference', 'preprocessing', 'end_to_end']


def choose_precisions(limits):
    """f32; those that the CPU has, which the limits tell; those of quantized models where NNCF makes them."""
    found = {'f32', *(entry['precision'] for entry in limits)}
    return [name for name in CPU_PRECISIONS
            if (importlib.util.find_spec('nncf') if PRECISIONS[name].needs_quantized else name in found)]


def versions():
    """In a process of its own: it imports engines, whose threads are not to be there when preprocessing forks."""
    code = ('import onnxruntime, openvino, torch; print(f"torch {torch.__version__}, ONNX Runtime '
            '{onnxruntime.__version__}, OpenVINO {openvino.__version__.split(chr(45))[0]}")')
    return run(sys.executable, '-c', code).stdout.strip()


def measure_part(part, args, folder):
    """What stands for a part in the results; its measure function says what that is."""
    if part == 'preprocessing':
        return {'sizes': preprocessing.measure_sizes(args.frames, folder, args.videos, args.rounds)}
    precisions = choose_precisions(limit.fastest(limit.measure_in_process(0)))
    models = make_models(args.frames, folder, 'int8' in precisions)
    if part == 'inference':
        return engines.measure_inference(args, models, precisions)
    ways = videos.choose_ways(models, precisions)
    chosen = videos.choose_ways(models, precisions, args.engines)
    return {
        'first_prediction': videos.measure_first_prediction(args.frames, folder, ways, args.rounds),
        'entries': videos.measure_end_to_end(args.frames, folder, chosen, models['checkpoint'], args.end_to_end,
                                             args.rounds),
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
            engines.draw_chart(results, args.output + '.png')
    return results


def markdown(results):
    """The text of results.md, of the content of results.json, which benchmark() describes."""
    sections = []
    for name, part in results.items():
        sections.append([f'`{part["command"]}`', '',
                         f'Machine: {part["machine"]}; {part["versions"]}; {part["date"]}.'])
        if name == 'inference':
            sections.append(engines.inference_lines(part))
        elif name == 'preprocessing':
            for size, ways in part['sizes'].items():
                sections.append(preprocessing.preprocessing_lines(size, ways))
        else:
            sections.append(videos.end_to_end_lines(part['entries']))
            if 'first_prediction' in part:
                sections.append(videos.first_prediction_lines(part['first_prediction']))
    sections.append([f'**!**: the rounds differ by more than {LARGEST_SPREAD:.0%} of the median.'])
    return '\n\n'.join('\n'.join(lines) for lines in sections) + '\n'


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
