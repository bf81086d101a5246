# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The models of one checkpoint, and its bins, beside PyTorch on real samples.

    models = describe_models(cfg, ['r2plus1d.onnx', 'r2plus1d_bs16.om'], 'f32', 'fp16')
    comparison = Comparison(cfg, 'best.pth', samples, indices=[3, 17])
    rows = [comparison.compare(model, backend='auto', device=0) for model in models]
"""
from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from r2plus1d.bins import NO_INFO, BinName, check_same_shape, check_values, list_inputs, read_info, read_input
from r2plus1d.data import Clips, Samples
from r2plus1d.engines import make_engine
from r2plus1d.environment import cpu_name
from r2plus1d.inference import infer_sample, score_videos
from r2plus1d.json_forms import COUNT, FLAG, NUMBER, OBJECT, TEXT, Check, Form, field
from r2plus1d.metrics import compare_scores, predicted_classes
from r2plus1d.models import (
    Engine,
    check_classes,
    check_weights,
    classes_of,
    input_of,
    is_quantized,
    load_onnx,
    name_content,
)
from r2plus1d.precision import PRECISIONS
from r2plus1d.run import InputError, import_library, one_line
from r2plus1d.store import check_regular_file

BIN_BOUNDS = {'uint8': 5, 'float32': 0.09}  # JPEG decoders differ by a few levels of 255; one level is 1/57 normalized
STEPS = ('preprocessing', 'export', 'simplification', 'uint8 input', 'quantization', 'conversion')


class PyTorch(Engine):
    """The model of a config with a checkpoint, in PyTorch on the CPU: what all other engines are compared with."""

    name = 'PyTorch'
    precision = 'f32'

    def __init__(self, cfg: Any, checkpoint: str, sample_shape: List[int]) -> None:
        torch = import_library('torch')
        from mmaction.models import build_model
        from mmcv.runner import load_checkpoint
        super().__init__(checkpoint)
        self.version, self.cpu = torch.__version__, cpu_name()
        self.sample_shape, self.dtype = sample_shape, np.dtype(np.float32)
        check_regular_file(checkpoint)
        try:
            self.network = build_model(cfg.model, train_cfg=None, test_cfg=None).eval()
            load_checkpoint(self.network, checkpoint, map_location='cpu', strict=True, logger='silent')
        except Exception as e:  # a damaged checkpoint raises many kinds
            raise InputError(f'{checkpoint}: not a checkpoint of the model of {cfg.filename}: '
                             f'{name_content(checkpoint) or one_line(e)}')
        for name, values in self.network.state_dict().items():
            check_weights(checkpoint, name, values.numpy())

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        import torch
        with torch.no_grad():
            return [self.network.forward_dummy(torch.from_numpy(batch))[0].numpy()]


class ModelFile(NamedTuple):
    """A model file, the step of the chain that made it, the precision in which it computes."""

    path: str
    step: str
    precision: str


def describe_models(cfg: Any, paths: Sequence[str], precision: str, om_precision: str) -> List[ModelFile]:
    """In the order of STEPS, those of the same step as given. Raises InputError where one has other classes than CFG.

    The first plain ONNX file is what the export wrote, the next ones are simplified ones.
    """
    models: List[ModelFile] = []
    for path in paths:
        if path.endswith('.om'):
            is_int8 = 'int8' in os.path.basename(path)  # as test/pth2om.sh --amct calls it
            models.append(ModelFile(path, 'conversion', 'int8' if is_int8 else om_precision))
            continue
        content = load_onnx(path)
        check_classes(cfg, path, classes_of(path, content))
        if is_quantized(content):
            models.append(ModelFile(path, 'quantization', 'int8'))
        elif input_of(path, content).dtype == np.uint8:
            models.append(ModelFile(path, 'uint8 input', precision))
        else:
            is_second = any(model.step == 'export' for model in models)
            models.append(ModelFile(path, 'simplification' if is_second else 'export', precision))
    return sorted(models, key=lambda model: STEPS.index(model.step))


def as_row(model: ModelFile, bound: float, passed: bool, figures: Dict[str, Any]) -> Dict[str, Any]:
    """A row of the report. In strict JSON there are no numbers that are not finite: they are null."""
    finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value
              for key, value in figures.items()}
    return {'model': model.path, 'step': model.step, 'precision': model.precision, 'bound': bound, 'passed': passed,
            **finite}


class Comparison:
    """The chosen test videos, as PyTorch scores them, and the comparison of models and bins with that."""

    def __init__(self, cfg: Any, checkpoint: str, samples: Samples, indices: Sequence[int]) -> None:
        """SAMPLES: those of the config's test split, float32. INDICES: the numbers of the chosen ones."""
        self.cfg = cfg
        self.indices = indices
        self.samples = {'float32': samples}
        self.reference = PyTorch(cfg, checkpoint, list(samples[indices[0]][1].shape))
        self.labels, self.expected = self.score(self.reference)

    def score(self, engine: Engine) -> Tuple[List[int], np.ndarray]:
        """(labels, scores) of the chosen videos."""
        samples = self.samples_of(str(engine.dtype))
        labels, scores = score_videos([engine], samples, tqdm(self.indices, unit='video', desc=engine.model))
        return labels, scores[0]

    def samples_of(self, dtype: str) -> Samples:
        if dtype not in self.samples:
            self.samples[dtype] = Samples(self.cfg, dtype)
        return self.samples[dtype]

    def top1_accuracy(self, scores: np.ndarray) -> float:
        return float(np.mean(predicted_classes(scores) == np.array(self.labels)))

    def compare(self, model: ModelFile, backend: str, device: int) -> Dict[str, Any]:
        """BACKEND, DEVICE: the options, of which the first is that of ONNX files."""
        if model.step == 'conversion':
            engine = make_engine(model.path, device=device)
        else:
            engine = make_engine(model.path, backend, model.precision, device)
        check_same_shape(self.cfg.filename, self.reference.sample_shape, model.path, engine.sample_shape)
        engine.prepare(engine.batch_size or 1)
        given = infer_sample(engine, np.zeros(engine.sample_shape, engine.dtype)).shape
        if given != self.expected.shape[1:]:
            raise InputError(f'{model.path}: gives scores of {given} for a video, PyTorch gives '
                             f'{self.expected.shape[1:]}')
        _, found = self.score(engine)
        precision = PRECISIONS[model.precision]
        figures = compare_scores(self.expected, found)
        passed = bool(np.isfinite(found).all() and figures['max_rel_difference'] <= precision.bound
                      and figures['cosine'] >= precision.least_cosine)
        differing = figures['first_top1_difference']
        figures['first_top1_difference'] = None if differing is None else self.describe_video(self.indices[differing])
        figures.update(engine=engine.describe(), top1_acc=self.top1_accuracy(found))
        return as_row(model, precision.bound, passed, figures)

    def describe_video(self, index: int) -> Dict[str, Any]:
        """The name of a video and the numbers of the frames that the models saw."""
        frames, _ = Clips(self.cfg)[index]
        return {'number': index, 'video': self.samples['float32'].names[index],
                'frames': [int(frame) for frame in frames]}

    def compare_bins(self, folder: str) -> Dict[str, Any]:
        """How far the bins in a folder are from what the test pipeline makes."""
        files = {}
        for path in list_inputs(folder):
            name = BinName.parse(path)
            files.update({name.first + offset: (path, offset) for offset in range(len(name.labels))})
        dtype = (read_info(folder) or NO_INFO).dtype or 'float32'
        samples = self.samples_of(dtype)
        largest = 0.0
        for index in self.indices:
            if index not in files:
                raise InputError(f'{folder}: has no bin of video {index}, {samples.names[index]}')
            expected = samples[index][1]
            difference = read_bin_sample(*files[index], expected).astype(np.float32) - expected
            largest = max(largest, float(np.abs(difference).max()))
        bound = BIN_BOUNDS[dtype]
        return as_row(ModelFile(folder, 'preprocessing', dtype), bound, largest <= bound,
                      {'max_abs_difference': largest})


