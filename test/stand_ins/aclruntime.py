# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of aclruntime, the native module of Huawei's inference client, and of the NPUs below it.

It has what ais_bench of 2025 and 2026 call, and runs them: models of static shape. What the native code would read
from memory that is not there is an error here. Messages go to file descriptor 1, as those of printf() do, and so past
sys.stdout.

An .om of the stand-in of ATC is a JSON file with the path of an ONNX model and the static shape of its input;
ONNX Runtime computes it on the CPU. Environment variables, for this module and for the stand-in of ais_bench:

    STAND_IN_AIS_BENCH=2023|2025|2026   the age of the clients: of mid-2023; of 2024 and later, with its check of paths;
                                        the one by typer (default: 2025)
    STAND_IN_DEVICES=n                  how many NPUs there are (default: 2)
    STAND_IN_LATENCY_MS=t               an inference takes at least t ms
    STAND_IN_NO_COMPUTE=1               an inference computes nothing, and its outputs are zeros
    STAND_IN_NO_ACLRUNTIME=1            the import fails, as where the module is not installed
    STAND_IN_NO_ACLRUNTIME=libascendcl  it fails where set_env.sh of CANN was not sourced, as that of the genuine one
"""
import ctypes
import enum
import functools
import json
import operator
import os
import time

if os.environ.get('STAND_IN_NO_ACLRUNTIME') == 'libascendcl' and 'ASCEND_TOOLKIT_HOME' not in os.environ:
    raise ImportError('libascendcl.so: cannot open shared object file: No such file or directory')
if os.environ.get('STAND_IN_NO_ACLRUNTIME') not in (None, '', 'libascendcl'):
    raise ModuleNotFoundError("No module named 'aclruntime'", name='aclruntime')

import numpy as np

AGE = int(os.environ.get('STAND_IN_AIS_BENCH', 2025))
assert AGE in (2023, 2025, 2026), AGE
INVALID_DEVICE = 107001
MESSAGES = {-1: 'ACL: general failure', 1: 'ACL: invalid parameter'}
LEVELS = {1: 'DEBUG', 2: 'INFO', 3: 'WARN', 4: 'ERROR'}
log_level = 2


def say(level, text):
    if level >= log_level:
        os.write(1, f'[{LEVELS[level]}] {text}\n'.encode())


# Of 2026: the log of the client, and the names of made-up inputs.
log_debug, log_info, log_warning, log_error = (functools.partial(say, level) for level in LEVELS)
PURE_INFER_DATA, PURE_INFER_DATA_ZERO, PURE_INFER_DATA_RANDOM = ('pure_infer_data' + end
                                                                 for end in ('', '_zero', '_random'))


def set_log_level(level):
    global log_level
    log_level = level + 1


def failure(code, text):
    """The exception of the native module for an error code; TEXT is printed, as the module prints it."""
    say(4, text)
    return RuntimeError(f'[{code}][{MESSAGES.get(code, "Error code unknown")}] ')


def milliseconds(seconds):
    """The native module keeps 32 bits of them."""
    return float(np.float32(1000 * seconds))


# ---- tensors -----------------------------------------------------------------------------------------


class dtype(enum.Enum):
    """An aclDataType. As an enum of pybind11 it is no number, but int() makes one of it."""

    float32, float16, int8, int32, uint8, int16, int64, double = 0, 1, 2, 3, 4, 6, 9, 11

    def __int__(self):
        return self.value


class tensor_desc:
    """What the module tells of an input or output; size and realsize are bytes. VALUE: ONNX Runtime's description."""

    format = 2

    def __init__(self, name, value, shape):
        self.name = name
        self.shape = [int(n) for n in shape]
        kind = value.type[len('tensor('):-1]
        self.numpy_type = np.dtype({'float': 'float32'}.get(kind, kind))
        self.datatype = dtype[{'float': 'float32'}.get(kind, kind)]
        self.size = self.realsize = int(np.prod(self.shape)) * self.numpy_type.itemsize


class MemorySummary:
    """The times of all copies of this process, in ms."""

    H2D_time_list = []
    D2H_time_list = []

    def reset(self):
        self.H2D_time_list.clear()
        self.D2H_time_list.clear()


def copy_between(times, source):
    start = time.time()
    copy = np.array(source)
    times.append(milliseconds(time.time() - start))
    return copy


class BaseTensor:
    """A piece of the host's memory: address and bytes."""

    def __init__(self, buf, size):
        self.buf = operator.index(buf)
        self.size = operator.index(size)

    def to_array(self):
        """The bytes as an array that shares them."""
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.size).from_address(self.buf))


class Tensor:
    """An array on a device, as outputs are, or on the host. In 2026 the client makes its inputs so, too."""

    def __init__(self, array, device=-1):
        self.array = np.ascontiguousarray(array)
        self.size, self.shape = self.array.nbytes, list(self.array.shape)
        self.on_device = device >= 0

    def to_array(self):
        return self.array.reshape(-1).view(np.uint8)

    def to_host(self):
        if self.on_device:
            self.array = copy_between(MemorySummary.D2H_time_list, self.array)
            self.on_device = False

    def __array__(self, dtype=None, copy=None):
        if self.on_device:
            raise RuntimeError('the tensor is on the device: to_host() first')
        return np.array(self.array, dtype)


