# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A model file -> the engine that runs it: OpenVINO, ONNX Runtime, ais_bench on an NPU.

    engine = make_engine('r2plus1d_sim.onnx')
    engine.prepare(1)
    outputs = engine(batch)    # batch: 1 x views x 3 x frames x height x width; outputs: list of float32 arrays
"""
from __future__ import annotations

import argparse
import contextlib
import copy
import glob
import importlib.util
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.environment import cpu_count, cpu_name
from r2plus1d.models import (
    SAMPLE_RANK,
    Engine,
    ModelInput,
    check_all_weights,
    check_input_type,
    check_memory,
    check_outputs,
    check_weights,
    input_of,
    is_quantized,
    load_onnx,
    names_other_files,
    no_telemetry,
    read_onnx_input,
)
from r2plus1d.npu import AisBench, shape_of_om
from r2plus1d.precision import AUTO, CPU_PRECISIONS, FLOAT_PRECISIONS, PRECISIONS, Timings, announced, computed_in
from r2plus1d.run import InputError, import_library, log, one_line
from r2plus1d.store import check_regular_file


class OpenVINO(Engine):
    """OpenVINO on the CPU. It compiles the model for one batch size."""

    name = 'OpenVINO'
    compiled_for: Optional[int] = None  # batch size

    def __init__(self, model: str, precision: str, device: int) -> None:
        no_telemetry()
        openvino = import_library('openvino')
        super().__init__(model)
        self.version = openvino.__version__.split('-')[0]
        self.cpu = cpu_name()
        self.core = openvino.Core()
        self.sample_shape, self.dtype = self.read_model()
        self.num_classes = check_outputs(model, [lengths(output) for output in self.network.outputs])
        quantized = False
        for node in self.network.get_ops():
            quantized = quantized or node.get_type_name() == 'FakeQuantize'
            if node.get_type_name() == 'Constant' and node.get_element_type().is_real():
                check_weights(model, node.get_friendly_name(), node.data)
        self.asked = self.choose(precision, quantized)
        self.precision = computed_in(model, self.asked, quantized)

    def read_model(self) -> ModelInput:
        """The package onnx takes longer to import and to read the file than OpenVINO does, so it is asked only where
        something is wrong: it checks more, and says what.
        """
        check_regular_file(self.model)
        if names_other_files(self.model):
            read_onnx_input(self.model)
        try:
            self.network = self.core.read_model(self.model)
            network_input, = self.network.inputs
            shape = lengths(network_input)[1:]
            if len(shape) == SAMPLE_RANK and all(shape):
                return ModelInput(shape, np.dtype(network_input.element_type.to_dtype()))
        except Exception:
            read_onnx_input(self.model)
            raise
        return read_onnx_input(self.model)

    def choose(self, precision: str, quantized: bool) -> str:
        """The PRECISION that is asked for; instead of AUTO the fastest. Raises InputError where the CPU has it not."""
        names = [known.name for known in announced(self.capabilities()) if known.name in FLOAT_PRECISIONS]
        timings = Timings(self.model, f'{self.name} {self.version}, {self.cpu}, {cpu_count()} cores')
        if precision == AUTO:
            return 'int8' if quantized else timings.fastest(names, self.one_batch)
        if precision in FLOAT_PRECISIONS:
            if precision not in names:
                raise InputError(f'--precision {precision}: this CPU has no {precision}, and OpenVINO would run f32 in '
                                 'its place; use --precision f32')
            if not quantized and precision != 'f32':
                timings.warn_if_slower(precision)
        return precision

    def capabilities(self) -> Sequence[str]:
        """What the CPU announces, in OpenVINO's words."""
        found: Sequence[str] = self.core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
        return found

    def one_batch(self, precision: str) -> Callable[[], object]:
        """A function that computes one sample in a PRECISION."""
        self.network.reshape([1, *self.sample_shape])
        request = self.compile(self.core, self.network, precision).create_infer_request()
        batch = np.zeros([1, *self.sample_shape], self.dtype)
        return lambda: request.infer([batch], share_inputs=True)

    def prepare(self, batch_size: int) -> None:
        if batch_size == self.compiled_for:
            return
        self.network.reshape([batch_size, *self.sample_shape])
        hint = 'THROUGHPUT' if self.for_throughput else 'LATENCY'
        self.compiled = self.compile(self.core, self.network, self.asked, hint)
        self.threads = self.compiled.get_property('INFERENCE_NUM_THREADS')
        self.streams = self.compiled.get_property('NUM_STREAMS')
        self.outputs = self.compiled.outputs
        self.request = self.compiled.create_infer_request()
        self.compiled_for = batch_size

    def side_by_side(self) -> Sequence[Engine]:
        """With LATENCY all cores compute one batch, and parts of it wait for the core that is last. With THROUGHPUT
        groups of cores, which OpenVINO chooses, have a batch each.
        """
        count = self.compiled.get_property('OPTIMAL_NUMBER_OF_INFER_REQUESTS')
        others = [copy.copy(self) for _ in range(count - 1)]
        for other in others:
            other.request = self.compiled.create_infer_request()
        return [self, *others]

    @staticmethod
    def compile(core: Any, network: Any, precision: str, hint: str = 'LATENCY') -> Any:
        """The openvino.CompiledModel of an openvino.Model. HINT: OpenVINO's PERFORMANCE_HINT."""
        return core.compile_model(network, 'CPU', {
            'PERFORMANCE_HINT': hint,
            'INFERENCE_PRECISION_HINT': PRECISIONS[precision].hint,
        })

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        results = self.request.infer([batch], share_inputs=True)
        return [results[output] for output in self.outputs]