def read_bin_sample(path: str, offset: int, like: np.ndarray) -> np.ndarray:
    """Sample OFFSET of a bin, an array of the shape and dtype of LIKE."""
    count, rest = divmod(os.path.getsize(path), like.nbytes)
    if rest or count <= offset:
        raise InputError(f'{path}: {os.path.getsize(path)} bytes are not samples of {like.nbytes} bytes')
    data = np.empty((count, *like.shape), like.dtype)
    read_input(path, data)
    check_values(path, data.reshape(-1))
    return np.asarray(data[offset])


# ---- the report of r2plus1d_compare.py ---------------------------------------------------------------


SHOWN = ('model', 'step', 'precision', 'passed', 'bound', 'max_abs_difference', 'max_rel_difference', 'cosine',
         'top1_agreement', 'top5_agreement')  # of a row of compare.json; that of bins has fewer
FIGURE = Check(lambda value: value is None or isinstance(value, (str, bool)) or NUMBER.takes(value), 'a figure or text')
ROW = Check(lambda row: OBJECT.takes(row) and all(FIGURE.takes(row.get(key)) for key in SHOWN), 'a compared model')


@dataclass(frozen=True)
class ComparisonReport(Form):
    """What the report shows of compare.json."""

    REMEDY = 'run test/pth2om.sh again'
    passed: bool = field(FLAG)
    num_videos: int = field(COUNT)
    num_test_videos: int = field(COUNT)
    models: List[Dict[str, Any]] = field(ROW.list_of())
    first_difference: Optional[Dict[str, Any]] = field(OBJECT.or_null())
    checkpoint: Optional[str] = field(TEXT.or_null())

    def weights_of(self, model: str) -> Optional[str]:
        """The file name of the checkpoint, where it is noted for this model."""
        compared = {os.path.basename(str(row.get('model'))) for row in self.models}
        return os.path.basename(self.checkpoint) if self.checkpoint and os.path.basename(model) in compared else None


def read_comparison(work_dir: str) -> Optional[ComparisonReport]:
    """What r2plus1d_compare.py printed, if test/pth2om.sh has left it in the folder; else None."""
    path = os.path.join(work_dir, 'compare.json')
    return ComparisonReport.read(path) if os.path.isfile(path) and os.path.getsize(path) else None
