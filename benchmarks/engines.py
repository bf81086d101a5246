# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure one engine with the full-size model at one batch size.

    python benchmarks/engines.py "r2plus1d_infer.py f32" r2plus1d_sim.onnx 1 5    # name, model, batch size, seconds

prints {"times": [seconds of each batch], "start": seconds, "peak_mb": MB} as JSON. The engines are ROWS. Each
measurement is a process of its own, so that no engine finds the memory or the threads of another. Start: from the
start of the process to the end of the first batch.

benchmark.py measures all of them in rounds; their table and chart are made here, too.
"""
import argparse
import collections
import functools
import json
import re
import resource
import sys
import time

import numpy as np
from common import CONFIG, ROOT, rounded, run, spread, table

from r2plus1d.engines import make_engine
from r2plus1d.precision import CPU_PRECISIONS, PRECISIONS

STARTED = time.perf_counter()
# Of a sample: views, RGB, frames, height, width. The frame is that of a 320 x 240 video, resized to a height of 256.
CROPS = (3, 3, 8, 256, 256)
FRAME = (1, 3, 8, 256, 341)
# GFLOP of a video in the convolutions of R(2+1)D-34, counted as in limit.py: 98 a crop, where a count with the zeros
# around their inputs gives 106. The last layer, of 0.0004 GFLOP a crop, is left out.
GFLOP = {CROPS: 292.943557824, FRAME: 132.429736224}
MOST_BATCHES = 20  # in one measurement

# ---- engines in this process -----------------------------------------------------------------------


def measure_engine(make, row, model, batch_size, seconds):
    """What this script prints. MAKE takes (model file, precision, batch size) and returns a function of a float32
    array, batch size x shape of a sample.
    """
    batch = np.random.default_rng(0).standard_normal([batch_size, *row.shape], dtype=np.float32)
    engine = make(model, row.precision, batch_size)
    engine(batch)
    start = time.perf_counter() - STARTED
    times = []
    while not times or (sum(times) < seconds and len(times) < MOST_BATCHES):
        before = time.perf_counter()
        engine(batch)
        times.append(time.perf_counter() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {'times': times, 'start': start, 'peak_mb': peak}


def pytorch(way, checkpoint, precision, batch_size):
    """mmaction2's model with the weights of a checkpoint. WAY eager: as mmaction2's test loop calls it."""
    import torch

    import mmcv
    from mmaction.models import build_model
    model = build_model(mmcv.Config.fromfile(CONFIG).model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    channels_last = way in ('channels_last_3d', 'compile')
    if channels_last:
        model.to(memory_format=torch.channels_last_3d)
    forward = functools.partial(model, return_loss=False) if way == 'eager' else model.forward_dummy
    if way == 'compile':
        forward = torch.compile(forward)

    def engine(batch):
        batch = torch.from_numpy(batch)
        if channels_last:  # the crops of all videos as one batch, which is what the first layer sees
            batch = batch.flatten(0, 1).to(memory_format=torch.channels_last_3d)[None]
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'):
            return forward(batch)

    return engine


def onnx_runtime(model, precision, batch_size):
    return make_engine(model, 'onnxruntime', precision)


def our_engine(model, precision, batch_size):
    engine = make_engine(model, 'openvino', precision)
    engine.prepare(batch_size)
    return engine


# ---- OpenVINO's own benchmark ----------------------------------------------------------------------


def benchmark_app(hint, row, model, batch_size, seconds):
    """What this script prints, of OpenVINO's benchmark_app, with its performance hint HINT.

    latency: the median of one batch after another. throughput: several batches at a time, as many as OpenVINO thinks
    best; the time of one is all time by their number. Start: all of its time but that of the batches that it measures.
    Its memory is that of the largest process that this one has started; a measurement starts only one.
    """
    shape = ','.join(str(length) for length in [batch_size, *row.shape])
    start_app = ('from r2plus1d.models import no_telemetry; no_telemetry(); '
                 'from openvino.tools.benchmark.main import main; main()')
    before = time.perf_counter()
    done = run(sys.executable, '-c', start_app, '-m', model, '-d', 'CPU', '-hint', hint, '-t', int(seconds) + 1,
               '-shape', f'[{shape}]', '-infer_precision', PRECISIONS[row.precision].hint)
    whole = time.perf_counter() - before
    median, duration, count = (read_figure(name, done.stdout) for name in ('Median', 'Duration', 'Count'))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {'times': [median if hint == 'latency' else duration / count], 'start': whole - duration, 'peak_mb': peak}


def read_figure(name, printed):
    """The seconds that benchmark_app printed as ms in the line NAME, or a number of iterations."""
    number, unit = re.search(fr'{name}: +([\d.]+) (ms|iterations)', printed).groups()
    return float(number) / 1000 if unit == 'ms' else float(number)


# ---- the rows of the table -------------------------------------------------------------------------

# name: in the tables. measure: measure_engine() or benchmark_app() without its last four arguments. model: which file
# it takes, by its name in common.py. precision: of the arithmetic; the share of the machine's limit is that of the
# limit at it. shape: of a sample.
Row = collections.namedtuple('Row', 'name measure model precision shape', defaults=[CROPS])


def row_of(name, make, *others):
    return Row(name, functools.partial(measure_engine, make), *others)


def pytorch_row(name, way, precision):
    return row_of(name, functools.partial(pytorch, way), 'checkpoint', precision)


EAGER = 'mmaction2, PyTorch eager'  # the row that the others are compared with
OURS = 'r2plus1d_infer.py'
OTHERS = [
    pytorch_row(EAGER, 'eager', 'f32'),
    pytorch_row('PyTorch channels_last_3d', 'channels_last_3d', 'f32'),
    pytorch_row('PyTorch compile', 'compile', 'f32'),
    row_of('ONNX Runtime', onnx_runtime, 'onnx', 'f32'),
    pytorch_row('PyTorch bf16 autocast', 'autocast', 'bf16'),
    pytorch_row('PyTorch compile bf16', 'compile', 'bf16'),
    row_of('ONNX Runtime int8', onnx_runtime, 'int8', 'int8'),
]


def rows_of(precision):
    """The rows at a precision: of the others first."""
    model = 'int8' if PRECISIONS[precision].needs_quantized else 'onnx'
    return [row for row in OTHERS if row.precision == precision] + [
        Row(f'benchmark_app {precision}', functools.partial(benchmark_app, 'latency'), model, precision),
        Row(f'benchmark_app {precision}, throughput', functools.partial(benchmark_app, 'throughput'), model, precision),
        row_of(f'{OURS} {precision}', our_engine, model, precision),
        row_of(f'{OURS} {precision}, full frame', our_engine, model + '_frame', precision, FRAME),
    ]


ROWS = [row for precision in CPU_PRECISIONS for row in rows_of(precision)]


def choose_rows(pattern, precisions):
    """The ROWS at one of the PRECISIONS whose names match a regular expression, and EAGER in any case."""
    possible = [row for row in ROWS if row.precision in precisions]
    return [row for row in possible if row.name == EAGER or re.search(pattern, row.name)]


# ---- in rounds -------------------------------------------------------------------------------------


def measure(row, model, batch_size, seconds):
    """What this script prints for a row, as a dict."""
    done = run(sys.executable, f'{ROOT}/benchmarks/engines.py', row.name, model, batch_size, seconds)
    return json.loads(done.stdout.splitlines()[-1])


def measure_inference(args, models, precisions):
    """The part "inference" of the results: {"rows": see summarize_runs(), "limits": one a precision, see limit.py}."""
    import limit  # not in the process of a measurement, whose memory is measured, too
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
    entries = [summarize_runs(row, batch_size, runs[row, batch_size]) for row, batch_size in jobs]
    return {'rows': entries, 'limits': limit.fastest(limits)}


def summarize_runs(row, batch_size, runs):
    """One entry of the rows, of the measurements in all rounds.

    rounds: the median seconds of a batch in each round; median: that of these. start and peak_mb are medians, too.
    """
    rounds = [float(np.median(found['times'])) for found in runs]
    median = float(np.median(rounds))
    return {
        'engine': row.name,
        'precision': row.precision,
        'gflop': GFLOP[row.shape],
        'batch_size': batch_size,
        'rate': batch_size / median,
        'rounds': rounds,
        'median': median,
        'start': float(np.median([found['start'] for found in runs])),
        'peak_mb': float(np.median([found['peak_mb'] for found in runs])),
    }


def share_of_limit(row, limits):
    """A row's arithmetic a second, as a part of the limit at its precision; None where there is no limit."""
    limit = limits.get(row['precision'])
    return row['rate'] * row['gflop'] / limit if limit else None


