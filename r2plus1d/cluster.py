# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Prediction on a Ray cluster: decoding actors on CPUs, inference actors on NPUs, GPUs or CPUs.

    for outcome in infer_on_ray(args, cfg, tasks):

Samples go from actor to actor through Ray's object store; the script that runs this, the driver, gets scores only. It
keeps a bounded number of samples under way, hands the work of an actor that has died to another one, and gives each
task exactly one outcome. docs/cluster.md says why this is not Ray Data. The actors are those of r2plus1d/actors.py.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import os
import socket
import time
from dataclasses import dataclass
from typing import Any, Counter, Deque, Dict, Iterable, Iterator, List, Optional, Tuple

from r2plus1d.actors import (
    DECODING,
    INFERENCE,
    DecoderSettings,
    DecodingWorker,
    EngineSettings,
    InferenceWorker,
    Started,
    connect,
    device_kind,
    plan_cluster,
    ray,
)
from r2plus1d.inference import Decoded, Outcome
from r2plus1d.run import InputError, log, one_line
from r2plus1d.videos import Decoder, Task

MOST_TRIES = 4  # of a task whose actor dies or raises
MOST_FAILED_STARTS = 5  # of actors in a row
MOST_AT_ONCE = 64  # calls of an inference actor, each for an engine of side_by_side()
LOOK_SECONDS = 2.0  # between looks at which nodes there are
STALL_SECONDS = 30.0  # without an outcome, before the driver says what it waits for


# ---- the driver ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Member:
    """An actor as the driver sees it. AT_ONCE: calls that it computes at a time. JOBS: how many it has been given."""

    kind: str
    node: str
    handle: Any
    is_ready: bool = False
    at_once: int = 1
    jobs: int = 0
    has_suspect: bool = False

    def can_take(self, is_suspect: bool) -> bool:
        """One job more than it computes, so that its data arrives meanwhile; a suspect comes and stays alone."""
        return self.is_ready and not self.has_suspect and self.jobs < (1 if is_suspect else self.at_once + 1)


@dataclass(frozen=True)
class InStore:
    """A sample in the object store, by its REFERENCE, and the NODE on which it was made."""

    decoded: Decoded
    reference: Any
    node: str


@dataclass(frozen=True)
class Job:
    """A call that is under way. TASKS: those that are lost with it. SAMPLE: the reference of what decode() makes."""

    member: Member
    method: str
    tasks: List[Task]
    sample: Any = None


def key_of(task: Task) -> Tuple[str, int]:
    return task.video.path, task.window.number if task.window else 0


