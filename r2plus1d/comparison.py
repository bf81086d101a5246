# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The models of one checkpoint, and its bins, beside PyTorch on real samples.

    comparison = Comparison(cfg, 'best.pth', samples, indices=[3, 17])
    row = comparison.compare(ModelFile('r2plus1d_sim.onnx', 'simplification', 'f32'), EngineChoice())
"""
from __future__ import annotations

import dataclasses
import math
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from tqdm import tqdm

from r2plus1d.bins import NO_INFO, BinName, check_same_shape, check_values, list_inputs, read_info, read_input
from r2plus1d.data import Clips, Samples
from r2plus1d.engines import PyTorch, make_engine
from r2plus1d.inference import score_videos
from r2plus1d.metrics import compare_scores, top1_accuracy
from r2plus1d.onnx_files import load_onnx
from r2plus1d.precision import PRECISIONS
from r2plus1d.run import InputError

BIN_BOUNDS = {'uint8': 5, 'float32': 0.09}  # JPEG decoders differ by a few levels of 255; one level is 1/57 normalized
STEPS = ('preprocessing', 'export', 'simplification', 'uint8 input', 'quantization', 'conversion')


class ModelFile(NamedTuple):
    """A model file, the step of the chain that made it, the precision in which it computes."""

    path: str
    step: str
    precision: str


class EngineChoice(NamedTuple):
    """The options --backend, for ONNX files, and --device."""

    backend: str = 'auto'
    device: int = 0


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One row of the comparison: of a model, or of a folder of bins, which has fewer figures.

    looks_like: what is seen of a difference that is too large, as text, where something is.
    """

    model: str
    step: str
    precision: str
    bound: float
    passed: bool
    figures: Dict[str, Any]
    looks_like: Optional[str] = None

    def as_json(self) -> Dict[str, Any]:
        """In strict JSON there are no numbers that are not finite: they are null."""
        row = {**dataclasses.asdict(self), **self.figures}
        del row['figures']
        return {key: None if isinstance(value, float) and not math.isfinite(value) else value
                for key, value in row.items()}


COLUMNS = {  # title: (key of the JSON, form)
    'model': ('model', ''), 'step': ('step', ''), 'precision': ('precision', ''),
    'max diff': ('max_abs_difference', '.2e'), 'relative': ('max_rel_difference', '.2e'), 'bound': ('bound', '.0e'),
    'cosine': ('cosine', '.5f'), 'top-1': ('top1_agreement', '.3f'), 'top-5': ('top5_agreement', '.3f'),
}


def cells_of(row: Dict[str, Any]) -> List[str]:
    """The texts of a row of the table, one for each of the COLUMNS and one for the verdict."""
    cells = []
    for key, form in COLUMNS.values():
        value = row.get(key, '')
        cells.append('not finite' if value is None else format(value, form if key in row else ''))
    return [*cells, 'good' if row['passed'] else 'TOO FAR']


# ---- what a model file is ----------------------------------------------------------------------------


def describe_models(paths: Sequence[str], precision: str, om_precision: str) -> List[ModelFile]:
    """In the order of STEPS, those of the same step as given.

    The first plain ONNX file is what the export wrote, the next ones are simplified ones.
    """
    models: List[ModelFile] = []
    for path in paths:
        if path.endswith('.om'):
            is_int8 = 'int8' in os.path.basename(path)  # as test/pth2om.sh --amct calls it
            models.append(ModelFile(path, 'conversion', 'int8' if is_int8 else om_precision))
            continue
        step = onnx_step(path)
        if step == 'export' and any(model.step == 'export' for model in models):
            step = 'simplification'
        models.append(ModelFile(path, step, 'int8' if step == 'quantization' else precision))
    return sorted(models, key=lambda model: STEPS.index(model.step))


def onnx_step(path: str) -> str:
    """The step that made an ONNX file, by its nodes and its input."""
    import onnx
    graph = load_onnx(path).graph
    if any(node.op_type == 'QuantizeLinear' for node in graph.node):
        return 'quantization'
    if any(value.type.tensor_type.elem_type == onnx.TensorProto.UINT8 for value in graph.input):
        return 'uint8 input'
    return 'export'


def other_normalization(model: ModelFile, cfg: Any) -> Optional[str]:
    """Where the normalization in a model of r2plus1d_optimize.py --uint8_input is not that of the config, as text."""
    import onnx
    if model.step != 'uint8 input':
        return None
    constants = {weight.name: onnx.numpy_helper.to_array(weight).ravel()
                 for weight in onnx.load(model.path).graph.initializer if weight.name.startswith('normalize.')}
    step = next((step for step in cfg.data.test.pipeline if step['type'] == 'Normalize'), None)
    if step is None or not {'normalize.mean', 'normalize.inverse_std'} <= set(constants):
        return None
    found = {'mean': constants['normalize.mean'], 'std': 1 / constants['normalize.inverse_std']}
    for name, values in found.items():
        if not np.allclose(values, step[name], rtol=1e-4):
            return f'another {name}: {values.astype(float).round(3).tolist()}, and the config has {list(step[name])}'
    return None


