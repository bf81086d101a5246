# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of aclruntime, the native module of Huawei's inference client, on the devices of aclruntime_device.py.

It has what both ages of ais_bench call and no more: models of static shape. What the native code would read from
memory that is not there is an error here. Messages go to file descriptor 1, as those of printf() do, and so past
sys.stdout. STAND_IN_NO_ACLRUNTIME=1 makes the import fail as where the module is not installed; with the value
libascendcl it fails where set_env.sh of CANN was not sourced, as the genuine one does.
"""
import ctypes
import enum
import functools
import operator
import os
import time

if os.environ.get('STAND_IN_NO_ACLRUNTIME') == 'libascendcl' and 'ASCEND_TOOLKIT_HOME' not in os.environ:
    raise ImportError('libascendcl.so: cannot open shared object file: No such file or directory')
if os.environ.get('STAND_IN_NO_ACLRUNTIME') not in (None, '', 'libascendcl'):
    raise ModuleNotFoundError("No module named 'aclruntime'", name='aclruntime')

import aclruntime_device
import numpy as np

AGE = aclruntime_device.age()
INVALID_DEVICE = 107001
MESSAGES = {
    -1: 'ACL: general failure',
    1: 'ACL: invalid parameter',
    3: 'ACL: runtime failure',
    1004: 'Invalid parameter',
}
LEVELS = {1: 'DEBUG', 2: 'INFO', 3: 'WARN', 4: 'ERROR'}
log_level = 2


class dtype(enum.Enum):
    float32 = 0
    float16 = 1
    int8 = 2
    int32 = 3
    uint8 = 4
    int16 = 6
    uint16 = 7
    uint32 = 8
    int64 = 9
    uint64 = 10
    double = 11
    bool = 12

    def __int__(self):
        return self.value


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


def to_dtype(numpy_type):
    name = np.dtype(numpy_type).name
    return dtype['double' if name == 'float64' else name]


class session_options:

    def __init__(self):
        self.loop = 1
        self.log_level = 2
        self.acl_json_path = ''


class tensor_desc:
    """What the module tells of an input or output; size and realsize are bytes."""

    def __init__(self, port):
        self.name = port.name
        self.datatype = to_dtype(port.dtype)
        self.format = 2
        self.shape = list(port.shape)
        self.size = port.nbytes
        self.realsize = port.nbytes


class sumary:

    def __init__(self):
        self.exec_time_list = []


class MemorySummary:
    """The times of all copies of this process, in ms."""
    times = {'H2D': [], 'D2H': []}

    @property
    def H2D_time_list(self):
        return list(self.times['H2D'])

    @property
    def D2H_time_list(self):
        return list(self.times['D2H'])

    def reset(self):
        for times in self.times.values():
            times.clear()


def copy_between(direction, source):
    start = time.time()
    copy = np.array(source)
    MemorySummary.times[direction].append(float(np.float32(1000 * (time.time() - start))))
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
    """An array on the host (device -1) or on a device."""

    def __init__(self, array, device=-1):
        if not array.flags.c_contiguous or not array.dtype.isnative:
            raise RuntimeError('the real Tensor takes any memory for C-contiguous: this array is not')
        self.dtype = to_dtype(array.dtype)
        self.data = np.array(array)
        self.device = -1
        if device >= 0:  # in 2026
            self.to_device(device)

    @classmethod
    def on_device(cls, array, device):
        tensor = cls(array)
        tensor.device = device
        return tensor

    @property
    def shape(self):
        return list(self.data.shape)

    def to_device(self, device):
        if not 0 <= device < aclruntime_device.device_count():
            raise failure(1004, f'there is no device {device}')
        self.data = copy_between('H2D', self.data)
        self.device = device

    def to_host(self):
        if self.device >= 0:
            self.data = copy_between('D2H', self.data)
            self.device = -1

    def __array__(self, dtype=None, copy=None):
        if self.device >= 0:
            raise RuntimeError(f'the tensor is on device {self.device}: to_host() first')
        return np.array(self.data, dtype)


class InferenceSession:

    def __init__(self, model_path, device_id, options):
        global log_level
        if not isinstance(model_path, str):
            raise TypeError('__init__(): incompatible constructor arguments: the model path is no str')
        device_id = operator.index(device_id)
        log_level = options.log_level
        if not 0 <= device_id < aclruntime_device.device_count():
            raise failure(INVALID_DEVICE, f'device {device_id} cannot be opened')
        say(2, f'device {device_id} opened')
        try:
            self.om = aclruntime_device.Om(model_path)
        except Exception as e:  # an .om of ATC is opaque: whatever is wrong with it, the code is one
            raise failure(1, f'{model_path} cannot be loaded: {e}')
        say(2, f'{model_path} loaded')
        self.device = device_id
        self.input = self.om.input
        self.outputs = self.om.outputs
        self.session_options = options
        self.times = sumary()
        self.zero_point = time.time()

    def options(self):
        return self.session_options

    def get_inputs(self):
        return [tensor_desc(self.input)]

    def get_outputs(self):
        return [tensor_desc(port) for port in self.outputs]

    def sumary(self):
        return self.times

    def reset_sumaryinfo(self):
        self.times.exec_time_list = []

    def set_staticbatch(self):
        pass

    def run(self, output_names, feeds):
        """The outputs of those names, as tensors on the device. FEEDS: BaseTensors or Tensors."""
        if self.om is None:
            raise failure(1, 'the resources of this session were freed')
        if len(feeds) != 1:
            code = 3 if AGE >= 2025 and feeds and isinstance(feeds[0], BaseTensor) else -1
            raise failure(code, f'{len(feeds)} feeds, and the model has 1 input')
        names = [port.name for port in self.outputs]
        unknown = [name for name in output_names if name not in names]
        if unknown:
            raise failure(-1, f'the model has no outputs {unknown}')
        outputs = self.execute(self.to_batch(feeds[0]))
        return [Tensor.on_device(outputs[names.index(name)], self.device) for name in output_names]

    def to_batch(self, feed):
        """The model's input from the bytes of a feed, whatever they mean."""
        size = feed.size if isinstance(feed, BaseTensor) else feed.data.nbytes
        if size != self.input.nbytes:
            raise failure(-1, f'input {self.input.name} takes {self.input.nbytes} bytes, got {size}')
        if isinstance(feed, BaseTensor):
            data = copy_between('H2D', feed.to_array())
        elif feed.device != self.device:
            raise RuntimeError(f'the tensor is on device {feed.device}, the model on {self.device}')
        else:
            data = feed.data
        return data.reshape(-1).view(self.input.dtype).reshape(self.input.shape)

    def execute(self, batch):
        for _ in range(self.session_options.loop):
            start = time.time()
            outputs = self.om.execute(batch)
            self.add_time(start, time.time())
        return outputs

    def add_time(self, start, end):
        """Add the ms of an execution, of which the native module keeps 32 bits."""
        if AGE == 2023:
            entry = float(np.float32(1000 * (end - start)))
        else:
            entry = tuple(float(np.float32(1000 * (t - self.zero_point))) for t in (start, end))
        self.times.exec_time_list.append(entry)


class OlderSession(InferenceSession):

    def finalize(self):
        self.om = None


class NewerSession(InferenceSession):

    def set_context(self):
        pass

    def get_max_dym_batchsize(self):
        return 0

    def get_dym_aipp_input_exist(self):
        return 0

    def free_resource(self):
        self.om = None

    summary = InferenceSession.sumary  # in 2026
    reset_summaryinfo = InferenceSession.reset_sumaryinfo

    @staticmethod
    def finalize():
        pass


InferenceSession = OlderSession if AGE == 2023 else NewerSession
