# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The actors of a prediction on Ray: what they do, and how many of them a machine has room for.

    worker = DecodingWorker(folder, config, allow_damaged, 'uint8')
    sample, (facts, fault) = worker.decode(task)
    outcomes = InferenceWorker(folder, model, 'auto', 'f32', 1, tables).infer([(task, facts)], sample)

Nothing here needs Ray, which makes actors of these classes; r2plus1d/cluster.py is the driver. Samples come as bytes, a
quarter of the size of float32, and an inference actor makes of them what the config's Normalize would make.
"""
import os

import cv2
import numpy as np

from r2plus1d.engines import OnnxRuntime, backend_of, make_engine
from r2plus1d.files import InputError
from r2plus1d.tasks import infer_batch

DECODING = 'decoding'
INFERENCE = 'inference'
DECODERS_PER_DEVICE = 4  # at 16 ms of CPU a video (benchmarks/archive.md) they make 250 videos/s


class DecodingWorker:
    """Makes samples. FOLDER: where the driver runs, to which paths are relative."""

    def __init__(self, folder, config, allow_damaged, dtype):
        # These imports bring mmaction2 and PyTorch, which inference actors do without.
        from r2plus1d.data import read_config
        from r2plus1d.videos import Decoder
        os.chdir(folder)
        cfg = read_config(config)
        cfg.allow_damaged = allow_damaged
        self.decoder = Decoder(cfg, dtype)

    def start(self):
        return None

    def decode(self, task):
        """The sample, and apart from it what the driver is to know: (facts, fault)."""
        try:
            sample, facts = self.decoder.decode(task)
        except InputError as e:
            return None, (None, str(e))
        return sample, (facts, None)


class InferenceWorker:
    """Runs the model on the one device that Ray gives to this process, which is number 0 here."""

    def __init__(self, folder, model, backend, precision, batch_size, tables):
        """TABLES: by channel, what makes a sample of float32 of the bytes that come from the decoder; or None."""
        os.chdir(folder)
        self.tables = tables
        self.fault = None
        try:
            self.engine = make_engine(model, None, backend, precision, device=0)
            self.batch_size = batch_size or self.engine.batch_size or 1
            self.engine.prepare(self.batch_size)
        except InputError as e:
            self.fault = str(e)
            return
        self.batch, = self.engine.allocate(1, self.batch_size)

    def start(self):
        """(why this cannot work, or None; what runs; batch size)."""
        if self.fault:
            return self.fault, None, None
        return None, self.engine.describe(), self.batch_size

    def infer(self, decoded, *samples):
        """[Outcome] of a list of (task, facts) and their samples."""
        items = [(task, sample, facts, None) for (task, facts), sample in zip(decoded, samples)]
        return infer_batch(self.engine, self.batch, items, self.put)

    def put(self, place, sample):
        """Copy a sample to its place in the batch, by the tables where the decoder gave bytes for a float32 model."""
        if sample.dtype == place.dtype:
            np.copyto(place, sample)
            return
        for crop in range(len(sample)):
            for channel, table in enumerate(self.tables):
                for source, target in zip(sample[crop, channel], place[crop, channel]):
                    cv2.LUT(source, table, target)


# ---- how many ------------------------------------------------------------------------------------------


def device_kind(args):
    """Which resource of Ray an inference actor needs: NPU, GPU, or CPU where the model runs on none of them."""
    backend = backend_of(args)
    if backend == 'ais_bench':
        return 'NPU'
    if backend == 'onnxruntime':
        import onnxruntime
        available = dict(zip(OnnxRuntime.ACCELERATORS, ('NPU', 'GPU')))
        for provider in onnxruntime.get_available_providers():
            if provider in available:
                return available[provider]
    return 'CPU'


def plan_node(resources, kind, all_devices):
    """{kind of actor: (how many, Ray's options for each)} for a node with these RESOURCES."""
    cpus = int(resources.get('CPU', 0))
    devices = int(resources.get(kind, 0))
    if kind == 'CPU':  # one model on all cores but one; a decoder for each four cores shares that one
        if not cpus:
            return {}
        decoders = max(1, cpus // 4)
        rest = 1 if cpus > 1 else 0.5
        return {INFERENCE: (1, {'num_cpus': max(rest, cpus - 1)}), DECODING: (decoders, {'num_cpus': rest / decoders})}
    options = {'num_cpus': 0, 'resources': {'NPU': 1}} if kind == 'NPU' else {'num_cpus': 0, 'num_gpus': 1}
    decoders = min(cpus, DECODERS_PER_DEVICE * (devices or all_devices))
    return {INFERENCE: (devices, options), DECODING: (decoders, {'num_cpus': 1})}