# ---- comparison --------------------------------------------------------------------------------------


class Comparison:
    """The chosen test videos, as PyTorch scores them, and the comparison of models and bins with that."""

    def __init__(self, cfg: Any, checkpoint: str, samples: Samples, indices: Sequence[int]) -> None:
        """SAMPLES: those of the config's test split, float32. INDICES: the numbers of the chosen ones."""
        self.cfg = cfg
        self.indices = indices
        self.samples = {'float32': samples}
        self.names = samples.names
        _, sample = samples[indices[0]]
        self.reference = PyTorch(cfg, checkpoint, list(sample.shape))
        progress = tqdm(indices, unit='video', desc='PyTorch')
        self.labels, scores = score_videos([self.reference], samples, progress)
        self.expected = scores[0]

    def samples_of(self, dtype: str) -> Samples:
        if dtype not in self.samples:
            self.samples[dtype] = Samples(self.cfg, dtype)
        return self.samples[dtype]

    def compare(self, model: ModelFile, choice: EngineChoice) -> Verdict:
        if model.step == 'conversion':
            engine = make_engine(model.path, device=choice.device)
        else:
            engine = make_engine(model.path, choice.backend, model.precision, choice.device)
        check_same_shape(self.cfg.filename, self.reference.sample_shape, model.path, engine.sample_shape)
        engine.prepare(engine.batch_size or 1)
        samples = self.samples_of(str(engine.dtype))
        _, scores = score_videos([engine], samples, tqdm(self.indices, unit='video', desc=model.path))
        found = scores[0]
        if found.shape != self.expected.shape:
            raise InputError(f'{model.path}: gives scores of {found.shape[1:]} for a video, '
                             f'PyTorch gives {self.expected.shape[1:]}')
        precision = PRECISIONS[model.precision]
        figures = compare_scores(self.expected, found)
        passed = bool(np.isfinite(found).all() and figures['max_rel_difference'] <= precision.bound
                      and figures['cosine'] >= precision.least_cosine)
        differing = figures['first_top1_difference']
        figures['first_top1_difference'] = None if differing is None else self.describe_video(self.indices[differing])
        figures.update(engine=engine.describe().to_json(), top1_acc=top1_accuracy(found, self.labels))
        return Verdict(*model, precision.bound, passed, figures,
                       None if passed else other_normalization(model, self.cfg))

    def describe_video(self, index: int) -> Dict[str, Any]:
        """The name of a video and the numbers of the frames that the models saw."""
        frames, _ = Clips(self.cfg)[index]
        return {'number': index, 'video': self.names[index], 'frames': [int(frame) for frame in frames]}

    def compare_bins(self, folder: str) -> Verdict:
        """How far the bins in a folder are from what the test pipeline makes."""
        files = {}
        for path in list_inputs(folder):
            name = BinName.parse(path)
            for offset in range(len(name.labels)):
                files[name.first + offset] = (path, offset)
        dtype = (read_info(folder) or NO_INFO).dtype or 'float32'
        bound = BIN_BOUNDS[dtype]
        samples = self.samples_of(dtype)
        largest = 0.0
        looks_like = None
        for index in self.indices:
            if index not in files:
                raise InputError(f'{folder}: has no bin of video {index}, {self.names[index]}')
            expected = samples[index][1]
            difference = read_bin_sample(*files[index], expected).astype(np.float32) - expected
            largest = max(largest, float(np.abs(difference).max()))
            if np.abs(difference).max() > bound and looks_like is None:
                shift = difference.mean(axis=(0, 2, 3, 4)).round(3).tolist()
                looks_like = f'{files[index][0]}, whose channels differ by {shift} on the average'
        return Verdict(folder, 'preprocessing', dtype, bound, largest <= bound, {'max_abs_difference': largest},
                       looks_like)


def read_bin_sample(path: str, offset: int, like: np.ndarray) -> np.ndarray:
    """Sample OFFSET of a bin, an array of the shape and dtype of LIKE."""
    count, rest = divmod(os.path.getsize(path), like.nbytes)
    if rest or count <= offset:
        raise InputError(f'{path}: {os.path.getsize(path)} bytes are not samples of {like.nbytes} bytes')
    data = np.empty((count, *like.shape), like.dtype)
    read_input(path, data)
    check_values(path, data.reshape(-1))
    return np.asarray(data[offset])
