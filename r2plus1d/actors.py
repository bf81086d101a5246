# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The actors of a prediction on Ray.

    decoded, sample = DecodingWorker(DecoderSettings(folder, config, False, 'uint8')).decode(task)
    outcomes = InferenceWorker(EngineSettings(folder, model, 'auto', 'f32', 1, tables)).infer([decoded], sample)

Nothing here needs Ray, which makes actors of these classes; r2plus1d/cluster.py is the driver. Samples come as bytes, a
quarter of the size of float32, and an inference actor makes of them what the config's Normalize would make.

What a Ray cluster has: joining it, its nodes, and how many actors each of them has room for.

    connect('auto')
    for node, places in plan_cluster(device_kind(args)).items():

The actors are those of r2plus1d/actors.py; r2plus1d/cluster.py starts them.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import queue
import signal
import socket
import threading
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from r2plus1d.engines import OnnxRuntime, choose_backend, make_engine
from r2plus1d.inference import Decoded, Outcome, decode, infer_batch
from r2plus1d.models import Engine, is_quantized, load_onnx
from r2plus1d.precision import AUTO, computed_in
from r2plus1d.run import InputError, log, one_line
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
        self.started = Started(len(engines), str(engine), batch_size)

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
    if choose_backend(args.model, args.backend) == 'ais_bench':
        return 'as converted'
    if args.precision == AUTO:
        is_local = args.ray == 'local'
        args.precision = make_engine(args.model, args.backend, AUTO).precision if is_local else 'f32'
    return computed_in(args.model, args.precision, is_quantized(load_onnx(args.model)))

ray: Any = None  # where it is not installed
with contextlib.suppress(ImportError):
    ray = importlib.import_module('ray')

DECODERS_PER_DEVICE = 4  # at 16 ms of CPU a video (benchmarks/archive.md) they make 250 videos/s
CONNECT_SECONDS = 5.0  # for a head to take a connection
SILENT_SECONDS = 8.0  # of Ray's start, before it is said
LOCAL_OBJECT_STORE = 10**9  # bytes, of --ray local; Ray would take 30% of the memory


# ---- what the cluster has ------------------------------------------------------------------------------


def connect(address: str) -> None:
    """Join the cluster at this address, or start one on this machine for "local". Raises InputError."""
    if address != 'local':
        check_head(address)
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    options: Dict[str, Any] = {'address': address, 'log_to_driver': False, 'logging_level': 'ERROR'}
    if address == 'local':
        options.update(include_dashboard=False, object_store_memory=LOCAL_OBJECT_STORE)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    words = f'--ray {address}: Ray has not answered yet; Ctrl-C ends the waiting'
    waiting = threading.Timer(SILENT_SECONDS, log, [words])
    waiting.start()
    try:
        ray.init(**options)
    except Exception as e:  # Ray raises many kinds
        advice = '' if address == 'local' else '; start its head by: ray start --head'
        raise InputError(f'--ray {address}: Ray does not start: {one_line(e)}{advice}')
    finally:
        waiting.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray has put its own in their place


def check_head(address: str) -> None:
    """Raise InputError where nothing answers: Ray itself would try again for minutes, without a word."""
    found = address
    if address == 'auto':  # where Ray looks as well
        found = os.environ.get('RAY_ADDRESS', '')
        with contextlib.suppress(OSError), open('/tmp/ray/ray_current_cluster') as f:
            found = found or f.read().strip()
    host, _, port = found.rpartition('//')[2].rpartition(':')
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip('[]') or 'localhost', int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as e:
        raise InputError(f'--ray {address}: no head of a cluster answers at {found}: {one_line(e)}; start it by: '
                         'ray start --head')


def plan_cluster(kind: str) -> Dict[str, Dict[str, Places]]:
    """{node: plan_node()} of all nodes that are alive."""
    nodes = {node['NodeID']: node['Resources'] for node in ray.nodes() if node['Alive']}
    devices = sum(int(resources.get(kind, 0)) for resources in nodes.values())
    return {node: plan_node(resources, kind, devices) for node, resources in nodes.items()}


# ---- what the model needs ------------------------------------------------------------------------------


def device_kind(args: argparse.Namespace) -> str:
    """Which resource of Ray an inference actor needs: NPU, GPU, or CPU where the model runs on none of them."""
    backend = choose_backend(args.model, args.backend)
    if backend == 'ais_bench':
        return 'NPU'
    if backend == 'onnxruntime':
        import onnxruntime
        available = dict(zip(OnnxRuntime.ACCELERATORS, ('NPU', 'GPU')))
        for provider in onnxruntime.get_available_providers():
            if provider in available:
                return available[provider]
    return 'CPU'


@dataclass(frozen=True)
class Places:
    """How many actors of a kind a node has room for, and the OPTIONS of Ray for each."""

    number: int
    options: Dict[str, Any]


def plan_node(resources: Mapping[str, float], kind: str, all_devices: int) -> Dict[str, Places]:
    """The places of a node with these RESOURCES, by the kind of actor. ALL_DEVICES: of this KIND in the cluster."""
    cpus = int(resources.get('CPU', 0))
    devices = int(resources.get(kind, 0))
    if kind == 'CPU':  # one model on all cores but one; a decoder for each four cores shares that one
        if not cpus:
            return {}
        decoders = max(1, cpus // 4)
        rest = 1 if cpus > 1 else 0.5
        return {INFERENCE: Places(1, {'num_cpus': max(rest, cpus - 1)}),
                DECODING: Places(decoders, {'num_cpus': rest / decoders})}
    options = {'num_cpus': 0, 'resources': {'NPU': 1}} if kind == 'NPU' else {'num_cpus': 0, 'num_gpus': 1}
    decoders = min(cpus, DECODERS_PER_DEVICE * (devices or all_devices))
    return {INFERENCE: Places(devices, options), DECODING: Places(decoders, {'num_cpus': 1})}