def lengths(port: Any) -> List[Any]:
    """The lengths of an input or output of an openvino.Model, with None for those that vary; [] without a rank."""
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        return []
    return [dimension.get_length() if dimension.is_static else None for dimension in shape]


class OnnxRuntime(Engine):
    """ONNX Runtime with the first provider that is there of CANN (Ascend), CUDA, CPU."""

    ACCELERATORS = ['CANNExecutionProvider', 'CUDAExecutionProvider']

    def __init__(self, model: str, precision: str, device: int) -> None:
        asked = 'f32' if precision == AUTO else precision
        if PRECISIONS[asked].hint != 'f32':
            raise InputError(f'--precision {asked}: ONNX Runtime has no {asked} on CPUs; use --backend openvino')
        super().__init__(model)
        content = load_onnx(model)
        self.sample_shape, self.dtype = input_of(model, content)
        check_all_weights(model, content)
        self.precision = computed_in(model, asked, is_quantized(content))
        onnxruntime = import_library('onnxruntime')
        available = onnxruntime.get_available_providers()
        providers = [(name, {'device_id': device}) for name in self.ACCELERATORS if name in available]
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(model, options, providers=[*providers, 'CPUExecutionProvider'])
        self.num_classes = check_outputs(model, [
            [length if isinstance(length, int) else None for length in output.shape]
            for output in self.session.get_outputs()])
        self.input_name = self.session.get_inputs()[0].name
        self.name = f'ONNX Runtime ({self.session.get_providers()[0]})'
        self.version = onnxruntime.__version__
        self.cpu = cpu_name()

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        outputs: List[np.ndarray] = self.session.run(None, {self.input_name: batch})
        return outputs


ENGINES: Dict[str, Any] = {'openvino': OpenVINO, 'onnxruntime': OnnxRuntime, 'ais_bench': AisBench}


# ---- which one -----------------------------------------------------------------------------------------


def has_accelerator() -> bool:
    """Whether ONNX Runtime has one. Its wheels have a library for each; where there is none, its import is saved."""
    found = importlib.util.find_spec('onnxruntime')
    if not found or not glob.glob(f'{os.path.dirname(found.origin or "")}/capi/*onnxruntime_providers_c*'):
        return False
    with contextlib.suppress(ImportError):
        return bool(set(OnnxRuntime.ACCELERATORS) & set(import_library('onnxruntime').get_available_providers()))
    return False


def choose_backend(model: str, backend: str) -> str:
    """BACKEND, a key of ENGINES. For auto: ais_bench for an .om; for ONNX: ONNX Runtime where it has an accelerator,
    else OpenVINO, else ONNX Runtime.
    """
    if backend != 'auto' or model.endswith('.om'):
        return 'ais_bench' if backend == 'auto' else backend
    return 'openvino' if not has_accelerator() and importlib.util.find_spec('openvino') else 'onnxruntime'


