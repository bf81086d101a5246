# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The inference engines: one interface for all that run a model file.

    engine = make_engine('r2plus1d_sim.onnx', batch_size=1)
    outputs = engine(batch)    # batch: 1 x crops x 3 x frames x height x width; outputs: list of float32 arrays

An engine says what it takes (sample_shape, dtype, batch_size) and what it is (describe()).
"""
import argparse
import contextlib
import copy
import glob
import importlib.util
import math
import os
import platform
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from r2plus1d.bins import SAMPLE_DTYPES
from r2plus1d.npu import AisBench
from r2plus1d.run import InputError, log, one_line, signals_wait
from r2plus1d.store import check_regular_file, read_json

SAMPLE_RANK = 5  # views x 3 x frames x height x width
LOCATION = b'location'  # ONNX's key for the name of another file
BLOCK = 2**24  # bytes that are read at a time


def cpu_facts():
    """{name: value} of the first core, as Linux names them in /proc/cpuinfo; {} where there is no such file."""
    facts = {}
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', errors='replace') as f:
            for line in f:
                name, colon, value = line.partition(':')
                if colon:
                    facts.setdefault(name.strip(), value.strip())
    return facts


def cpu_name():
    """The CPU's name where Linux tells it (not on aarch64), else what Python knows of it."""
    facts = cpu_facts()
    return facts['model name'] if 'model name' in facts else platform.processor() or platform.machine()


def load_onnx(path):
    """The onnx.ModelProto in a file, without weights that lie in other files. Raises InputError.

    Those files have to lie in the folder of the model: others may name any file of this machine as their weights.
    """
    with signals_wait():
        import onnx
    check_regular_file(path)
    try:
        model = onnx.load(path, load_external_data=False)
        tensors = list(find_tensors(model))
    except Exception as e:
        raise InputError(f'{path}: not an ONNX model: {one_line(e, 200)}')
    for tensor in tensors:
        for entry in tensor.external_data:
            if entry.key == 'location':
                check_weights_file(path, entry.value)
    return model


def check_weights_file(model, location):
    """Raise InputError unless LOCATION, as an ONNX file has it, is a plain file in the folder of the MODEL."""
    folder = os.path.realpath(os.path.dirname(model))
    path = os.path.join(folder, location)
    if os.path.commonpath([folder, os.path.realpath(path)]) != folder:
        raise InputError(f'{model}: has weights in {one_line(location, 100)}, outside of the folder of the model; '
                         'export it again, into one file')
    try:
        check_regular_file(path)
    except InputError as e:
        raise InputError(f'{model}: its weights: {e}')