def inference_lines(part):
    limits = {entry['precision']: entry['gflops'] for entry in part['limits']}
    rows = [('engine', 'batch size', 'videos/s', 'ratio', 'median s', 'rounds: s', 'of the limit', 'start s',
             'peak MB')]
    base = {row['batch_size']: row['rate'] for row in part['rows'] if row['engine'] == EAGER}
    for row in part['rows']:
        rows.append((
            row['engine'],
            str(row['batch_size']),
            rounded(row['rate'], 3),
            rounded(row['rate'] / base[row['batch_size']], 2),
            rounded(row['median'], 2),
            spread(row['rounds'], 2),
            rounded(share_of_limit(row, limits), 2),
            rounded(row['start'], 1),
            rounded(row['peak_mb'], 0),
        ))
    operations = '; '.join(f'{entry["precision"]} {entry["gflops"]:.0f} GFLOP/s, {entry["operation"]}'
                           for entry in part['limits'])
    return ['Full-size R(2+1)D-34, videos/s: three crops a video, or where it says so the full frame as one view. The '
            f'ratio is to {EAGER} at the same batch size.', '',
            *table(*rows), '',
            f'The limit of the machine, the fastest operation in OpenVINO: {operations}.', '',
            'Start: imports, loading, compiling, the first batch.']


def draw_chart(results, path):
    """Save a bar chart of the inference rates; the bars of this project are blue."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    rows = results['inference']['rows'][::-1]  # barh draws from the bottom up
    names = [f'{row["engine"]}, {row["batch_size"]}' for row in rows]
    rates = [row['rate'] for row in rows]
    colors = ['#1d4ed8' if row['engine'].startswith(OURS) else '#9aa4b2' for row in rows]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.28 * len(rows)))
    ax.bar_label(ax.barh(names, rates, color=colors), fmt='%.2f', padding=3)
    ax.set_xlabel('videos/s, full-size model (engine, batch size)')
    fig.savefig(path, dpi=110, bbox_inches='tight')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('name', choices=[row.name for row in ROWS])
    parser.add_argument('model', help='the checkpoint for PyTorch, an ONNX file for the others')
    parser.add_argument('batch_size', type=int)
    parser.add_argument('seconds', type=float, help='least time to measure')
    args = parser.parse_args()
    row = next(row for row in ROWS if row.name == args.name)
    print(json.dumps(row.measure(row, args.model, args.batch_size, args.seconds)))


if __name__ == '__main__':
    main()
