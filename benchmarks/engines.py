# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure one engine with the full-size model at one batch size.

    python benchmarks/engines.py "r2plus1d_infer.py f32" r2plus1d_sim.onnx 1 5    # name, model, batch size, seconds

prints {"times": [seconds of each batch], "start": seconds, "peak_mb": MB} as JSON. The engines are ROWS. Each
measurement is a process of its own, so that no engine finds the memory or the threads of another.
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

from r2plus1d_engines import OpenVINO, make_engine

STARTED = time.perf_counter()
SHAPE = [3, 3, 8, 256, 256]  # of a sample: crops, RGB, frames, height, width
MOST_BATCHES = 20  # in one measurement

# ---- engines in this process -----------------------------------------------------------------------


def timed(make):
    """Decorator: of a function that makes an engine, a function that measures this engine.

    MAKE takes (model file, precision, batch size) and returns a function of a float32 array, batch size x SHAPE.
    The new function takes one argument more, the least seconds to measure, and returns what this script prints.
    """

    @functools.wraps(make)
    def measure_engine(model, precision, batch_size, seconds):
        batch = np.random.default_rng(0).standard_normal([batch_size, *SHAPE], dtype=np.float32)
        engine = make(model, precision, batch_size)
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
    crops = torch.from_numpy(batch).reshape(-1, *SHAPE[1:])
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
        with torch.no_grad():
            return compiled(crops_channels_last(batch))

    return engine


@timed
def onnx_runtime(model, precision, batch_size):
    return make_engine(model, batch_size, 'onnxruntime', precision)


@timed
def our_engine(model, precision, batch_size):
    return make_engine(model, batch_size, 'openvino', precision)


# ---- OpenVINO's own benchmark ----------------------------------------------------------------------


def benchmark_app(model, precision, batch_size, seconds):
    """The median by OpenVINO's benchmark_app. Start and memory are not measured: its report has neither."""
    shape = ','.join(str(length) for length in [batch_size, *SHAPE])
    start_app = 'from openvino.tools.benchmark.main import main; main()'
    done = run(sys.executable, '-c', start_app, '-m', model, '-d', 'CPU', '-hint', 'latency',
               '-t', int(seconds) + 1, '-shape', f'[{shape}]',
               '-infer_precision', OpenVINO.INFERENCE_PRECISION[precision])
    milliseconds = re.search(r'Median: +([\d.]+) ms', done.stdout)[1]
    return {'times': [float(milliseconds) / 1000], 'start': None, 'peak_mb': None}


# ---- the rows of the table -------------------------------------------------------------------------

# name: in the tables. measure: a function as timed() makes it. model: which file it takes: checkpoint, onnx or int8.
# precision: of the arithmetic, f32, bf16 or int8; the share of the machine's limit is that of the limit at it.
Row = collections.namedtuple('Row', 'name measure model precision')

EAGER = 'mmaction2, PyTorch eager'  # the row that the others are compared with
ROWS = [
    Row(EAGER, pytorch_eager, 'checkpoint', 'f32'),
    Row('PyTorch channels_last_3d', pytorch_channels_last, 'checkpoint', 'f32'),
    Row('PyTorch compile', pytorch_compile, 'checkpoint', 'f32'),
    Row('PyTorch bf16 autocast', pytorch_bf16, 'checkpoint', 'bf16'),
    Row('ONNX Runtime', onnx_runtime, 'onnx', 'f32'),
    Row('benchmark_app f32', benchmark_app, 'onnx', 'f32'),
    Row('r2plus1d_infer.py f32', our_engine, 'onnx', 'f32'),
    Row('benchmark_app bf16', benchmark_app, 'onnx', 'bf16'),
    Row('r2plus1d_infer.py bf16', our_engine, 'onnx', 'bf16'),
    Row('benchmark_app int8', benchmark_app, 'int8', 'int8'),
    Row('r2plus1d_infer.py int8', our_engine, 'int8', 'int8'),
]


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
    print(json.dumps(row.measure(args.model, row.precision, args.batch_size, args.seconds)))


if __name__ == '__main__':
    main()
