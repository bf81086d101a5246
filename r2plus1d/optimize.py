# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Variants of an ONNX model, as graphs: bytes as its input, int8 arithmetic.

    add_uint8_input(model, path, cfg)
    model = quantize(model, path, samples, indices)
    save(model, 'r2plus1d_int8.onnx')
"""
from __future__ import annotations

import os
from typing import Any, List, Sequence, Tuple

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

from r2plus1d.data import Samples
from r2plus1d.models import is_quantized, load_onnx, no_telemetry
from r2plus1d.run import InputError, import_library, one_line

NORMALIZE = ['/normalize/Cast', '/normalize/Sub', '/normalize/Mul']  # names of the nodes that --uint8_input adds
OPSET_OF_INT8 = 13  # the first in which QuantizeLinear has a scale for each channel
IR_OF_OPSET_13 = 7
MADE_BY = ('made_by', 'r2plus1d_optimize.py')  # in metadata_props of each variant
OLD_NOTES = ('input_mean', 'quantized_by')  # one of them is in each variant from before


def add_uint8_input(model: ModelProto, model_path: str, cfg: Any) -> None:
    """Let the float32 MODEL take uint8 and normalize: (x - mean) * (1 / std), as mmcv.imnormalize does it.

    The nodes go behind the Reshape that makes samples of the crops, where the tensor is N x RGB x T x H x W.
    Raises InputError.
    """
    mean, std = normalization(cfg)
    graph = model.graph
    model_input = graph.input[0]
    if model_input.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise InputError(f'{model_path}: its input is not float32; was it made with --uint8_input already?')
    tensors, users = follow_input(graph, model_path)
    for value in [model_input, *graph.value_info]:
        if value.name in tensors:
            value.type.tensor_type.elem_type = TensorProto.UINT8

    inverse_std = (1 / std.astype(np.float64)).astype(np.float32)
    for name, array in (('normalize.mean', mean), ('normalize.inverse_std', inverse_std)):
        graph.initializer.append(numpy_helper.from_array(array.reshape(1, 3, 1, 1, 1), name))
    cast, sub, mul = (name + '_output_0' for name in NORMALIZE)
    nodes = [
        helper.make_node('Cast', [tensors[-1]], [cast], NORMALIZE[0], to=TensorProto.FLOAT),
        helper.make_node('Sub', [cast, 'normalize.mean'], [sub], NORMALIZE[1]),
        helper.make_node('Mul', [sub, 'normalize.inverse_std'], [mul], NORMALIZE[2]),
    ]
    position = min(i for i, node in enumerate(graph.node) if node in users)
    for user in users:
        user.input[:] = [mul if name == tensors[-1] else name for name in user.input]
    for i, node in enumerate(nodes):
        graph.node.insert(position + i, node)
    for key, text in (('input_dtype', 'uint8'), ('input_mean', mean.tolist()), ('input_std', std.tolist())):
        note(model, key, str(text))


def normalization(cfg: Any) -> Tuple[np.ndarray, np.ndarray]:
    """(mean, std), float32 arrays of three channels, of the Normalize step of the config's test pipeline."""
    steps = [step for step in cfg.data.test.pipeline if step['type'] == 'Normalize']
    if len(steps) != 1 or steps[0].get('to_bgr') or len(steps[0]['mean']) != 3 or len(steps[0]['std']) != 3:
        raise InputError(f'{cfg.filename}: expected one Normalize of RGB without to_bgr in data.test.pipeline')
    return np.array(steps[0]['mean'], np.float32), np.array(steps[0]['std'], np.float32)


def follow_input(graph: GraphProto, model_path: str) -> Tuple[List[str], List[NodeProto]]:
    """(names of the tensors that hold the input's values as they are, nodes that use the last of them)."""
    tensors = [graph.input[0].name]
    while True:
        users = [node for node in graph.node if tensors[-1] in node.input and node.op_type != 'Shape']
        if len(users) != 1 or users[0].op_type != 'Reshape':
            break
        tensors.append(users[0].output[0])
    kinds = [node.op_type for node in users]
    if not kinds or set(kinds) - {'Conv', 'QuantizeLinear'}:
        raise InputError(f'{model_path}: the input goes to {kinds}, not to a convolution')
    return tensors, users


def calibration_samples(cfg: Any, test: Samples) -> Samples:
    """Samples of the training videos, through the test pipeline; raises InputError if any of them is in TEST."""
    train = Samples.of_training_split(cfg, str(test.dtype))
    for samples in (train, test):
        if not len(samples):
            raise InputError(f'{samples.list_file}: lists no video')
    shared = {os.path.realpath(name) for name in train.names} & {os.path.realpath(name) for name in test.names}
    if shared:
        raise InputError(f'{train.list_file}: has {len(shared)} videos of the test list '
                         f'{test.list_file}; int8 is calibrated on training videos, never on test videos')
    return train


def import_nncf() -> Any:
    no_telemetry()
    return import_library('nncf')


def quantize(model: ModelProto, model_path: str, samples: Any, indices: Sequence[int]) -> ModelProto:
    """The MODEL in int8, opset 13, calibrated on samples[i] for i in INDICES. Raises InputError."""
    if is_quantized(model):
        raise InputError(f'{model_path}: is quantized already')
    nncf = import_nncf()
    input_name = model.graph.input[0].name
    data = nncf.Dataset(indices, lambda i: {input_name: samples[i][1][None]})
    normalize = [node.name for node in model.graph.node if node.name in NORMALIZE]
    try:
        if model.opset_import[0].version < OPSET_OF_INT8:
            model = version_converter.convert_version(model, OPSET_OF_INT8)
            model.ir_version = max(model.ir_version, IR_OF_OPSET_13)
        model = nncf.quantize(model, data, subset_size=len(indices), preset=nncf.QuantizationPreset.MIXED,
                              target_device=nncf.TargetDevice.CPU, ignored_scope=nncf.IgnoredScope(names=normalize))
    except (InputError, OSError):
        raise
    except Exception as e:
        raise InputError(f'{model_path}: NNCF {nncf.__version__} cannot quantize it: {e}')
    note(model, 'precision', 'int8')
    note(model, 'quantized_by', f'NNCF {nncf.__version__}, on {len(indices)} videos')
    return model


# ---- files ---------------------------------------------------------------------------------------------


def save(model: ModelProto, path: str) -> None:
    """Write a variant. Raises InputError where it is no valid model."""
    note(model, *MADE_BY)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as e:
        raise InputError(f'{path}: the new model is not valid: {one_line(e)}')
    onnx.save(model, path)


def note(model: ModelProto, key: str, text: str) -> None:
    """Note something in the metadata_props of a model, each key once."""
    properties = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, {**properties, key: text})


def check_replaceable(path: str) -> None:
    """Raise InputError unless the file PATH is a variant that was made here, which a new one may replace."""
    try:
        noted = {entry.key for entry in load_onnx(path).metadata_props}
    except InputError:
        noted = set()
    if not noted & {MADE_BY[0], *OLD_NOTES}:
        raise InputError(f'{path}: is there, and is no model that r2plus1d_optimize.py has made; give another --output')
