# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Prediction on a Ray cluster: an actor for each NPU or GPU, or for each machine that has CPUs alone.

    for outcome in infer_on_ray(args, tasks):

Each actor decodes videos and runs the model on them. The script that runs this, the driver, hands out tasks and gets
scores only. It keeps a bounded number of tasks under way, hands those of an actor that has died to another one, and
gives each task exactly one outcome. docs/cluster.md says why this is not Ray Data.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import itertools
import os
import queue
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Counter, Deque, Dict, Iterable, Iterator, List, Tuple

from r2plus1d.data import read_config
from r2plus1d.engines import OnnxRuntime, choose_backend, make_engine
from r2plus1d.inference import Outcome, Task, decode_task, infer_batch
from r2plus1d.run import InputError, import_library, log, one_line
from r2plus1d.videos import Decoder

ray: Any = None  # where it is not installed
with contextlib.suppress(ImportError):
    ray = importlib.import_module('ray')

DECODERS = 4  # threads of an actor: at 16 ms of CPU a video (benchmarks/archive.md) they make 250 videos/s
MOST_CALLS = 64  # of an actor at a time
MOST_TRIES = 4  # of a task whose actor dies or raises
MOST_FAILED_STARTS = 5  # of actors in a row
LOOK_SECONDS = 2.0  # between looks at which nodes there are
STALL_SECONDS = 30.0  # without an outcome, before the driver says what it waits for
CONNECT_SECONDS = 4.0  # for a head to take a connection, and to answer
# What an HTTP/2 client says first (RFC 9113, 3.4); a server, such as Ray's head, answers by a frame of type 4
HTTP2_GREETING = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@dataclass(frozen=True)
class Started:
    """What an actor says when it is ready: what runs, and how many calls of a whole batch it takes at a time."""

    engine: str
    batch_size: int
    at_once: int


