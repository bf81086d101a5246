# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A model file: what it says of itself, which ones are refused, and what an engine is that runs one.

    shape, dtype = read_onnx_input('r2plus1d_sim.onnx')
    is_quantized(load_onnx('r2plus1d_int8.onnx'))
"""
from __future__ import annotations

import math
import mmap
import os
import sys
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from r2plus1d.run import InputError, import_library, one_line
from r2plus1d.store import check_regular_file

if TYPE_CHECKING:
    from onnx import ModelProto

SAMPLE_RANK = 5  # views x 3 x frames x height x width
INPUT_FORM = 'batch x views x 3 x frames x height x width, all but the batch fixed'
SAMPLE_DTYPES = ('float32', 'uint8')


class ModelInput(NamedTuple):
    """What a model takes: the shape of one sample, and the type of its values."""

    shape: List[int]
    dtype: np.dtype


# ---- ONNX files ----------------------------------------------------------------------------------------


def load_onnx(path: str) -> ModelProto:
    """The model in a file, without weights that lie in other files. Raises InputError.

    Those files have to lie in the folder of the model: others may name any file of this machine as their weights.
    """
    onnx = import_library('onnx')
    check_regular_file(path)
    try:
        model = onnx.load(path, load_external_data=False)
        tensors = list(find_tensors(model))
    except Exception as e:
        raise InputError(f'{path}: not an ONNX model: {name_content(path) or one_line(e, 200)}')
    for tensor in tensors:
        for entry in tensor.external_data:
            if entry.key == 'location':
                check_weights_file(path, entry.value)
    return model


def name_content(path: str) -> Optional[str]:
    """What a file is that often lies in the place of a model; None where it is something else."""
    with open(path, 'rb') as f:
        start = f.read(200).lstrip().lower()
    if start.startswith(b'version https://git-lfs'):
        return 'it is a pointer of Git LFS; run "git lfs pull" where it comes from'
    if start.startswith((b'<!doctype html', b'<html', b'<head')):
        return 'it is an HTML page, as a download leaves that needs a log-in; download the file itself'
    return None


def check_weights_file(model: str, location: str) -> None:
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


def find_tensors(message: Any) -> Iterator[Any]:
    """All tensors in an ONNX model, or in a part of it: weights, constants, those of inner graphs and functions."""
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, 'ListFields') else value:
                if part.DESCRIPTOR.name == 'TensorProto':
                    yield part
                else:
                    yield from find_tensors(part)


def names_other_files(path: str) -> bool:
    """Whether an ONNX file may have weights in other files: their entries have the key "location"."""
    with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b'location') >= 0


def read_onnx_input(path: str) -> ModelInput:
    """The only input of an ONNX file.

    Raises InputError where it has another form, or where a dimension but the first, the batch size, is not fixed.
    """
    return input_of(path, load_onnx(path))


def input_of(path: str, model: ModelProto) -> ModelInput:
    """read_onnx_input() of the MODEL that was read from PATH."""
    import onnx
    weights = {weight.name for weight in model.graph.initializer}
    values = [value for value in model.graph.input if value.name not in weights]
    if len(values) != 1:
        raise InputError(f'{path}: not an ONNX model with one input, but with {len(values)}')
    tensor = values[0].type.tensor_type
    expected = f'expected {INPUT_FORM}; export the model again'
    if not tensor.HasField('shape'):
        raise InputError(f'{path}: its input has no shape, {expected}')
    dimensions = tensor.shape.dim[1:]
    shape = [int(dimension.dim_value) for dimension in dimensions]
    if len(shape) != SAMPLE_RANK or min(shape) < 1:
        names = [dimension.dim_param or str(dimension.dim_value) if dimension.WhichOneof('value') else '?'
                 for dimension in dimensions]
        raise InputError(f'{path}: its input is {" x ".join(["batch", *names])}, {expected}')
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except (KeyError, TypeError):
        raise InputError(f'{path}: its input has no type that NumPy knows')
    check_input_type(path, dtype)
    return ModelInput(shape, dtype)


def classes_of(path: str, model: ModelProto) -> Optional[int]:
    """check_outputs() of the MODEL that was read from PATH, as far as it notes the shapes of its outputs."""
    types = [value.type.tensor_type for value in model.graph.output]
    if len(types) == 1 and not types[0].HasField('shape'):
        return None
    return check_outputs(path, [[dimension.dim_value or None for dimension in each.shape.dim] for each in types])


def check_all_weights(path: str, model: ModelProto) -> None:
    """check_weights() of all tensors of the MODEL that was read from PATH, those in other files too."""
    from onnx import TensorProto, numpy_helper
    for tensor in find_tensors(model):
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
            check_weights(path, tensor.name, numpy_helper.to_array(tensor, os.path.dirname(path)))


def is_quantized(model: ModelProto) -> bool:
    return any(node.op_type == 'QuantizeLinear' for node in model.graph.node)


# ---- what is refused -----------------------------------------------------------------------------------


def check_input_type(model: str, dtype: np.dtype) -> None:
    """Raise InputError unless samples are made of the DTYPE that the input of a MODEL has."""
    if str(dtype) not in SAMPLE_DTYPES:
        raise InputError(f'{model}: its input takes {dtype}; expected float32, or uint8 as r2plus1d_optimize.py '
                         '--uint8_input makes it; make the model again')


def check_outputs(model: str, shapes: Sequence[Sequence[Optional[int]]]) -> Optional[int]:
    """The number of classes of a model whose outputs have these SHAPES, in which None is a length that varies.

    None where the model does not say it. Raises InputError unless its only output are rows of scores.
    """
    if len(shapes) != 1:
        raise InputError(f'{model}: has {len(shapes)} outputs, expected one, the scores; export the model again')
    shape, = shapes
    if len(shape) not in (2, 3):
        raise InputError(f'{model}: its output has {len(shape)} dimensions, expected rows of scores, one for each view '
                         'of each video; export the model again')
    return shape[-1]


def check_classes(cfg: Any, model: str, num_classes: Optional[int]) -> None:
    """Raise InputError where a model with NUM_CLASSES does not have those of the head of the config."""
    expected = cfg.get('model', {}).get('cls_head', {}).get('num_classes')
    if expected and num_classes and expected != num_classes:
        raise InputError(f'{model}: has {num_classes} classes, and the head in {cfg.filename} has {expected}; '
                         'give the config that the model was exported with')


def check_weights(model: str, name: str, values: np.ndarray) -> None:
    """Raise InputError where a floating-point weight is not finite: an engine may give ordinary scores for it.

    A single value may be infinite, such as a bound of Clip.
    """
    if values.dtype.kind != 'f' or not values.size:
        return
    ends = [values.min(), values.max()]
    if np.isnan(ends).any() or (values.size > 1 and np.isinf(ends).any()):
        raise InputError(f'{model}: its weight {one_line(name, 100)} holds values that are not finite; look at the '
                         'checkpoint that it was exported from, and export it again')


def check_memory(batch_size: int, sample_shape: Sequence[int], dtype: np.dtype) -> None:
    """Raise InputError where two batches, one that is computed and one that is read, are more than the memory."""
    needed = 2 * batch_size * math.prod(sample_shape) * dtype.itemsize
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > memory:
        raise InputError(f'--batchsize {batch_size}: two batches take {needed / 1e9:.0f} GB, and this machine has '
                         f'{memory / 1e9:.0f} GB; give a smaller batch size')


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of an engine says that the memory was not enough. Each engine has its own."""
    words = ('bad_alloc', 'allocate memory', 'out of memory')
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