# ---- a device and its session ------------------------------------------------------------------------


def device_count():
    """The number of NPUs that this process sees: ASCEND_RT_VISIBLE_DEVICES hides some. It numbers them from 0."""
    count = int(os.environ.get('STAND_IN_DEVICES', 2))
    visible = os.environ.get('ASCEND_RT_VISIBLE_DEVICES')
    if visible is None:
        return count
    return len([device for device in visible.split(',') if device.strip() and int(device) < count])


def wait(seconds):
    """Sleep as the real module executes a model: with Python's global interpreter lock held.

    The native module never releases the lock, so neither decoding nor a second device gets on in another thread of
    the same process.
    """
    if seconds > 0:
        ctypes.PyDLL(None).usleep(int(1e6 * seconds))


def open_onnx(path, shape):
    """An ONNX Runtime session whose symbolic input dimensions are those of SHAPE."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # a second one would wait busily, beside other tests
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    open_session = functools.partial(onnxruntime.InferenceSession, path, options, providers=['CPUExecutionProvider'])
    dimensions = open_session().get_inputs()[0].shape
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    for dimension, n in zip(dimensions, shape):
        if isinstance(dimension, str):
            options.add_free_dimension_override_by_name(dimension, n)
    return open_session()


class session_options:

    loop = 1
    log_level = 2


class sumary:

    def __init__(self):
        self.exec_time_list = []


class InferenceSession:

    def __init__(self, model_path, device_id, options):
        global log_level
        if not isinstance(model_path, str):
            raise TypeError('__init__(): incompatible constructor arguments: the model path is no str')
        log_level = options.log_level
        if not 0 <= operator.index(device_id) < device_count():
            raise failure(INVALID_DEVICE, f'device {device_id} cannot be opened')
        say(2, f'device {device_id} opened')
        try:
            self.load(model_path)
        except Exception as e:  # an .om of ATC is opaque: whatever is wrong with it, the code is one
            raise failure(1, f'{model_path} cannot be loaded: {e}')
        say(2, f'{model_path} loaded')
        self.device = device_id
        self.session_options = options
        self.times = sumary()
        self.zero_point = time.time()

    def load(self, path):
        """CANN's name of an output is of its node, its index and the tensor's name in the ONNX model."""
        with open(path) as f:
            om = json.load(f)
        self.onnx = open_onnx(om['onnx'], om['shape'])
        value, = self.onnx.get_inputs()
        if any(isinstance(d, int) and d != n for d, n in zip(value.shape, om['shape'])) or (
                len(value.shape) != len(om['shape'])):
            raise ValueError(f'the graph has the shape {value.shape}, the .om {om["shape"]}')
        self.input = tensor_desc(value.name, value, om['shape'])
        zeros = self.onnx.run(None, {value.name: np.zeros(om['shape'], self.input.numpy_type)})
        self.zeros = [np.zeros_like(output) for output in zeros]
        self.outputs = [tensor_desc(f'node:0:{value.name}', value, output.shape)
                        for value, output in zip(self.onnx.get_outputs(), zeros)]

    def options(self):
        return self.session_options

    def get_inputs(self):
        return [self.input]

    def get_outputs(self):
        return self.outputs

    def sumary(self):
        return self.times

    def reset_sumaryinfo(self):
        self.times.exec_time_list = []

    summary, reset_summaryinfo = sumary, reset_sumaryinfo  # in 2026

    def set_staticbatch(self):
        pass

    def set_context(self):
        pass

    def get_max_dym_batchsize(self):
        return 0

    def get_dym_aipp_input_exist(self):
        return 0

    def free_resource(self):
        self.onnx = None

    @staticmethod
    def finalize():
        pass

    def run(self, output_names, feeds):
        """The outputs of those names, as tensors on the device. FEEDS: one tensor, whatever its bytes mean."""
        if self.onnx is None:
            raise failure(1, 'the resources of this session were freed')
        if len(feeds) != 1:
            raise failure(-1, f'{len(feeds)} feeds, and the model has 1 input')
        names = [desc.name for desc in self.outputs]
        if not set(output_names) <= set(names):
            raise failure(-1, f'the model has the outputs {names}')
        feed, = feeds
        if feed.size != self.input.realsize:
            raise failure(-1, f'input {self.input.name} takes {self.input.realsize} bytes, got {feed.size}')
        data = copy_between(MemorySummary.H2D_time_list, feed.to_array())
        batch = data.view(self.input.numpy_type).reshape(self.input.shape)
        for _ in range(self.session_options.loop):
            outputs = self.execute(batch)
        return [Tensor(outputs[names.index(name)], self.device) for name in output_names]

    def execute(self, batch):
        """The outputs of one batch, as arrays, after the latency of the device."""
        start = time.time()
        computes = os.environ.get('STAND_IN_NO_COMPUTE') != '1'
        outputs = self.onnx.run(None, {self.input.name: batch}) if computes else self.zeros
        wait(float(os.environ.get('STAND_IN_LATENCY_MS', 0)) / 1000 - (time.time() - start))
        end = time.time()
        entry = (milliseconds(end - start) if AGE == 2023 else
                 tuple(milliseconds(moment - self.zero_point) for moment in (start, end)))
        self.times.exec_time_list.append(entry)
        return outputs
