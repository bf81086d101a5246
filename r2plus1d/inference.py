# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Samples -> look-ahead -> engine -> scores: what infer, predict, optimize and compare have in common.

    for outcome in infer_here(engines, batch_size, decoder.decode, tasks):  # predict, in one process
    labels, scores = score_videos(engines, samples, indices)               # optimize and compare

A task is what one sample is made of: a video, or one window of it. r2plus1d/cluster.py predicts on a cluster, by
decode_task() and infer_batch() in many processes; r2plus1d/batches.py has the batches of r2plus1d_infer.py.
"""
from __future__ import annotations

import queue
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, TypeVar

import numpy as np

from r2plus1d.bins import describe_shape
from r2plus1d.metrics import are_probabilities
from r2plus1d.models import Engine
from r2plus1d.pools import decode_ahead, look_ahead
from r2plus1d.run import InputError

Item = TypeVar('Item')
Result = TypeVar('Result')


@dataclass(frozen=True)
class Video:
    """A video to predict. LABEL: None where it is unknown. INFO: mmaction2's description; None for a file."""

    path: str
    label: Optional[int] = None
    info: Optional[Dict[str, Any]] = field(default=None, compare=False)


@dataclass(frozen=True)
class Window:
    """The NUMBER-th, from 0 on, of COUNT windows of a video: from START_S to END_S (not included), in seconds."""

    number: int
    count: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Task:
    """What one sample is made of: a video, or one window of it. FAULT: why there is nothing to decode."""

    video: Video
    window: Optional[Window] = None
    fault: Optional[InputError] = field(default=None, compare=False)


@dataclass(frozen=True)
class Facts:
    """What was counted of a video by the time stamps of its frames. FRAMES: of the window where there is one."""

    frames: Optional[int] = None
    duration_s: Optional[float] = None


Decode = Callable[[Task], Tuple[np.ndarray, Facts]]  # the sample of a task; raises InputError, which names the video


@dataclass(frozen=True)
class Decoded:
    """The sample of a task and the facts of its video, or the FAULT for which there is none."""

    task: Task
    sample: Optional[np.ndarray] = None
    facts: Optional[Facts] = None
    fault: Optional[InputError] = None


@dataclass(frozen=True)
class Outcome:
    """What became of a task: the scores of its sample (views x classes) and the facts of its video, or a FAULT.

    This is the only form in which an error of a video crosses a thread or a process. probabilities: whether the scores
    are such already, by a softmax in the model.
    """

    task: Task
    scores: Optional[np.ndarray] = None
    facts: Optional[Facts] = None
    fault: Optional[InputError] = None
    probabilities: bool = False


# ---- predictions ---------------------------------------------------------------------------------------


def infer_here(engines: Sequence[Engine], batch_size: int, decode: Decode,
               tasks: Iterable[Task]) -> Iterator[Outcome]:
    """The Outcome of each of the TASKS, in their order. Videos are decoded ahead by threads while the ENGINES run."""
    for engine in engines:
        engine.prepare(batch_size)
    engines = [one for engine in engines for one in engine.side_by_side()]
    free: queue.Queue[Tuple[Engine, np.ndarray]] = queue.Queue()
    for engine in engines:
        free.put((engine, engine.allocate(1, batch_size)[0]))

    def infer(samples: List[Decoded]) -> List[Outcome]:
        engine, batch = free.get()
        try:
            return infer_batch(engine, batch, samples)
        finally:
            free.put((engine, batch))

    with ThreadPoolExecutor(len(engines)) as pool:
        for outcomes in look_ahead(pool, infer, decoded_batches(decode, tasks, batch_size), len(engines)):
            yield from outcomes


def decode_task(decode: Decode, task: Task) -> Decoded:
    try:
        return Decoded(task, *decode(task))
    except InputError as e:
        return Decoded(task, fault=e)


def decoded_batches(decode: Decode, tasks: Iterable[Task], batch_size: int) -> Iterator[List[Decoded]]:
    """Lists with BATCH_SIZE samples each, and the faults between them; the last one may have fewer."""
    batch: List[Decoded] = []
    for one in decode_ahead(lambda task: decode_task(decode, task), tasks):
        batch.append(one)
        if sum(other.sample is not None for other in batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def infer_batch(engine: Engine, batch: np.ndarray, samples: Iterable[Decoded],
                put: Callable[[np.ndarray, np.ndarray], None] = np.copyto) -> List[Outcome]:
    """The outcomes of SAMPLES. BATCH: the array that the engine is fed with. PUT(place, sample) fills a place of it."""
    outcomes: List[Outcome] = []
    fed: List[int] = []  # which of the outcomes have a place in the batch
    for one in samples:
        fault = one.fault
        if one.sample is not None and list(one.sample.shape) != engine.sample_shape:
            fault = InputError(f'{one.task.video.path}: gives {describe_shape(one.sample.shape)}, and the model takes '
                               f'{describe_shape(engine.sample_shape)}')
        if one.sample is not None and fault is None:
            put(batch[len(fed)], one.sample)
            fed.append(len(outcomes))
        outcomes.append(Outcome(one.task, None, one.facts, fault))
    if fed:
        batch[len(fed):] = batch[0]
        scores = scores_of(engine, engine(batch), len(batch))
        probabilities = are_probabilities(scores)
        for position, i in enumerate(fed):
            outcomes[i] = replace(outcomes[i], scores=scores[position], probabilities=probabilities)
    return outcomes


# ---- scores --------------------------------------------------------------------------------------------


def scores_of(engine: Engine, outputs: Sequence[np.ndarray], count: int) -> np.ndarray:
    """The scores in the OUTPUTS for a batch of COUNT samples: float32, samples x views x classes.

    Raises InputError for what are no scores: an .om does not say before it runs what it gives.
    """
    if len(outputs) != 1 or outputs[0].ndim < 2 or outputs[0].size % (count * outputs[0].shape[-1]):
        shapes = ', '.join('x'.join(map(str, output.shape)) for output in outputs)
        raise InputError(f'{engine.model}: its outputs are {shapes}; expected one, with a row of scores for each view '
                         f'of {count} samples')
    return np.array(outputs[0], np.float32).reshape(count, -1, outputs[0].shape[-1])


def infer_sample(engine: Engine, sample: np.ndarray) -> np.ndarray:
    """The scores of one sample (views x 3 x frames x height x width): float32, views x classes.

    Where the engine has a fixed batch size, copies of the sample fill the batch up.
    """
    batch = np.repeat(sample[None], engine.batch_size or 1, axis=0)
    scores: np.ndarray = scores_of(engine, engine(batch), len(batch))[0]
    return scores


def score_videos(engines: Sequence[Engine], samples: Any, indices: Iterable[int]) -> Tuple[List[int], np.ndarray]:
    """(labels, scores) of samples[i] for i in INDICES, by each of the ENGINES, which all take these samples.

    SAMPLES: item i is (label, sample). Scores: float32, engines x videos x views x classes.
    """
    labels: List[int] = []
    scores: List[List[np.ndarray]] = [[] for _ in engines]
    for label, sample in decode_ahead(samples.__getitem__, indices):
        labels.append(label)
        for engine, rows in zip(engines, scores):
            rows.append(infer_sample(engine, sample))
    return labels, np.array(scores)