def find_tensors(message):
    """All tensors in an ONNX model, or in a part of it: weights, constants, those of inner graphs and functions."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, 'ListFields') else value:
                if part.DESCRIPTOR.name == 'TensorProto':
                    yield part
                else:
                    yield from find_tensors(part)


def read_onnx_input(path):
    """(shape of one sample, dtype) of an ONNX file's only input, crops x 3 x frames x height x width.

    Raises InputError where it has another form, or where a dimension but the first, the batch size, is not fixed.
    """
    with signals_wait():
        import onnx
    graph = load_onnx(path).graph
    weights = {weight.name for weight in graph.initializer}
    values = [value for value in graph.input if value.name not in weights]
    if len(values) != 1:
        raise InputError(f'{path}: not an ONNX model with one input, but with {len(values)}')
    tensor = values[0].type.tensor_type
    expected = 'expected batch x views x 3 x frames x height x width, all but the batch fixed; export the model again'
    if not tensor.HasField('shape'):
        raise InputError(f'{path}: its input has no shape, {expected}')
    dimensions = tensor.shape.dim[1:]
    shape = [dimension.dim_value for dimension in dimensions]
    if len(shape) != SAMPLE_RANK or min(shape) < 1:
        names = [dimension.dim_param or str(dimension.dim_value) if dimension.WhichOneof('value') else '?'
                 for dimension in dimensions]
        raise InputError(f'{path}: its input is {" x ".join(["batch", *names])}, {expected}')
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError):
        raise InputError(f'{path}: its input has no type that NumPy knows')
    check_input_type(path, dtype)
    return shape, dtype


def check_input_type(model, dtype):
    """Raise InputError unless samples are made of the DTYPE that the input of a MODEL has."""
    if str(dtype) not in SAMPLE_DTYPES:
        raise InputError(f'{model}: its input takes {dtype}; expected float32, or uint8 as r2plus1d_optimize.py '
                         '--uint8_input makes it; make the model again')


def check_memory(batch_size, sample_shape, dtype):
    """Raise InputError where two batches, one that is computed and one that is read, are more than the memory."""
    needed = 2 * batch_size * math.prod(sample_shape) * dtype.itemsize
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > memory:
        raise InputError(f'--batchsize {batch_size}: two batches take {needed / 1e9:.0f} GB, and this machine has '
                         f'{memory / 1e9:.0f} GB; give a smaller batch size')


def is_out_of_memory(error):
    """Whether an exception of an engine says that the memory was not enough. Each engine has its own."""
    words = ('bad_alloc', 'allocate memory', 'out of memory')
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def names_other_files(path):
    """Whether an ONNX file may have weights in other files: their entries have the key "location"."""
    overlap = len(LOCATION) - 1  # the end of a block is kept before the next one: the key may begin in it
    content = bytearray(overlap + BLOCK)
    with open(path, 'rb', buffering=0) as f, memoryview(content) as view:
        while True:
            count = f.readinto(view[overlap:])
            if not count:
                return False
            if content.find(LOCATION, 0, overlap + count) >= 0:
                return True
            content[:overlap] = content[count:count + overlap]


class Engine:
    """What all engines have in common.

    sample_shape: list of int, the shape of one sample. dtype: numpy dtype of the input. batch_size: int where the model
    has a fixed one, None where it takes any. name, version, precision, threads: what runs, see describe().
    for_throughput: set it before prepare() where many batches wait to be computed; see side_by_side().
    """

    batch_size = None
    threads = None
    for_throughput = False

    def __init__(self, model, precision):
        self.model = model
        self.precision = precision
        self.sample_shape, self.dtype = self.read_input(model)

    def read_input(self, model):
        """(shape of one sample, dtype) of the input of a model file. Raises InputError."""
        return read_onnx_input(model)

    def prepare(self, batch_size):
        """Get ready for batches of this size, so that the first call takes no longer than the others."""

    def side_by_side(self):
        """Engines, this one among them, that compute at the same time on the same device, each in a thread of its own.

        Several, after prepare() with for_throughput, where the device then computes more batches a second. A single
        batch takes longer that way.
        """
        return [self]

    def allocate(self, count, batch_size):
        """COUNT arrays for batches of this size."""
        return [np.empty([batch_size, *self.sample_shape], self.dtype) for _ in range(count)]

    def __call__(self, batch):
        """Outputs, a list of float32 arrays, of a batch: C-contiguous, batch size x sample_shape, of dtype."""
        raise NotImplementedError

    def describe(self):
        """What runs, for the summary of a run: a dict of name, version, precision, cpu and threads.

        threads is None before prepare(), and where the engine does not say how many it uses.
        """
        return {'name': self.name, 'version': self.version, 'precision': self.precision, 'cpu': cpu_name(),
                'threads': self.threads}


class OpenVINO(Engine):
    """OpenVINO on the CPU. It compiles the model for one batch size."""

    name = 'OpenVINO'
    # OpenVINO's word for the arithmetic of what the model does not say itself: an int8 model says where it is int8.
    INFERENCE_PRECISION = {'f32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}

    compiled_for = None  # batch size

    def __init__(self, model, precision, device):
        import openvino
        self.version = openvino.__version__.split('-')[0]
        self.core = openvino.Core()
        super().__init__(model, precision)
        if precision == 'bf16' and 'BF16' not in self.core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise InputError('--precision bf16: this CPU has no bf16, and OpenVINO would run f32 in its place; '
                             'use --precision f32')

    def read_input(self, model):
        """The package onnx takes longer to import and to read the file than OpenVINO does, so it is asked only where
        something is wrong: it checks more, and says what.
        """
        check_regular_file(model)
        if names_other_files(model):
            read_onnx_input(model)
        try:
            self.network = self.core.read_model(model)
            network_input, = self.network.inputs
            shape = [dimension.get_length() for dimension in list(network_input.partial_shape)[1:]]
            if len(shape) == SAMPLE_RANK and min(shape) >= 1:
                return shape, np.dtype(network_input.element_type.to_dtype())
        except Exception:
            read_onnx_input(model)
            raise
        return read_onnx_input(model)

    def prepare(self, batch_size):
        if batch_size == self.compiled_for:
            return
        self.network.reshape([batch_size, *self.sample_shape])
        hint = 'THROUGHPUT' if self.for_throughput else 'LATENCY'
        self.compiled = self.compile(self.core, self.network, self.precision, hint)
        self.threads = self.compiled.get_property('INFERENCE_NUM_THREADS')
        self.outputs = self.compiled.outputs
        self.request = self.compiled.create_infer_request()
        self.compiled_for = batch_size

    def side_by_side(self):
        """With LATENCY all cores compute one batch, and parts of it wait for the core that is last. With THROUGHPUT
        groups of cores, which OpenVINO chooses, have a batch each.
        """
        count = self.compiled.get_property('OPTIMAL_NUMBER_OF_INFER_REQUESTS')
        others = [copy.copy(self) for _ in range(count - 1)]
        for other in others:
            other.request = self.compiled.create_infer_request()
        return [self, *others]

    @classmethod
    def compile(cls, core, network, precision, hint='LATENCY'):
        """The openvino.CompiledModel of an openvino.Model. HINT: OpenVINO's PERFORMANCE_HINT."""
        return core.compile_model(network, 'CPU', {
            'PERFORMANCE_HINT': hint,
            'INFERENCE_PRECISION_HINT': cls.INFERENCE_PRECISION[precision],
        })

    def __call__(self, batch):
        results = self.request.infer([batch], share_inputs=True)
        return [results[output] for output in self.outputs]


