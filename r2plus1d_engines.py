"""The inference engines that run the ONNX model, one interface for all, and what the scripts that use them share.

    engine = make_engine(args, shape)    # args: --model, --backend, --precision, --device
    outputs = engine(batch)              # batch: float32 or uint8 as the model has it, of SHAPE; outputs: float32
"""
import argparse
import contextlib
import os
import platform
import sys

import numpy as np


class InputError(Exception):
    """Something that the user can mend; the message says what and how."""


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def log(text):
    print(f'[INFO] {text}', file=sys.stderr)


def cpu_name():
    """The CPU's name where Linux tells it (not on aarch64), else what Python knows of it."""
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', errors='replace') as f:
            for line in f:
                if line.startswith('model name'):
                    return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


class OpenVINO:
    """OpenVINO on the CPU, at one batch size."""

    PRECISION = {'f32': 'f32', 'bf16': 'bf16', 'int8': 'f32'}

    def __init__(self, model, shape, precision):
        import openvino as ov
        core = ov.Core()
        if precision == 'bf16' and 'BF16' not in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
            raise InputError('--precision bf16: this CPU has no bf16, and OpenVINO would run f32 in its place; '
                             'use --precision f32')
        network = core.read_model(model)
        network.reshape(shape)
        self.compiled = core.compile_model(
            network, 'CPU', {
                'PERFORMANCE_HINT': 'LATENCY',
                'INFERENCE_PRECISION_HINT': self.PRECISION[precision]
            })
        self.request = self.compiled.create_infer_request()
        self.name = f'OpenVINO {ov.__version__.split("-")[0]}, CPU'

    def __call__(self, batch):
        results = self.request.infer([batch], share_inputs=True)
        return [results[output] for output in self.compiled.outputs]


class OnnxRuntime:
    """ONNX Runtime with the first provider that is there of CANN (Ascend), CUDA, CPU."""

    ACCELERATORS = ['CANNExecutionProvider', 'CUDAExecutionProvider']

    def __init__(self, model, shape, precision, device=0):
        import onnxruntime as ort
        if precision == 'bf16':
            raise InputError('--precision bf16: ONNX Runtime has no bf16 on CPUs; use --backend openvino')
        available = ort.get_available_providers()
        providers = [(p, {'device_id': device}) for p in self.ACCELERATORS if p in available]
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self.session = ort.InferenceSession(model, options, providers=providers + ['CPUExecutionProvider'])
        self.input = self.session.get_inputs()[0].name
        self.name = f'ONNX Runtime {ort.__version__}, {self.session.get_providers()[0]}'

    def __call__(self, batch):
        return self.session.run(None, {self.input: batch})


def choose_backend():
    """An accelerator that ONNX Runtime was built for, else OpenVINO, else ONNX Runtime on the CPU."""
    with contextlib.suppress(ImportError):
        import onnxruntime as ort
        if set(OnnxRuntime.ACCELERATORS) & set(ort.get_available_providers()):
            return 'onnxruntime'
    try:
        import openvino  # noqa: F401
        return 'openvino'
    except ImportError:
        return 'onnxruntime'


def add_engine_options(parser):
    parser.add_argument('--device', '-d', type=int, default=0, help='of an accelerator (default: 0)')
    parser.add_argument('--backend', default='auto', choices=['auto', 'openvino', 'onnxruntime'],
                        help='auto: ONNX Runtime where it has CANN or CUDA, else OpenVINO, else ONNX Runtime')
    parser.add_argument('--precision', default='f32', choices=['f32', 'bf16', 'int8'],
                        help='of the arithmetic; int8 takes a model of r2plus1d_optimize.py (default: f32)')


def make_engine(args, shape):
    """The engine for batches of SHAPE; prints which it is."""
    backend = choose_backend() if args.backend == 'auto' else args.backend
    try:
        if backend == 'openvino':
            engine = OpenVINO(args.model, shape, args.precision)
        else:
            engine = OnnxRuntime(args.model, shape, args.precision, args.device)
    except InputError:
        raise
    except ImportError as e:
        raise InputError(f'--backend {backend}: {e}; install it or choose another')
    except Exception as e:
        raise InputError(f'{args.model}: {backend} cannot load it: {" ".join(str(e).split())[:300]}')
    log(f'{engine.name}, {args.precision}, batch size {shape[0]}')
    return engine


def read_input_spec(model):
    """(shape of one sample, dtype) of the model's only input, from the ONNX file."""
    import onnx
    try:
        graph = onnx.load(model, load_external_data=False).graph
        weights = {w.name for w in graph.initializer}
        value, = (i for i in graph.input if i.name not in weights)
        tensor = value.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim[1:]]
        return shape, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except Exception as e:
        raise InputError(f'{model}: not an ONNX model with one input: {" ".join(str(e).split())[:200]}')
