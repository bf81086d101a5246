# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure one engine with the full-size model at one batch size.

    python benchmarks/engines.py "r2plus1d_infer.py f32" r2plus1d_sim.onnx 1 5    # name, model, batch size, seconds

prints {"times": [seconds of each batch], "start": seconds, "peak_mb": MB} as JSON. The engines are ROWS. Each
measurement is a process of its own, so that no engine finds the memory or the threads of another. Start: from the
start of the process to the end of the first batch.
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
from common import CONFIG, ROOT, run

from r2plus1d.engines import make_engine
from r2plus1d.precision import CPU_PRECISIONS, PRECISIONS

STARTED = time.perf_counter()
# Of a sample: views, RGB, frames, height, width. The frame is that of a 320 x 240 video, resized to a height of 256.
CROPS = (3, 3, 8, 256, 256)
FRAME = (1, 3, 8, 256, 341)
MOST_BATCHES = 20  # in one measurement

# ---- engines in this process -----------------------------------------------------------------------


def timed(make):
    """Decorator: of a function that makes an engine, a function that measures this engine.

    MAKE takes (model file, precision, batch size) and returns a function of a float32 array, batch size x shape of a
    sample. The new function takes (one of ROWS, model file, batch size, least seconds to measure) and returns what this
    script prints.
    """

    @functools.wraps(make)
    def measure_engine(row, model, batch_size, seconds):
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

    return measure_engine


def load_pytorch(checkpoint):
    """mmaction2's model in eval mode, with the weights of a checkpoint."""
    import torch

    import mmcv
    from mmaction.models import build_model
    model = build_model(mmcv.Config.fromfile(CONFIG).model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    return model


def crops_channels_last(batch):
    """The crops of all videos as one batch, which is what the first layer sees, in channels_last_3d."""
    import torch
    crops = torch.from_numpy(batch).flatten(0, 1)
    return crops.to(memory_format=torch.channels_last_3d)[None]


@timed
def pytorch_eager(checkpoint, precision, batch_size):
    """The model as mmaction2's test loop calls it."""
    import torch
    model = load_pytorch(checkpoint)

    def engine(batch):
        with torch.no_grad():
            return model(torch.from_numpy(batch), return_loss=False)

    return engine


@timed
def pytorch_bf16(checkpoint, precision, batch_size):
    import torch
    model = load_pytorch(checkpoint)

    def engine(batch):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
            return model.forward_dummy(torch.from_numpy(batch))[0]

    return engine


@timed
def pytorch_channels_last(checkpoint, precision, batch_size):
    import torch
    model = load_pytorch(checkpoint).to(memory_format=torch.channels_last_3d)

    def engine(batch):
        with torch.no_grad():
            return model.forward_dummy(crops_channels_last(batch))[0]

    return engine


@timed
def pytorch_compile(checkpoint, precision, batch_size):
    import torch
    model = load_pytorch(checkpoint).to(memory_format=torch.channels_last_3d)
    compiled = torch.compile(lambda crops: model.forward_dummy(crops)[0])

    def engine(batch):
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16, enabled=precision == 'bf16'):
            return compiled(crops_channels_last(batch))

    return engine


@timed
def onnx_runtime(model, precision, batch_size):
    return make_engine(model, 'onnxruntime', precision)


@timed
def our_engine(model, precision, batch_size):
    engine = make_engine(model, 'openvino', precision)
    engine.prepare(batch_size)
    return engine


# ---- OpenVINO's own benchmark ----------------------------------------------------------------------


def run_benchmark_app(hint, row, model, batch_size, seconds):
    """(what it printed, {"start", "peak_mb"}) of OpenVINO's benchmark_app, with its performance hint HINT.

    Start: all of its time but that of the batches that it measures. Its memory is that of the largest process that this
    one has started; a measurement starts only one.
    """
    shape = ','.join(str(length) for length in [batch_size, *row.shape])
    start_app = ('from r2plus1d.models import no_telemetry; no_telemetry(); '
                 'from openvino.tools.benchmark.main import main; main()')
    before = time.perf_counter()
    done = run(sys.executable, '-c', start_app, '-m', model, '-d', 'CPU', '-hint', hint,
               '-t', int(seconds) + 1, '-shape', f'[{shape}]',
               '-infer_precision', PRECISIONS[row.precision].hint)
    whole = time.perf_counter() - before
    start = whole - read_figure('Duration', done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return done.stdout, {'start': start, 'peak_mb': peak}


def read_figure(name, printed):
    """The seconds that benchmark_app printed as ms in the line NAME, or a number of iterations."""
    number, unit = re.search(fr'{name}: +([\d.]+) (ms|iterations)', printed).groups()
    return float(number) / 1000 if unit == 'ms' else float(number)


def benchmark_app(row, model, batch_size, seconds):
    """The median of one batch after another."""
    printed, found = run_benchmark_app('latency', row, model, batch_size, seconds)
    return {'times': [read_figure('Median', printed)], **found}


def benchmark_app_throughput(row, model, batch_size, seconds):
    """Several batches at a time, as many as OpenVINO thinks best; the time of one is all time by their number."""
    printed, found = run_benchmark_app('throughput', row, model, batch_size, seconds)
    return {'times': [read_figure('Duration', printed) / read_figure('Count', printed)], **found}


# ---- the rows of the table -------------------------------------------------------------------------

# name: in the tables. measure: a function as timed() makes it. model: which file it takes, by its name in common.py.
# precision: of the arithmetic; the share of the machine's limit is that of the limit at it. shape: of a sample.
Row = collections.namedtuple('Row', 'name measure model precision shape', defaults=[CROPS])

EAGER = 'mmaction2, PyTorch eager'  # the row that the others are compared with
OTHERS = [
    Row(EAGER, pytorch_eager, 'checkpoint', 'f32'),
    Row('PyTorch channels_last_3d', pytorch_channels_last, 'checkpoint', 'f32'),
    Row('PyTorch compile', pytorch_compile, 'checkpoint', 'f32'),
    Row('ONNX Runtime', onnx_runtime, 'onnx', 'f32'),
    Row('PyTorch bf16 autocast', pytorch_bf16, 'checkpoint', 'bf16'),
    Row('PyTorch compile bf16', pytorch_compile, 'checkpoint', 'bf16'),
    Row('ONNX Runtime int8', onnx_runtime, 'int8', 'int8'),
]


def rows_of(precision):
    """The rows at a precision: of the others first."""
    model = 'int8' if PRECISIONS[precision].needs_quantized else 'onnx'
    return [row for row in OTHERS if row.precision == precision] + [
        Row(f'benchmark_app {precision}', benchmark_app, model, precision),
        Row(f'benchmark_app {precision}, throughput', benchmark_app_throughput, model, precision),
        Row(f'r2plus1d_infer.py {precision}', our_engine, model, precision),
        Row(f'r2plus1d_infer.py {precision}, full frame', our_engine, model + '_frame', precision, FRAME),
    ]


ROWS = [row for precision in CPU_PRECISIONS for row in rows_of(precision)]


def choose_rows(pattern, precisions):
    """The ROWS at one of the PRECISIONS whose names match a regular expression, and EAGER in any case."""
    possible = [row for row in ROWS if row.precision in precisions]
    return [row for row in possible if row.name == EAGER or re.search(pattern, row.name)]


def measure(row, model, batch_size, seconds):
    """What this script prints for a row, as a dict."""
    done = run(sys.executable, f'{ROOT}/benchmarks/engines.py', row.name, model, batch_size, seconds)
    return json.loads(done.stdout.splitlines()[-1])


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