class OnnxRuntime(Engine):
    """ONNX Runtime with the first provider that is there of CANN (Ascend), CUDA, CPU."""

    ACCELERATORS = ['CANNExecutionProvider', 'CUDAExecutionProvider']

    def __init__(self, model, precision, device):
        super().__init__(model, precision)
        import onnxruntime
        if precision == 'bf16':
            raise InputError('--precision bf16: ONNX Runtime has no bf16 on CPUs; use --backend openvino')
        available = onnxruntime.get_available_providers()
        providers = [(name, {'device_id': device}) for name in self.ACCELERATORS if name in available]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(model, options, providers=[*providers, 'CPUExecutionProvider'])
        self.input_name = self.session.get_inputs()[0].name
        self.name = f'ONNX Runtime ({self.session.get_providers()[0]})'
        self.version = onnxruntime.__version__

    def __call__(self, batch):
        return self.session.run(None, {self.input_name: batch})


class PyTorch(Engine):
    """The model of a config with a checkpoint, in PyTorch on the CPU: what all other engines are compared with."""

    name = 'PyTorch'

    def __init__(self, cfg, checkpoint, sample_shape):
        import torch

        from mmaction.models import build_model
        from mmcv.runner import load_checkpoint
        self.model = checkpoint
        self.precision = 'f32'
        self.version = torch.__version__
        self.sample_shape = sample_shape
        self.dtype = np.dtype(np.float32)
        try:
            self.network = build_model(cfg.model, train_cfg=None, test_cfg=None).eval()
            load_checkpoint(self.network, checkpoint, map_location='cpu', strict=True, logger='silent')
        except Exception as e:  # a damaged checkpoint raises many kinds
            raise InputError(f'{checkpoint}: not a checkpoint of the model of {cfg.filename}: {one_line(e)}')

    def __call__(self, batch):
        import torch
        with torch.no_grad():
            return [self.network.forward_dummy(torch.from_numpy(batch))[0].numpy()]


ENGINES = {'openvino': OpenVINO, 'onnxruntime': OnnxRuntime, 'ais_bench': AisBench}


def has_accelerator():
    """Whether ONNX Runtime is there and has an accelerator.

    Its wheels have a library for each of these. Where there is none, its import is saved.
    """
    found = importlib.util.find_spec('onnxruntime')
    if found is None or not glob.glob(f'{os.path.dirname(found.origin)}/capi/*onnxruntime_providers_c*'):
        return False
    with contextlib.suppress(ImportError):
        import onnxruntime
        return bool(set(OnnxRuntime.ACCELERATORS) & set(onnxruntime.get_available_providers()))
    return False


