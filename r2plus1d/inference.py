# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What is to be predicted, and what became of it: the words in which all ways of predicting speak.

    outcomes = infer_batch(engine, batch, [(task, sample, facts, None)])

A task is what one sample is made of: a video, or one window of it. This module knows no decoder, so that a process
that only runs a model stays small.

What engines are fed with. Sources of batches: .bin files, the test videos of a config, pure inference.

    source = Files('predata_bts1', 16, engine)
    for index, names, batch in prefetch(source, engine, range(len(source.groups))):

A source has: batch_size; num_videos, None if unknown; groups, a list of the names of each batch, with None for padding;
and load(i, batch), which fills an array with batch i. The first sample of a batch stands in for its padding. Grouping
and padding are those of ais_bench.

Prediction in one process: videos are decoded while the model runs.

    for outcome in infer_here(engines, batch_size, cfg, tasks):

Tasks and outcomes are those of r2plus1d/inference.py. r2plus1d/cluster.py does the same on a cluster.
"""
from __future__ import annotations

import collections
import os
import queue
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Callable, Deque, Iterable, Iterator, NamedTuple, Optional, TypeVar

import numpy as np

from r2plus1d.bins import (
    INFO,
    bin_name,
    check_digest,
    check_one_origin,
    check_same_shape,
    check_values,
    describe_shape,
    input_size,
    list_inputs,
    read_info,
    read_input,
)
from r2plus1d.run import InputError
from r2plus1d.videos import Decoder, Task

Item = TypeVar('Item')
Result = TypeVar('Result')


class Outcome(NamedTuple):
    """What became of a task: the scores of its sample (crops x classes) and the facts of its video, or a FAULT."""

    task: Task
    scores: Optional[np.ndarray] = None
    facts: Optional[dict] = None
    fault: Optional[str] = None


def infer_batch(engine, batch, decoded, put=np.copyto):
    """[Outcome] of a list of (task, sample, facts, fault). BATCH: the array that the engine is fed with.

    PUT: a function of a place in the batch and of the sample that belongs there.
    """
    outcomes = []
    fed = []  # which of the outcomes have a place in the batch
    for task, sample, facts, fault in decoded:
        if fault is None and list(sample.shape) != engine.sample_shape:
            fault = (f'{task.video.path}: gives {describe_shape(sample.shape)}, and the model takes '
                     f'{describe_shape(engine.sample_shape)}')
        if fault is None:
            put(batch[len(fed)], sample)
            fed.append(len(outcomes))
        outcomes.append(Outcome(task, None, facts, fault))
    if fed:
        batch[len(fed):] = batch[0]
        scores = np.array(engine(batch)[0], np.float32)
        scores = scores.reshape(len(batch), -1, scores.shape[-1])  # batch x crops x classes
        for position, i in enumerate(fed):
            outcomes[i] = outcomes[i]._replace(scores=scores[position])
    return outcomes


class Files:
    """Batches of .bin or .npy files. Several files make a batch, as ais_bench groups them.

    ALLOW_DAMAGED: take files with many zeros in a row; see check_values().
    """

    def __init__(self, spec, batch_size, engine, allow_damaged=False):
        self.allow_damaged = allow_damaged
        files = list_inputs(spec)
        check_one_origin(files)
        self.info = info = read_info(os.path.dirname(files[0]))
        self.num_videos = None
        if info:
            self.num_videos = info.get('num_videos')
            check_dtype(os.path.dirname(files[0]), info, engine.dtype)
            check_same_shape(os.path.dirname(files[0]), info.get('shape', engine.sample_shape), engine.model,
                             engine.sample_shape)
        sample_size = int(np.prod(engine.sample_shape)) * engine.dtype.itemsize
        file_size = input_size(files[0], engine.dtype)
        if file_size == 0 or file_size % sample_size:
            shape = 'x'.join(map(str, engine.sample_shape))
            raise InputError(f'{files[0]}: {file_size} bytes are not a whole number of samples of {sample_size} bytes '
                             f'({shape} {engine.dtype}); was it made for another model?')
        samples_per_file = file_size // sample_size
        if info and info.get('bts', samples_per_file) != samples_per_file:
            raise InputError(f'{files[0]}: holds {samples_per_file} samples, and {INFO} beside it says {info["bts"]}; '
                             'make the bins again with r2plus1d_preprocess.py --overwrite')
        self.batch_size = batch_size or samples_per_file
        if self.batch_size % samples_per_file:
            raise InputError(f'--batchsize {self.batch_size}: a file holds {samples_per_file} samples ({files[0]}), '
                             'which does not divide it; make the files with a --bts that does')
        self.groups = group(files, self.batch_size // samples_per_file)

    def load(self, i, batch):
        parts = batch.reshape(len(self.groups[i]), -1)
        for part, name in zip(parts, self.groups[i]):
            if name:
                read_input(name, part)
                self.check(name, part)
            else:
                part[:] = parts[0]

    def check(self, name, values):
        """Raise InputError unless the VALUES of a file are those that were written, or else may be those of a video."""
        is_noted = False
        if self.info and not self.allow_damaged:
            is_noted = check_digest(name, values, self.info)
        if not is_noted:  # else they are what r2plus1d_preprocess.py wrote
            check_values(name, values, self.allow_damaged)


def check_dtype(folder, info, dtype):
    """Refuse bins that info.json says are of another dtype: their sizes alone may fit by chance."""
    found = info.get('dtype', str(dtype))
    if found != str(dtype):
        raise InputError(f'{folder}: holds {found} bins, and the model takes {dtype}; '
                         f'run r2plus1d_preprocess.py with --dtype {dtype}, or use the other model')


class TestVideos:
    """Batches straight from the test videos of a config. The names are those that their bins would have."""

    def __init__(self, config, options, allowed, batch_size, engine):
        """ALLOWED: {'allow_outside': bool, 'allow_damaged': bool}, as of the flags of these names."""
        # This import brings mmaction2 and PyTorch, which the other two sources do without.
        from r2plus1d.data import Samples, read_config
        self.cfg = cfg = read_config(config, options)
        cfg.merge_from_dict(allowed)
        self.samples = Samples(cfg, str(engine.dtype))
        self.num_videos = len(self.samples)
        if not self.num_videos:
            raise InputError(f'{self.samples.list_file}: lists no video')
        check_same_shape(config, self.samples[0][1].shape, engine.model, engine.sample_shape)
        self.batch_size = batch_size or 1
        names = [bin_name(i, [label]) for i, label in enumerate(self.samples.labels)]
        self.groups = group(names, self.batch_size)
        # Decoding leaves Python's global lock most of the time, so threads use all cores.
        self.pool = ThreadPoolExecutor(os.cpu_count() or 1)

    def load(self, i, batch):
        names = [name for name in self.groups[i] if name]

        def decode(j):
            batch[j] = self.samples[i * self.batch_size + j][1]

        list(self.pool.map(decode, range(len(names))))
        batch[len(names):] = batch[0]


class PureInference:
    """ais_bench's pure inference: one batch of zeros or of random values."""

    groups = [['pure_infer_data']]
    num_videos = None

    def __init__(self, kind, batch_size):
        self.kind = kind
        self.batch_size = batch_size or 1

    def load(self, i, batch):
        if self.kind == 'zero':
            batch[:] = 0
        else:
            # ais_bench takes random bytes. As float32 these would be denormals and NaNs, slow for their own sake.
            batch[:] = np.random.default_rng(0).random(batch.shape, np.float32) * 255


