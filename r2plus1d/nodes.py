# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What a Ray cluster has: joining it, its nodes, and how many actors each of them has room for.

    connect('auto')
    for node, places in plan_cluster(device_kind(args)).items():

The actors are those of r2plus1d/actors.py; r2plus1d/cluster.py starts them.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import socket
import threading
from dataclasses import dataclass
from typing import Any, Dict, Mapping

from r2plus1d.actors import DECODING, INFERENCE
from r2plus1d.engines import backend_of
from r2plus1d.onnx_engines import OnnxRuntime
from r2plus1d.run import InputError, log, one_line

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