def default_backend(model):
    """ais_bench for an .om; for ONNX: ONNX Runtime where it has an accelerator, else OpenVINO, else ONNX Runtime."""
    if model.endswith('.om'):
        return 'ais_bench'
    if has_accelerator():
        return 'onnxruntime'
    try:
        import openvino  # noqa: F401
        return 'openvino'
    except ImportError:
        return 'onnxruntime'


def backend_of(args):
    """The name of the engine that the options --model and --backend ask for."""
    return default_backend(args.model) if args.backend == 'auto' else args.backend


def make_engines(args):
    """One engine for each number in --device, by the options of add_engine_options(). Raises InputError."""
    backend = backend_of(args)
    if len(args.device) > 1 and backend == 'openvino':
        raise InputError('--device: OpenVINO runs on the CPU, which is one device')
    return [make_engine(args.model, None, backend, args.precision, device) for device in args.device]


def start_engines(args, many_batches=False):
    """Begin make_engines(), and prepare the engines for batches of --batchsize, in a thread of its own.

    MANY_BATCHES: whether there will be so many that side_by_side() pays. That is for single samples only: each of the
    engines side by side has the memory of a batch, and with many cores there are many engines.

    Returns a concurrent.futures.Future, whose result() is what make_engines() returns, or raises what it raises. The
    engines load and compile the model while this thread imports mmaction2 and PyTorch.

    Those of NPUs are made before this function returns. Each is a process, and Linux ends a process that asked to end
    with its parent (PR_SET_PDEATHSIG) when the thread that has started it ends, which here must be the main thread.
    """

    def make():
        engines = make_engines(args)
        for engine in engines:
            batch_size = args.batchsize or engine.batch_size or 1
            check_memory(batch_size, engine.sample_shape, engine.dtype)
            engine.for_throughput = many_batches and batch_size == 1
            engine.prepare(batch_size)
        return engines

    if backend_of(args) == 'ais_bench':
        engines = Future()
        engines.set_result(make())
        return engines
    with_one_thread = ThreadPoolExecutor(1)
    engines = with_one_thread.submit(make)
    with_one_thread.shutdown(wait=False)
    return engines


def make_engine(model, batch_size=None, backend='auto', precision='f32', device=0):
    """The engine for a model file. Logs which it is. Raises InputError.

    Without a batch size, call prepare() before the first batch. BACKEND: auto or a key of ENGINES.
    PRECISION of the arithmetic: f32, bf16 or int8. DEVICE: number of the accelerator.
    """
    if backend == 'auto':
        backend = default_backend(model)
    try:
        engine = ENGINES[backend](model, precision, device)
        check_input_type(model, engine.dtype)
        if batch_size:
            engine.prepare(batch_size)
    except InputError:
        raise
    except ImportError as e:
        raise InputError(f'--backend {backend}: {e}; install it or choose another')
    except Exception as e:
        raise InputError(f'{model}: {backend} cannot load it: {one_line(e)}')
    log('{name} {version}, {precision}, {cpu}'.format(**engine.describe()))
    return engine


def device_list(text):
    """Type of --device: the numbers in 0 or 0,1."""
    devices = [int(number) for number in text.split(',')]
    if min(devices) < 0 or len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError(f'{text}: numbers of 0 or more, each once, with commas between')
    return devices


def add_engine_options(parser):
    parser.add_argument('--device', '-d', type=device_list, default=[0],
                        help='The number of the accelerator, or numbers with commas between. (default: 0)')
    parser.add_argument('--backend', default='auto', choices=['auto', *ENGINES],
                        help='The engine. auto takes ais_bench for an .om. For an ONNX file it takes ONNX Runtime '
                        'where that has CANN or CUDA, else OpenVINO, else ONNX Runtime on the CPU.')
    parser.add_argument('--precision', default='f32', choices=['f32', 'bf16', 'int8'],
                        help='The precision of the arithmetic. int8 needs a model of r2plus1d_optimize.py --int8.')


def shape_of_om(path):
    """The shape of the samples that an .om takes, by the note that test/pth2om.sh leaves beside it; None without it."""
    if not os.path.isfile(path + '.json'):
        return None
    try:
        _, _, text = read_json(path + '.json')['input_shape'].rpartition(':')
        return [int(number) for number in text.split(',')][1:]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def input_of_model(path):
    """(shape, dtype) of the samples that a model file takes. Each is None where an .om says it only when it runs."""
    return (shape_of_om(path), None) if path.endswith('.om') else read_onnx_input(path)