# ---- engines -------------------------------------------------------------------------------------------


class Engine:
    """What runs a MODEL file. sample_shape, dtype: those of a sample; precision: what the model is computed in.

    cpu: the name of the CPU, or of the NPU. batch_size: where the model has a fixed one; None where it takes any.
    num_classes: None where the model says it only when it runs. threads, streams: None before prepare(), and where the
    engine does not say how many it uses. for_throughput: set it before prepare() where many batches wait to be
    computed; see side_by_side().
    """

    name = ''
    version = ''
    precision = ''
    cpu = ''
    sample_shape: List[int]
    dtype: np.dtype
    batch_size: Optional[int] = None
    num_classes: Optional[int] = None
    threads: Optional[int] = None
    streams: Optional[int] = None
    for_throughput = False

    def __init__(self, model: str) -> None:
        self.model = model

    def prepare(self, batch_size: int) -> None:
        """Get ready for batches of this size, so that the first call takes no longer than the others."""

    def side_by_side(self) -> Sequence[Engine]:
        """Engines, this one among them, that compute at the same time on the same device, each in a thread of its own.

        Several, after prepare() with for_throughput, where the device then computes more batches a second. A single
        batch takes longer that way.
        """
        return [self]

    def allocate(self, count: int, batch_size: int) -> List[np.ndarray]:
        """COUNT arrays for batches of this size."""
        return [np.empty([batch_size, *self.sample_shape], self.dtype) for _ in range(count)]

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        """Outputs, a list of float32 arrays, of a batch: C-contiguous, batch size x sample_shape, of dtype."""
        raise NotImplementedError

    def describe(self) -> Dict[str, Union[str, int, None]]:
        """For the summary of a run."""
        return {key: getattr(self, key) for key in ('name', 'version', 'precision', 'cpu', 'threads', 'streams')}

    def __str__(self) -> str:
        return f'{self.name} {self.version}, {self.precision}, {self.cpu}'


def no_telemetry() -> None:
    """To be called before an import of OpenVINO or NNCF: each reports that to Google Analytics by openvino_telemetry.

    That also starts a process and writes to the user's home. Both packages do without it where it is not installed.
    """
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]  # an import of it now raises
