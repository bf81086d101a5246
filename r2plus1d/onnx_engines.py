# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The engines that run an ONNX file: OpenVINO and ONNX Runtime."""
from __future__ import annotations

import copy
from typing import Any, Callable, List, Optional, Sequence

import numpy as np

from r2plus1d.engine_base import Engine, no_telemetry
from r2plus1d.onnx_files import (
    SAMPLE_RANK,
    ModelInput,
    check_all_weights,
    check_outputs,
    check_weights,
    input_of,
    is_quantized,
    load_onnx,
    names_other_files,
    read_onnx_input,
)
from r2plus1d.precision import AUTO, FLOAT_PRECISIONS, PRECISIONS, Timings, announced
from r2plus1d.run import InputError
from r2plus1d.store import check_regular_file

INT8 = 'int8'


def computed_in(model: str, asked: str, quantized: bool) -> str:
    """What a MODEL is computed in where the precision ASKED for was given. Raises InputError where it cannot be."""
    if PRECISIONS[asked].needs_quantized and not quantized:
        raise InputError(f'--precision {asked}: {model} is not quantized, and would be computed in f32; '
                         'make a model for it by r2plus1d_optimize.py --int8')
    if not quantized:
        return asked
    return INT8 if PRECISIONS[asked].hint == 'f32' else f'{INT8}, the rest {asked}'


class OpenVINO(Engine):
    """OpenVINO on the CPU. It compiles the model for one batch size."""

    name = 'OpenVINO'
    compiled_for: Optional[int] = None  # batch size

    def __init__(self, model: str, precision: str, device: int) -> None:
        no_telemetry()
        import openvino
        self.version = openvino.__version__.split('-')[0]
        self.core = openvino.Core()
        super().__init__(model, precision)
        self.num_classes = check_outputs(model, [lengths(output) for output in self.network.outputs])
        quantized = False
        for node in self.network.get_ops():
            quantized = quantized or node.get_type_name() == 'FakeQuantize'
            if node.get_type_name() == 'Constant' and node.get_element_type().is_real():
                check_weights(model, node.get_friendly_name(), node.data)
        self.asked = self.choose(precision, quantized)
        self.precision = computed_in(model, self.asked, quantized)

    def read_input(self, model: str) -> ModelInput:
        """The package onnx takes longer to import and to read the file than OpenVINO does, so it is asked only where
        something is wrong: it checks more, and says what.
        """
        check_regular_file(model)
        if names_other_files(model):
            read_onnx_input(model)
        try:
            self.network = self.core.read_model(model)
            network_input, = self.network.inputs
            shape = lengths(network_input)[1:]
            if len(shape) == SAMPLE_RANK and all(shape):
                return ModelInput(shape, np.dtype(network_input.element_type.to_dtype()))
        except Exception:
            read_onnx_input(model)
            raise
        return read_onnx_input(model)

    def choose(self, precision: str, quantized: bool) -> str:
        """The PRECISION that is asked for; instead of AUTO the fastest. Raises InputError where the CPU has it not."""
        names = [known.name for known in announced(self.capabilities()) if known.name in FLOAT_PRECISIONS]
        timings = Timings(self.model, f'{self.name} {self.version}')
        if precision == AUTO:
            return INT8 if quantized else timings.fastest(names, self.one_batch)
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
        if precision == AUTO:
            precision = 'f32'
        if PRECISIONS[precision].hint != 'f32':
            raise InputError(f'--precision {precision}: ONNX Runtime has no {precision} on CPUs; '
                             'use --backend openvino')
        super().__init__(model, precision)
        import onnxruntime
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

    def read_input(self, model: str) -> ModelInput:
        content = load_onnx(model)
        found = input_of(model, content)
        check_all_weights(model, content)
        self.precision = computed_in(model, self.precision, is_quantized(content))
        return found

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        outputs: List[np.ndarray] = self.session.run(None, {self.input_name: batch})
        return outputs
