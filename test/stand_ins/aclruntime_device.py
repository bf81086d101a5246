# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The NPU behind the stand-in of aclruntime: which devices there are, and how one of them runs an .om.

An .om of the stand-in of ATC is a JSON file with the path of an ONNX model and the static shape of its input;
ONNX Runtime computes it on the CPU. Environment variables, for this module and for the stand-in of ais_bench:

    STAND_IN_AIS_BENCH=2023|2025|2026   which age of the clients is stood in for (default 2025)
    STAND_IN_DEVICES=n             how many NPUs there are (default 2); ASCEND_RT_VISIBLE_DEVICES hides some of them
    STAND_IN_LATENCY_MS=t          an inference takes at least t ms
    STAND_IN_NO_COMPUTE=1          an inference computes nothing, and its outputs are zeros
    STAND_IN_RELEASE_GIL=1         other threads of Python run during the latency; they do not with the real module
"""
import ctypes
import json
import os
import time

import numpy as np

NUMPY_TYPES = {
    'tensor(float)': np.float32,
    'tensor(float16)': np.float16,
    'tensor(double)': np.float64,
    'tensor(int8)': np.int8,
    'tensor(uint8)': np.uint8,
    'tensor(int16)': np.int16,
    'tensor(int32)': np.int32,
    'tensor(int64)': np.int64,
}


def age():
    """2023, 2025 or 2026: the client of mid-2023; that of 2024 and later with its check of paths; the one by typer."""
    name = os.environ.get('STAND_IN_AIS_BENCH', '2025')
    if name not in ('2023', '2025', '2026'):
        raise SystemExit(f'STAND_IN_AIS_BENCH={name}: 2023, 2025 or 2026 is expected')
    return int(name)


def device_count():
    """The number of NPUs that this process sees. It numbers them from 0."""
    count = int(os.environ.get('STAND_IN_DEVICES', 2))
    visible = os.environ.get('ASCEND_RT_VISIBLE_DEVICES')
    if visible is None:
        return count
    chosen = [device for device in visible.split(',') if device.strip()]
    return len([device for device in chosen if int(device) < count])


class Port:
    """An input or output of a model: its name, static shape and NumPy dtype."""

    def __init__(self, name, shape, dtype):
        self.name = name
        self.shape = [int(n) for n in shape]
        self.dtype = np.dtype(dtype)

    @property
    def nbytes(self):
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Om:
    """An .om that was loaded. Raises ValueError or OSError where the file is none that the stand-in can run."""

    def __init__(self, path):
        with open(path) as f:
            om = json.load(f)
        shape = om['shape']
        self.session = open_onnx(om['onnx'], shape)
        value, = self.session.get_inputs()
        if any(isinstance(d, int) and d != n for d, n in zip(value.shape, shape)) or len(value.shape) != len(shape):
            raise ValueError(f'the graph has the shape {value.shape}, the .om {shape}')
        self.input = Port(value.name, shape, NUMPY_TYPES[value.type])
        self.outputs = self.describe_outputs()
        self.latency = float(os.environ.get('STAND_IN_LATENCY_MS', 0)) / 1000
        self.computes = os.environ.get('STAND_IN_NO_COMPUTE') != '1'

    def describe_outputs(self):
        """A Port for each output, with CANN's name for it: node, index and the tensor's name in the ONNX model."""
        values = self.session.get_outputs()
        shapes = [value.shape for value in values]
        if not all(isinstance(n, int) for shape in shapes for n in shape):
            shapes = [output.shape for output in self.compute(np.zeros(self.input.shape, self.input.dtype))]
        return [
            Port(f'node:0:{value.name}', shape, NUMPY_TYPES[value.type]) for value, shape in zip(values, shapes)
        ]

    def compute(self, batch):
        return self.session.run(None, {self.input.name: batch})

    def execute(self, batch):
        """The outputs of one batch, as arrays, after the latency of the device."""
        start = time.time()
        outputs = self.compute(batch) if self.computes else self.zeros()
        wait(self.latency - (time.time() - start))
        return outputs

    def zeros(self):
        return [np.zeros(port.shape, port.dtype) for port in self.outputs]


def open_onnx(path, shape):
    """An ONNX Runtime session whose symbolic input dimensions are those of SHAPE."""
    import onnxruntime
    providers = ['CPUExecutionProvider']
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    dimensions = onnxruntime.InferenceSession(path, options, providers=providers).get_inputs()[0].shape
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    for dimension, n in zip(dimensions, shape):
        if isinstance(dimension, str):
            options.add_free_dimension_override_by_name(dimension, n)
    return onnxruntime.InferenceSession(path, options, providers=providers)


def wait(seconds):
    """Sleep as the real module executes a model: with Python's global interpreter lock held.

    The native module never releases the lock, so neither decoding nor a second device gets on in another thread of
    the same process.
    """
    if seconds <= 0:
        return
    if os.environ.get('STAND_IN_RELEASE_GIL') == '1':
        time.sleep(seconds)
    else:
        ctypes.PyDLL(None).usleep(int(1e6 * seconds))
