# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The actors of a prediction on Ray.

    decoded, sample = DecodingWorker(DecoderSettings(folder, config, False, 'uint8')).decode(task)
    outcomes = InferenceWorker(EngineSettings(folder, model, 'auto', 'f32', 1, tables)).infer([decoded], sample)

Nothing here needs Ray, which makes actors of these classes; r2plus1d/cluster.py is the driver. Samples come as bytes, a
quarter of the size of float32, and an inference actor makes of them what the config's Normalize would make.
"""
from __future__ import annotations

import argparse
import os
import queue
from dataclasses import dataclass, replace
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from r2plus1d.engine_base import Engine
from r2plus1d.engines import backend_of, make_engine
from r2plus1d.inference import Decoded, Outcome, decode, infer_batch
from r2plus1d.onnx_engines import computed_in
from r2plus1d.onnx_files import is_quantized, load_onnx
from r2plus1d.precision import AUTO
from r2plus1d.run import InputError
from r2plus1d.videos import Task

DECODING = 'decoding'
INFERENCE = 'inference'


@dataclass(frozen=True)
class DecoderSettings:
    """FOLDER: where the driver runs, to which paths are relative. DTYPE: of the samples."""

    folder: str
    config: str
    allow_damaged: bool
    dtype: str


@dataclass(frozen=True)
class EngineSettings:
    """TABLES: by channel, what makes float32 of the bytes that come from the decoder; None where it gives float32."""

    folder: str
    model: str
    backend: str
    precision: str
    batch_size: Optional[int]
    tables: Any


@dataclass(frozen=True)
class Started:
    """What an actor says when it is ready: how many calls it takes AT_ONCE; what runs; or the FAULT of its start."""

    at_once: int = 1
    engine: str = ''
    batch_size: int = 1
    fault: Optional[InputError] = None


class DecodingWorker:
    """Makes samples."""

    def __init__(self, settings: DecoderSettings) -> None:
        # These imports bring mmaction2 and PyTorch, which inference actors do without.
        from r2plus1d.data import read_config
        from r2plus1d.videos import Decoder
        os.chdir(settings.folder)
        cfg = read_config(settings.config)
        cfg.allow_damaged = settings.allow_damaged
        self.decoder = Decoder(cfg, settings.dtype)

    def start(self) -> Started:
        return Started()

    def decode(self, task: Task) -> Tuple[Decoded, Optional[np.ndarray]]:
        """What the driver is to know, and apart from it the sample."""
        decoded = decode(self.decoder, task)
        return replace(decoded, sample=None), decoded.sample


class InferenceWorker:
    """Runs the model on the one device that Ray gives to this process, which is number 0 here.

    On a CPU several batches of one sample are computed side by side, each by a call in a thread of its own.
    """

    def __init__(self, settings: EngineSettings) -> None:
        os.chdir(settings.folder)
        self.tables = settings.tables
        self.free: queue.Queue[Tuple[Engine, np.ndarray]] = queue.Queue()
        try:
            engine = make_engine(settings.model, settings.backend, settings.precision)
            batch_size = settings.batch_size or engine.batch_size or 1
            engine.for_throughput = batch_size == 1
            engine.prepare(batch_size)
        except InputError as e:
            self.started = Started(fault=e)
            return
        engines = engine.side_by_side()
        for one in engines:
            self.free.put((one, one.allocate(1, batch_size)[0]))
        self.started = Started(len(engines), str(engine.describe()), batch_size)

    def start(self) -> Started:
        return self.started

    def infer(self, decoded: Sequence[Decoded], *samples: np.ndarray) -> List[Outcome]:
        engine, batch = self.free.get()
        try:
            items = [replace(one, sample=sample) for one, sample in zip(decoded, samples)]
            return infer_batch(engine, batch, items, self.put)
        finally:
            self.free.put((engine, batch))

    def put(self, place: np.ndarray, sample: np.ndarray) -> None:
        """Copy a sample to its place in the batch, by the tables where the decoder gave bytes for a float32 model."""
        if sample.dtype == place.dtype:
            np.copyto(place, sample)
            return
        for crop in range(len(sample)):
            for channel, table in enumerate(self.tables):
                for source, target in zip(sample[crop, channel], place[crop, channel]):
                    cv2.LUT(source, table, target)


def settle_precision(args: argparse.Namespace) -> str:
    """What the model is computed in by all actors. Where --precision is auto, it becomes f32, the only one that all
    machines of a cluster have, or on this machine the fastest one.
    """
    if backend_of(args) == 'ais_bench':
        return 'as converted'
    if args.precision == AUTO:
        is_local = args.ray == 'local'
        args.precision = make_engine(args.model, args.backend, AUTO).precision if is_local else 'f32'
    return computed_in(args.model, args.precision, is_quantized(load_onnx(args.model)))