def group(names, n):
    """A list of tuples of N names each, the last one filled up with None."""
    groups = [tuple(names[i:i + n]) for i in range(0, len(names), n)]
    groups[-1] += (None,) * (n - len(groups[-1]))
    return groups


def prefetch(source, engine, indices):
    """(index, names, batch) of the batches with these INDICES. The next ones are loaded while one is being used.

    As many batches are loaded ahead as it takes to keep all cores decoding, at least one. The arrays take turns: fresh
    ones for each batch, of 302 MB at batch size 16, cost as much time as the reading.
    """
    ahead = max(1, (os.cpu_count() or 1) // source.batch_size)
    arrays = engine.allocate(min(ahead + 1, len(indices)), source.batch_size)
    loading = collections.deque()
    with ThreadPoolExecutor(ahead) as pool:
        for position in range(min(ahead, len(indices))):
            loading.append(pool.submit(source.load, indices[position], arrays[position]))
        for position, index in enumerate(indices):
            loading.popleft().result()
            next_one = position + ahead
            if next_one < len(indices):
                loading.append(pool.submit(source.load, indices[next_one], arrays[next_one % len(arrays)]))
            yield index, source.groups[index], arrays[position % len(arrays)]


# ---- single samples ----------------------------------------------------------------------------------


def infer_sample(engine, sample):
    """The scores of one sample (crops x 3 x frames x height x width): float32, crops x classes.

    Where the engine has a fixed batch size, copies of the sample fill the batch up.
    """
    batch = np.repeat(sample[None], engine.batch_size or 1, axis=0)
    scores = np.array(engine(batch)[0], np.float32)
    return scores[:len(scores) // len(batch)]


def score_videos(engines, samples, indices):
    """(labels, scores) of samples[i] for i in INDICES, by each of the ENGINES, which all take these samples.

    SAMPLES: item i is (label, sample). Scores: float32, engines x videos x crops x classes.
    """
    labels = []
    scores = [[] for _ in engines]
    for i in indices:
        label, sample = samples[i]
        labels.append(label)
        for engine, rows in zip(engines, scores):
            rows.append(infer_sample(engine, sample))
    return labels, np.array(scores)


def infer_here(engines, batch_size, cfg, tasks):
    """The Outcome of each of the TASKS, in their order. Videos are decoded ahead by threads while the ENGINES run."""
    for engine in engines:
        engine.prepare(batch_size)
    engines = [one for engine in engines for one in engine.side_by_side()]
    free = queue.Queue()
    for engine in engines:
        free.put((engine, engine.allocate(1, batch_size)[0]))

    def infer(outcomes):
        engine, batch = free.get()
        try:
            return infer_batch(engine, batch, outcomes)
        finally:
            free.put((engine, batch))

    decoder = Decoder(cfg, str(engines[0].dtype))
    with ThreadPoolExecutor(len(engines)) as pool:
        for outcomes in look_ahead(pool, infer, decoded_batches(decoder, tasks, batch_size), len(engines)):
            yield from outcomes


def look_ahead(pool: Executor, function: Callable[[Item], Result], items: Iterable[Item],
               ahead: int) -> Iterator[Result]:
    """function(item) of each of the ITEMS, in their order, computed by the POOL. At most AHEAD + 1 calls run or wait.

    Items are taken from their iterator when their turn comes. An exception of a call is raised at its place.
    """
    calls: Deque[Future[Result]] = collections.deque()
    for item in items:
        calls.append(pool.submit(function, item))
        if len(calls) > ahead:
            yield calls.popleft().result()
    while calls:
        yield calls.popleft().result()


def decoded_batches(decoder, tasks, batch_size):
    """Lists of (task, sample, facts, fault), each with BATCH_SIZE samples; the last one may have fewer."""
    # Decoding leaves Python's global lock most of the time, so threads use all cores.
    threads = os.cpu_count() or 1

    def decode(task):
        try:
            return (task, *decoder.decode(task), None)
        except InputError as e:
            return (task, None, None, str(e))

    batch = []
    with ThreadPoolExecutor(threads) as pool:
        for item in look_ahead(pool, decode, tasks, threads):
            batch.append(item)
            if sum(sample is not None for _, sample, _, _ in batch) == batch_size:
                yield batch
                batch = []
    if batch:
        yield batch
