# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Prediction on a Ray cluster: decoding actors on CPUs, inference actors on NPUs, GPUs or CPUs.

    for outcome in infer_on_ray(args, cfg, tasks):

Samples go from actor to actor through Ray's object store; the script that runs this, the driver, gets scores only. It
keeps a bounded number of samples under way, hands the work of an actor that has died to another one, and gives each
task exactly one outcome.

Why actors and not Ray Data: its unit of retrying is a block of rows. Tried on Ray 2.60: where one video kills the
process that decodes it, Ray Data reports "infinite retries remaining" and was still trying after 100 s; here the video
becomes an error.

The actors of a prediction on Ray: what they do, and how many of them a machine has room for.

    worker = DecodingWorker(folder, config, allow_damaged, 'uint8')
    sample, (facts, fault) = worker.decode(task)
    outcomes = InferenceWorker(folder, model, 'auto', 'f32', 1, tables).infer([(task, facts)], sample)

Nothing here needs Ray, which makes actors of these classes; r2plus1d/cluster.py is the driver. Samples come as bytes, a
quarter of the size of float32, and an inference actor makes of them what the config's Normalize would make.
"""
import collections
import contextlib
import os
import signal
import socket
import time

import cv2
import numpy as np

from r2plus1d.engines import backend_of, make_engine
from r2plus1d.inference import Decoded as Sample
from r2plus1d.inference import Outcome, infer_batch
from r2plus1d.onnx_engines import OnnxRuntime, computed_in
from r2plus1d.onnx_files import is_quantized, load_onnx
from r2plus1d.precision import AUTO
from r2plus1d.run import InputError, log, one_line

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
            return None, (None, e)
        return sample, (facts, None)


class InferenceWorker:
    """Runs the model on the one device that Ray gives to this process, which is number 0 here."""

    def __init__(self, folder, model, backend, precision, batch_size, tables):
        """TABLES: by channel, what makes a sample of float32 of the bytes that come from the decoder; or None."""
        os.chdir(folder)
        self.tables = tables
        self.fault = None
        try:
            self.engine = make_engine(model, backend, precision)
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
        items = [Sample(task, sample, facts) for (task, facts), sample in zip(decoded, samples)]
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


def settle_precision(args):
    """What the model is computed in by all actors. Where --precision is auto, it becomes f32, the only one that all
    machines of a cluster have, or on this machine the fastest one.
    """
    if backend_of(args) == 'ais_bench':
        return 'as converted'
    if args.precision == AUTO and args.ray == 'local':
        args.precision = make_engine(args.model, args.backend, AUTO).precision
    elif args.precision == AUTO:
        args.precision = 'f32'
    return computed_in(args.model, args.precision, is_quantized(load_onnx(args.model)))


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

try:
    import ray
    from ray.exceptions import RayActorError, RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    ray = None

MOST_TRIES = 4  # of a task whose actor dies or raises
MOST_FAILED_STARTS = 5  # of actors in a row
LOOK_SECONDS = 2  # between looks at which nodes there are
STALL_SECONDS = 30  # without an outcome, before the driver says what it waits for
LOCAL_OBJECT_STORE = 10**9  # bytes, of --ray local; Ray would take 30% of the memory


# ---- what the cluster has ------------------------------------------------------------------------------


def connect(address):
    """Join the cluster at this address, or start one on this machine for "local". Raises InputError."""
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    options = {'address': address, 'log_to_driver': False, 'logging_level': 'ERROR'}
    if address == 'local':
        options.update(include_dashboard=False, object_store_memory=LOCAL_OBJECT_STORE)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(**options)
    except Exception as e:  # Ray raises many kinds
        advice = '' if address == 'local' else '; start its head by: ray start --head'
        raise InputError(f'--ray {address}: Ray does not start: {one_line(e)}{advice}')
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)  # Ray has put its own in their place


def plan_cluster(kind):
    """{node: plan_node()} of all nodes that are alive."""
    nodes = {node['NodeID']: node['Resources'] for node in ray.nodes() if node['Alive']}
    devices = sum(int(resources.get(kind, 0)) for resources in nodes.values())
    return {node: plan_node(resources, kind, devices) for node, resources in nodes.items()}


# ---- the driver ----------------------------------------------------------------------------------------


class Member:
    """An actor as the driver sees it. JOBS: how many it has been given."""

    def __init__(self, kind, node, handle):
        self.kind = kind
        self.node = node
        self.handle = handle
        self.is_ready = False
        self.jobs = 0
        self.has_suspect = False

    def can_take(self, is_suspect):
        """Two jobs at a time, so that the next one's data arrives meanwhile; a suspect comes and stays alone."""
        return self.is_ready and not self.has_suspect and self.jobs < (1 if is_suspect else 2)