class Worker:
    """Decodes videos, and runs the model on the one device that Ray gives to this process, which is number 0 here.

    FOLDER: that of the driver, to which paths are relative. Calls come in threads of their own: while the engines
    compute the batches of some, the videos of others are decoded.
    """

    def __init__(self, args: argparse.Namespace, folder: str) -> None:
        self.args = args
        self.folder = folder
        self.free: queue.Queue[Any] = queue.Queue()  # engines, each with the array that it is fed with
        self.threads = ThreadPoolExecutor(DECODERS)

    def start(self) -> Started:
        os.chdir(self.folder)
        engine = make_engine(self.args.model, self.args.backend, self.args.precision)
        batch_size = self.args.batchsize or engine.batch_size or 1
        engine.for_throughput = batch_size == 1
        engine.prepare(batch_size)
        engines = engine.side_by_side()
        for one in engines:
            self.free.put((one, one.allocate(1, batch_size)[0]))
        cfg = read_config(self.args.config)
        cfg.allow_damaged = self.args.allow_damaged
        self.decoder = Decoder(cfg, str(engine.dtype), are_files=bool(self.args.video))
        at_once = min(MOST_CALLS, len(engines) + max(1, DECODERS // batch_size))
        return Started(str(engine.describe()), batch_size, at_once)

    def infer(self, tasks: List[Task]) -> List[Outcome]:
        decoded = list(self.threads.map(lambda task: decode_task(self.decoder.decode, task), tasks))
        engine, batch = self.free.get()
        try:
            return infer_batch(engine, batch, decoded)
        finally:
            self.free.put((engine, batch))


def connect(address: str) -> None:
    """Join the cluster at this address, or start one on this machine for "local". Raises InputError."""
    options: Dict[str, Any] = {'address': address, 'log_to_driver': False, 'logging_level': 'ERROR'}
    if address == 'local':
        options.update(include_dashboard=False, object_store_memory=10**8)  # else 30% of the memory
    else:
        check_head(address)
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options)
    except Exception as e:  # Ray raises many kinds
        raise InputError(f'--ray {address}: Ray does not start: {one_line(e)}')
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray has put its own in their place


def check_head(address: str) -> None:
    """Raise InputError where nothing answers, or what is no Ray: Ray itself would try for minutes, without a word."""
    found = address
    if address == 'auto':  # where Ray looks as well
        found = os.environ.get('RAY_ADDRESS', '')
        with contextlib.suppress(OSError), open('/tmp/ray/ray_current_cluster') as f:
            found = found or f.read().strip()
    host, _, port = found.rpartition('//')[2].rpartition(':')
    if not port.isdecimal():
        return
    fault = 'what answers is no Ray'
    try:
        with socket.create_connection((host.strip('[]') or 'localhost', int(port)), CONNECT_SECONDS) as connection:
            connection.sendall(HTTP2_GREETING)
            if os.environ.get('RAY_USE_TLS', '0') != '0' or connection.makefile('rb').read(4)[3:] == b'\4':
                return
    except (OSError, OverflowError) as e:
        fault = one_line(e)
    raise InputError(f'--ray {address}: no head of a cluster answers at {found}: {fault}; start it by: ray start '
                     '--head')


def room_of_nodes(kind: str) -> Dict[str, Tuple[int, Dict[str, Any]]]:
    """{node: (how many workers it has room for, Ray's options for each)} of all nodes that are alive."""
    found: Dict[str, Tuple[int, Dict[str, Any]]] = {}
    for node in ray.nodes():
        cpus, devices = (int(node['Resources'].get(name, 0)) for name in ('CPU', kind))
        options: Dict[str, Any] = {'num_gpus': 1} if kind == 'GPU' else {'resources': {kind: 1}}
        if kind == 'CPU':  # one model on all cores
            options, devices = {}, min(1, cpus)
        if node['Alive'] and devices:
            found[node['NodeID']] = devices, {'num_cpus': cpus if kind == 'CPU' else min(DECODERS, cpus // devices),
                                              **options}
    return found


def device_kind(args: argparse.Namespace) -> str:
    """Which resource of Ray a worker needs: NPU, GPU, or CPU where the model runs on none of them."""
    backend = choose_backend(args.model, args.backend)
    if backend == 'onnxruntime':
        available = import_library('onnxruntime').get_available_providers()
        kinds = [kind for kind, name in zip(('NPU', 'GPU'), OnnxRuntime.ACCELERATORS) if name in available]
        return [*kinds, 'CPU'][0]
    return 'NPU' if backend == 'ais_bench' else 'CPU'


@dataclass(eq=False)
class Member:
    """An actor as the driver sees it. AT_ONCE: calls that it takes, none before it has started. BUSY: of these."""

    node: str
    handle: Any
    at_once: int = 0
    busy: int = 0


@dataclass(frozen=True)
class Call:
    """What is under way: infer() of TASKS, or start() without any. PLACES: how much of its member it keeps busy."""

    member: Member
    tasks: List[Task]
    places: int = 0


class Driver:
    """Hands the tasks to the actors and yields their outcomes."""

    def __init__(self, args: argparse.Namespace, kind: str, tasks: Iterable[Task]) -> None:
        self.args = args
        self.kind = kind
        self.tasks = iter(tasks)
        self.members: List[Member] = []
        self.calls: Dict[Any, Call] = {}  # by reference of the result
        self.again: Deque[Task] = collections.deque()  # whose actor was lost
        self.tries: Counter[Task] = collections.Counter()  # of these
        self.batch_size = 0
        self.exhausted = False
        self.failed_starts = 0
        self.next_look = 0.0
        self.last_outcome = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        while not self.exhausted or self.again or any(call.tasks for call in self.calls.values()):
            self.match_cluster()
            self.give_tasks()
            if self.calls:
                ready, _ = ray.wait(list(self.calls), num_returns=1, timeout=1, fetch_local=False)
                for outcome in itertools.chain.from_iterable(map(self.finish, ready)):
                    self.last_outcome = time.monotonic()
                    yield outcome
            else:
                time.sleep(0.5)
            self.say_when_stalled()

    def match_cluster(self) -> None:
        """Start the actors that the cluster has room for: those of new nodes, and those that have died."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + LOOK_SECONDS
        there = collections.Counter(member.node for member in self.members)
        for node, (number, options) in room_of_nodes(self.kind).items():
            for _ in range(number - there[node]):
                # Without enable_task_events=False, the head would keep a record of each of the last 100,000 calls.
                handle = ray.remote(Worker).options(
                    scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, False),
                    max_restarts=0, max_concurrency=MOST_CALLS, enable_task_events=False, **options,
                ).remote(self.args, os.getcwd())
                self.members.append(Member(node, handle))
                self.calls[handle.start.remote()] = Call(self.members[-1], [])

    def give_tasks(self) -> None:
        """Give batches of tasks to the actors. A task whose actor was lost has an actor for itself alone."""
        while not self.exhausted or self.again:
            free = [member for member in self.members
                    if member.busy < member.at_once and not (self.again and member.busy)]
            if not free:
                return
            tasks = [self.again.popleft()] if self.again else list(itertools.islice(self.tasks, self.batch_size))
            if not tasks:
                self.exhausted = True
                return
            member = min(free, key=lambda member: member.busy)
            call = Call(member, tasks, member.at_once if tasks[0] in self.tries else 1)
            member.busy += call.places
            self.calls[member.handle.infer.remote(tasks)] = call

    def finish(self, result: Any) -> List[Outcome]:
        """The outcomes that an answer brings. Raises InputError for what no other actor would do better."""
        call = self.calls.pop(result)
        call.member.busy -= call.places
        try:
            answer = ray.get(result)
        except ray.exceptions.RayError as e:
            if isinstance(getattr(e, 'cause', None), InputError):
                raise e.cause
            return self.lose(call, e)
        if call.tasks:
            return list(answer)
        if not self.batch_size:
            log(f'on Ray: {answer.engine}')
        self.failed_starts = 0
        self.batch_size = answer.batch_size
        call.member.at_once = answer.at_once
        return []

    def lose(self, call: Call, error: Exception) -> List[Outcome]:
        """What follows from an error of Ray instead of an answer: the outcomes of tasks that were tried too often."""
        if call.member in self.members and (not call.tasks or isinstance(error, ray.exceptions.RayActorError)):
            self.members.remove(call.member)
            self.next_look = 0
            with contextlib.suppress(ray.exceptions.RayError, ValueError):
                ray.kill(call.member.handle)
        last_line = one_line((str(error).strip() or type(error).__name__).splitlines()[-1])
        self.failed_starts += not call.tasks
        if self.failed_starts >= MOST_FAILED_STARTS:
            raise InputError(f'--ray: {MOST_FAILED_STARTS} actors in a row cannot start: {last_line}; are the same '
                             'scripts, packages and files at the same paths on all nodes?')
        self.tries.update(call.tasks)
        self.again += [task for task in call.tasks if self.tries[task] < MOST_TRIES]
        return [Outcome(task, fault=InputError(f'{task.video.path}: failed {MOST_TRIES} times, the last time by: '
                                               f'{last_line}'))
                for task in call.tasks if self.tries[task] >= MOST_TRIES]

    def say_when_stalled(self) -> None:
        if time.monotonic() - self.last_outcome < STALL_SECONDS:
            return
        self.last_outcome = time.monotonic()
        starting = sum(not member.at_once for member in self.members)
        waits = f'{len(self.members)} actors, {starting} of which have not started yet'
        if not self.members:
            waits = f'a node with a free {self.kind}'
        log(f'no progress for {STALL_SECONDS:g} s; waiting for {waits}')


def infer_on_ray(args: argparse.Namespace, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """The Outcome of each of the TASKS, in the order in which they are done."""
    if ray is None:
        raise InputError('--ray needs Ray: pip install "ray[data]"')
    kind = device_kind(args)
    connect(args.ray)
    try:
        if kind != 'CPU' and not ray.cluster_resources().get(kind):
            raise InputError(f'--ray {args.ray}: the cluster has no {kind}, which {args.model} needs; source CANN\'s '
                             f'set_env.sh before ray start, or give it --resources=\'{{"{kind}": 1}}\'')
        yield from Driver(args, kind, tasks).outcomes()
    finally:
        ray.shutdown()