def make_engine(model: str, backend: str = 'auto', precision: str = 'f32', device: int = 0) -> Engine:
    """The engine for a model file; call prepare() before the first batch. Logs which it is. Raises InputError.
    BACKEND: auto or a key of ENGINES. PRECISION: auto or one of CPU_PRECISIONS. DEVICE: number of the accelerator.
    """
    backend = choose_backend(model, backend)
    try:
        engine: Engine = ENGINES[backend](model, precision, device)
        check_input_type(model, engine.dtype)
    except InputError:
        raise
    except ImportError as e:
        raise InputError(f'--backend {backend}: {e}; install it or choose another')
    except Exception as e:
        raise InputError(f'{model}: {backend} cannot load it: {one_line(e)}')
    log(engine)
    return engine


def make_engines(args: argparse.Namespace) -> List[Engine]:
    """One engine for each number in --device, by the options of add_engine_options(). Raises InputError."""
    if len(args.device) > 1 and choose_backend(args.model, args.backend) == 'openvino':
        raise InputError('--device: OpenVINO runs on the CPU, which is one device')
    return [make_engine(args.model, args.backend, args.precision, device) for device in args.device]


def start_engines(args: argparse.Namespace, many_batches: bool = False) -> Future[List[Engine]]:
    """Begin make_engines(), and prepare the engines for batches of --batchsize, in a thread of its own.

    The engines load and compile the model while this thread imports mmcv and reads videos. Those of NPUs are made
    before this function returns: each is a forked process, and must not inherit the locks that another thread holds
    while it imports.

    MANY_BATCHES: whether there will be so many that side_by_side() pays. That is for single samples only: each of the
    engines side by side has the memory of a batch, and with many cores there are many engines.
    """

    def make() -> List[Engine]:
        engines = make_engines(args)
        for engine in engines:
            batch_size = args.batchsize or engine.batch_size or 1
            check_memory(batch_size, engine.sample_shape, engine.dtype)
            engine.for_throughput = many_batches and batch_size == 1
            engine.prepare(batch_size)
        return engines

    if choose_backend(args.model, args.backend) == 'ais_bench':
        engines: Future[List[Engine]] = Future()
        engines.set_result(make())
        return engines
    with_one_thread = ThreadPoolExecutor(1)
    engines = with_one_thread.submit(make)
    with_one_thread.shutdown(wait=False)
    return engines


def device_numbers(text: str) -> List[int]:
    """Type of --device: the numbers in 0 or 0,1. A device that is there twice runs two engines."""
    devices = [int(number) for number in text.split(',')]
    if min(devices) < 0:
        raise argparse.ArgumentTypeError(f'{text}: numbers of 0 or more, with commas between')
    return devices


def device_list(text: str) -> List[int]:
    """The same, with each device once: ais_bench names its folders by them."""
    devices = device_numbers(text)
    if len(set(devices)) < len(devices):
        raise argparse.ArgumentTypeError(f'{text}: numbers of 0 or more, each once, with commas between')
    return devices


def add_engine_options(parser: argparse.ArgumentParser, precision: str = 'f32') -> None:
    """PRECISION: the default of --precision."""
    parser.add_argument('--device', '-d', type=device_numbers, default=[0],
                        help='The number of the accelerator, or numbers with commas between. (default: 0)')
    parser.add_argument('--backend', default='auto', choices=['auto', *ENGINES],
                        help='The engine. auto takes ais_bench for an .om. For an ONNX file it takes ONNX Runtime '
                        'where that has CANN or CUDA, else OpenVINO, else ONNX Runtime on the CPU.')
    parser.add_argument('--precision', default=precision, choices=[AUTO, *CPU_PRECISIONS],
                        help='The precision of the arithmetic. auto measures once for each model which one is the '
                        'fastest on this CPU. int8 needs a model of r2plus1d_optimize.py --int8.')


def input_of_model(path: str) -> Tuple[Optional[List[int]], Optional[np.dtype]]:
    """(shape, dtype) of the samples that a model file takes. Each is None where an .om says it only when it runs."""
    return (shape_of_om(path), None) if path.endswith('.om') else read_onnx_input(path)