# What is under way. RESULT: what the driver waits for. TASKS: those that are lost with it.
Job = collections.namedtuple('Job', 'member method tasks sample')
# A sample in the object store.
Decoded = collections.namedtuple('Decoded', 'task facts sample node')


def key_of(task):
    return task.video.path, task.window.number if task.window else 0


class Driver:
    """Hands the tasks to the actors and yields their outcomes. SETTINGS: {kind of actor: what its class is given}."""

    def __init__(self, tasks, kind, settings):
        self.tasks = iter(tasks)
        self.kind = kind
        self.settings = settings
        self.members = []
        self.jobs = {}  # by reference of the result
        self.again = collections.deque()  # tasks whose actor was lost
        self.tries = collections.Counter()  # by key of the task; those with a count are suspects, which run alone
        self.decoded = collections.deque()
        self.batch_size = None
        self.exhausted = False
        self.failed_starts = 0
        self.next_look = 0
        self.last_outcome = time.monotonic()

    def outcomes(self):
        while True:
            self.match_cluster()
            self.start_decoding()
            self.start_inference()
            if self.exhausted and not self.again and not self.decoded and not self.busy():
                return
            if not self.jobs:
                time.sleep(0.5)
            else:
                ready, _ = ray.wait(list(self.jobs), num_returns=1, timeout=1, fetch_local=False)
                for result in ready:
                    for outcome in self.finish(result):
                        self.last_outcome = time.monotonic()
                        yield outcome
            self.say_when_stalled()

    def busy(self):
        return any(job.tasks for job in self.jobs.values())

    def is_suspect(self, task):
        return key_of(task) in self.tries

    # ---- actors ----

    def match_cluster(self):
        """Start the actors that the cluster has room for: those of new nodes, and those that have died."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + LOOK_SECONDS
        there = collections.Counter((member.kind, member.node) for member in self.members)
        for node, plan in plan_cluster(self.kind).items():
            for kind, (count, options) in plan.items():
                for _ in range(count - there[kind, node]):
                    self.start_member(kind, node, options)

    def start_member(self, kind, node, options):
        worker = InferenceWorker if kind == INFERENCE else DecodingWorker
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        # Without enable_task_events=False, the head would keep a record of each of the last 100,000 calls.
        handle = ray.remote(worker).options(scheduling_strategy=strategy, max_restarts=0, enable_task_events=False,
                                            **options).remote(*self.settings[kind])
        member = Member(kind, node, handle)
        self.members.append(member)
        self.jobs[handle.start.remote()] = Job(member, 'start', [], None)

    def remove_member(self, member):
        if member in self.members:
            self.members.remove(member)
            self.next_look = 0
            with contextlib.suppress(RayError, ValueError):
                ray.kill(member.handle)

    def started(self, member, answer):
        self.failed_starts = 0
        member.is_ready = True
        if member.kind == INFERENCE:
            fault, description, batch_size = answer
            if fault:
                raise InputError(fault)
            if self.batch_size is None:
                log(f'on Ray: {description}')
                self.batch_size = batch_size

    # ---- tasks ----

    def next_task(self):
        if self.again:
            return self.again.popleft()
        task = next(self.tasks, None)
        self.exhausted = task is None
        return task

    def start_decoding(self):
        """Give tasks to the decoders, as many as keep all actors busy; no more samples than that are under way."""
        if self.batch_size is None:  # no model is loaded yet
            return
        decoders = [member for member in self.members if member.kind == DECODING]
        engines = sum(member.kind == INFERENCE for member in self.members)
        room = len(decoders) + 2 * self.batch_size * engines - len(self.decoded)
        room -= sum(job.method == 'decode' for job in self.jobs.values())
        while room > 0 and (self.again or not self.exhausted):
            suspect = bool(self.again)
            free = [member for member in decoders if member.can_take(suspect)]
            if not free:
                return
            task = self.next_task()
            if task is None:
                return
            member = min(free, key=lambda member: member.jobs)
            sample, result = member.handle.decode.options(num_returns=2).remote(task)
            self.give(member, result, Job(member, 'decode', [task], sample))
            room -= 1

    def start_inference(self):
        """Give samples to the models: whole batches, and a smaller one where no sample is to come before it."""
        while self.decoded:
            suspect = next((item for item in self.decoded if self.is_suspect(item.task)), None)
            waiting = self.again or not self.exhausted or any(job.method == 'decode' for job in self.jobs.values())
            if suspect is None and len(self.decoded) < self.batch_size and waiting:
                return
            free = [member for member in self.members
                    if member.kind == INFERENCE and member.can_take(suspect is not None)]
            if not free:
                return
            near = suspect or self.decoded[0]
            member = min(free, key=lambda member: (member.jobs, member.node != near.node))
            batch = [suspect] if suspect else self.take_batch(member.node)
            if suspect:
                self.decoded.remove(suspect)
            result = member.handle.infer.remote([(item.task, item.facts) for item in batch],
                                                *(item.sample for item in batch))
            self.give(member, result, Job(member, 'infer', [item.task for item in batch], None))

    def take_batch(self, node):
        """The samples of the next batch, those that lie on this node first."""
        order = sorted(self.decoded, key=lambda item: item.node != node)
        batch = order[:self.batch_size]
        self.decoded = collections.deque(order[self.batch_size:])
        return batch

    def give(self, member, result, job):
        self.jobs[result] = job
        member.jobs += 1
        member.has_suspect = any(self.is_suspect(task) for task in job.tasks)

    def finish(self, result):
        """The outcomes that the answer RESULT brings: a list."""
        job = self.jobs.pop(result)
        member = job.member
        if job.tasks:
            member.jobs -= 1
            member.has_suspect = False
        try:
            answer = ray.get(result)
        except RayError as e:
            return self.lose(job, e)
        if job.method == 'start':
            self.started(member, answer)
            return []
        if job.method == 'infer':
            return answer
        facts, fault = answer
        task, = job.tasks
        if fault is not None:
            return [Outcome(task, fault=fault)]
        self.decoded.append(Decoded(task, facts, job.sample, member.node))
        return []

    def lose(self, job, error):
        """What follows from an error of Ray instead of an answer: the outcomes of tasks that were tried too often."""
        if isinstance(error, RayActorError):
            self.remove_member(job.member)
        if job.method == 'start':
            self.remove_member(job.member)
            self.failed_starts += 1
            if self.failed_starts >= MOST_FAILED_STARTS:
                raise InputError(f'--ray: {MOST_FAILED_STARTS} actors in a row cannot start: {last_line(error)}; are '
                                 'the same scripts, packages and files at the same paths on all nodes?')
        outcomes = []
        for task in job.tasks:
            self.tries[key_of(task)] += 1
            if self.tries[key_of(task)] < MOST_TRIES:
                self.again.append(task)
            else:
                outcomes.append(Outcome(task, fault=InputError(f'{task.video.path}: {job.method} failed {MOST_TRIES} '
                                                               f'times, the last time by: {last_line(error)}')))
        return outcomes

    def say_when_stalled(self):
        if time.monotonic() - self.last_outcome < STALL_SECONDS:
            return
        self.last_outcome = time.monotonic()
        waits = []
        for kind in (INFERENCE, DECODING):
            members = [member for member in self.members if member.kind == kind]
            starting = sum(not member.is_ready for member in members)
            at_work = sum(member.jobs for member in members)
            waits.append(f'{at_work} jobs of {len(members)} {kind} actors' +
                         (f', {starting} of which have not started yet' if starting else ''))
        if not any(member.kind == INFERENCE for member in self.members):
            waits.append(f'a node with a free {self.kind}')
        log(f'no progress for {STALL_SECONDS:g} s; waiting for: {"; ".join(waits)}')


def last_line(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else type(error).__name__


def infer_on_ray(args, cfg, tasks):
    """The Outcome of each of the TASKS, in the order in which they are done."""
    if ray is None:
        raise InputError('--ray needs Ray: pip install "ray[data]"')
    from r2plus1d.videos import Decoder
    kind = device_kind(args)
    tables = Decoder(cfg, 'float32').samples_for(is_file=True).tables
    # Where the tables do the work of Normalize, bytes are sent, a quarter of the size.
    dtype = 'float32' if tables is None else 'uint8'
    folder = os.getcwd()
    settings = {
        DECODING: (folder, args.config, args.allow_damaged, dtype),
        INFERENCE: (folder, args.model, args.backend, args.precision, args.batchsize, tables),
    }
    connect(args.ray)
    try:
        check_devices(args, kind)
        yield from Driver(tasks, kind, settings).outcomes()
    finally:
        ray.shutdown()


def check_devices(args, kind):
    if kind != 'CPU' and not ray.cluster_resources().get(kind):
        raise InputError(f'--ray {args.ray}: the cluster has no {kind}, which {args.model} needs; on its machines, '
                         'source CANN\'s set_env.sh before ray start, or say how many there are: '
                         f'ray start --resources=\'{{"{kind}": 1}}\' ({socket.gethostname()})')