class Driver:
    """Hands the tasks to the actors and yields their outcomes. SETTINGS: of the actors, by their kind."""

    def __init__(self, tasks: Iterable[Task], device: str, settings: Dict[str, Any]) -> None:
        self.tasks = iter(tasks)
        self.device = device
        self.settings = settings
        self.members: List[Member] = []
        self.jobs: Dict[Any, Job] = {}  # by reference of the result
        self.again: Deque[Task] = collections.deque()  # tasks whose actor was lost
        self.tries: Counter[Tuple[str, int]] = collections.Counter()  # of suspects, which run alone
        self.samples: List[InStore] = []
        self.batch_size: Optional[int] = None
        self.exhausted = False
        self.failed_starts = 0
        self.next_look = 0.0
        self.last_outcome = time.monotonic()

    def outcomes(self) -> Iterator[Outcome]:
        while True:
            self.match_cluster()
            self.start_decoding()
            self.start_inference()
            is_busy = any(job.tasks for job in self.jobs.values())
            if self.exhausted and not self.again and not self.samples and not is_busy:
                return
            if self.jobs:
                ready, _ = ray.wait(list(self.jobs), num_returns=1, timeout=1, fetch_local=False)
                for outcome in (outcome for result in ready for outcome in self.finish(result)):
                    self.last_outcome = time.monotonic()
                    yield outcome
            else:
                time.sleep(0.5)
            self.say_when_stalled()

    def of_kind(self, kind: str) -> List[Member]:
        return [member for member in self.members if member.kind == kind]

    # ---- actors ----

    def match_cluster(self) -> None:
        """Start the actors that the cluster has room for: those of new nodes, and those that have died."""
        if time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + LOOK_SECONDS
        there = collections.Counter((member.kind, member.node) for member in self.members)
        for node, plan in plan_cluster(self.device).items():
            for kind, places in plan.items():
                for _ in range(places.number - there[kind, node]):
                    self.start_member(kind, node, places.options)

    def start_member(self, kind: str, node: str, options: Dict[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
        worker = InferenceWorker if kind == INFERENCE else DecodingWorker
        # Without enable_task_events=False, the head would keep a record of each of the last 100,000 calls.
        handle = ray.remote(worker).options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False), max_restarts=0,
            max_concurrency=MOST_AT_ONCE if kind == INFERENCE else 1, enable_task_events=False,
            **options).remote(self.settings[kind])
        member = Member(kind, node, handle)
        self.members.append(member)
        self.jobs[handle.start.remote()] = Job(member, 'start', [])

    def remove_member(self, member: Member) -> None:
        if member in self.members:
            self.members.remove(member)
            self.next_look = 0
            with contextlib.suppress(ray.exceptions.RayError, ValueError):
                ray.kill(member.handle)

    def started(self, member: Member, answer: Started) -> None:
        if answer.fault:
            raise answer.fault
        self.failed_starts = 0
        member.is_ready = True
        member.at_once = answer.at_once
        if member.kind == INFERENCE and self.batch_size is None:
            log(f'on Ray: {answer.engine}')
            self.batch_size = answer.batch_size

    # ---- tasks ----

    def next_task(self) -> Optional[Task]:
        if self.again:
            return self.again.popleft()
        task = next(self.tasks, None)
        self.exhausted = task is None
        return task

    def start_decoding(self) -> None:
        """Give tasks to the decoders, as many as keep all actors busy; no more samples than that are under way."""
        if self.batch_size is None:  # no model is loaded yet
            return
        decoders = self.of_kind(DECODING)
        wanted = len(decoders) + self.batch_size * sum(1 + member.at_once for member in self.of_kind(INFERENCE))
        room = wanted - len(self.samples) - sum(job.method == 'decode' for job in self.jobs.values())
        while room > 0 and (self.again or not self.exhausted):
            free = [member for member in decoders if member.can_take(is_suspect=bool(self.again))]
            task = self.next_task() if free else None
            if task is None:
                return
            member = min(free, key=lambda member: member.jobs)
            result, sample = member.handle.decode.options(num_returns=2).remote(task)
            self.give(result, Job(member, 'decode', [task], sample))
            room -= 1

    def start_inference(self) -> None:
        """Give samples to the models: whole batches, and a smaller one where no sample is to come before it."""
        while self.samples and self.batch_size:
            suspect = next((one for one in self.samples if key_of(one.decoded.task) in self.tries), None)
            is_waiting = self.again or not self.exhausted or any(job.method == 'decode' for job in self.jobs.values())
            if suspect is None and len(self.samples) < self.batch_size and is_waiting:
                return
            free = [member for member in self.of_kind(INFERENCE) if member.can_take(suspect is not None)]
            if not free:
                return
            near = suspect or self.samples[0]
            member = min(free, key=lambda member: (member.jobs, member.node != near.node))
            self.samples.sort(key=lambda one: one.node != member.node)
            batch = [suspect] if suspect else self.samples[:self.batch_size]
            self.samples = [one for one in self.samples if one not in batch]
            result = member.handle.infer.remote([one.decoded for one in batch], *(one.reference for one in batch))
            self.give(result, Job(member, 'infer', [one.decoded.task for one in batch]))

    def give(self, result: Any, job: Job) -> None:
        self.jobs[result] = job
        job.member.jobs += 1
        job.member.has_suspect = any(key_of(task) in self.tries for task in job.tasks)

    def finish(self, result: Any) -> List[Outcome]:
        """The outcomes that an answer brings."""
        job = self.jobs.pop(result)
        if job.tasks:
            job.member.jobs -= 1
            job.member.has_suspect = False
        try:
            answer = ray.get(result)
        except ray.exceptions.RayError as e:
            return self.lose(job, e)
        if job.method == 'infer':
            return list(answer)
        if job.method == 'start':
            self.started(job.member, answer)
        elif answer.fault is not None:
            return [Outcome(answer.task, fault=answer.fault)]
        else:
            self.samples.append(InStore(answer, job.sample, job.member.node))
        return []

    def lose(self, job: Job, error: Exception) -> List[Outcome]:
        """What follows from an error of Ray instead of an answer: the outcomes of tasks that were tried too often."""
        if job.method == 'start' or isinstance(error, ray.exceptions.RayActorError):
            self.remove_member(job.member)
        if job.method == 'start':
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

    def say_when_stalled(self) -> None:
        if time.monotonic() - self.last_outcome < STALL_SECONDS:
            return
        self.last_outcome = time.monotonic()
        waits = []
        for kind in (INFERENCE, DECODING):
            members = self.of_kind(kind)
            starting = sum(not member.is_ready for member in members)
            at_work = sum(member.jobs for member in members)
            waits.append(f'{at_work} jobs of {len(members)} {kind} actors' +
                         (f', {starting} of which have not started yet' if starting else ''))
        if not self.of_kind(INFERENCE):
            waits.append(f'a node with a free {self.device}')
        log(f'no progress for {STALL_SECONDS:g} s; waiting for: {"; ".join(waits)}')


def last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1]) if lines else type(error).__name__


def infer_on_ray(args: argparse.Namespace, cfg: Any, tasks: Iterable[Task]) -> Iterator[Outcome]:
    """The Outcome of each of the TASKS, in the order in which they are done."""
    if ray is None:
        raise InputError('--ray needs Ray: pip install "ray[data]"')
    device = device_kind(args)
    tables = Decoder(cfg, 'float32').samples_for(is_file=True).tables
    # Where the tables do the work of Normalize, bytes are sent, a quarter of the size.
    dtype = 'float32' if tables is None else 'uint8'
    folder = os.getcwd()
    settings = {
        DECODING: DecoderSettings(folder, args.config, args.allow_damaged, dtype),
        INFERENCE: EngineSettings(folder, args.model, args.backend, args.precision, args.batchsize, tables),
    }
    connect(args.ray)
    try:
        if device != 'CPU' and not ray.cluster_resources().get(device):
            raise InputError(f'--ray {args.ray}: the cluster has no {device}, which {args.model} needs; on its '
                             'machines, source CANN\'s set_env.sh before ray start, or say how many there are: '
                             f'ray start --resources=\'{{"{device}": 1}}\' ({socket.gethostname()})')
        yield from Driver(tasks, device, settings).outcomes()
    finally:
        ray.shutdown()
