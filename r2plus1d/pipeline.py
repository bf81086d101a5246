# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Prediction in one process: videos are decoded while the model runs.

    for outcome in infer_here(engines, batch_size, cfg, tasks):

Tasks and outcomes are those of r2plus1d/tasks.py. r2plus1d/cluster.py does the same on a cluster.
"""
import collections
import os
import queue
from concurrent.futures import ThreadPoolExecutor

from r2plus1d.files import InputError
from r2plus1d.tasks import infer_batch
from r2plus1d.videos import Decoder


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
        yield from in_order(pool, infer, decoded_batches(decoder, tasks, batch_size), len(engines))


def in_order(pool, function, items, ahead):
    """The results of a function that gives lists, one result after another. AHEAD + 1 calls run or wait at a time."""
    calls = collections.deque()
    for item in items:
        calls.append(pool.submit(function, item))
        if len(calls) > ahead:
            yield from calls.popleft().result()
    while calls:
        yield from calls.popleft().result()


def decoded_batches(decoder, tasks, batch_size):
    """Lists of (task, sample, facts, fault), each with BATCH_SIZE samples; the last one may have fewer."""
    # Decoding leaves Python's global lock most of the time, so threads use all cores.
    threads = os.cpu_count() or 1

    def decode(task):
        try:
            return [(task, *decoder.decode(task), None)]
        except InputError as e:
            return [(task, None, None, str(e))]

    batch = []
    with ThreadPoolExecutor(threads) as pool:
        for item in in_order(pool, decode, tasks, threads):
            batch.append(item)
            if sum(sample is not None for _, sample, _, _ in batch) == batch_size:
                yield batch
                batch = []
    if batch:
        yield batch
