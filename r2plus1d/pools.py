# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Pools of threads and of processes, which work ahead of whoever takes their results.

    with fork_workers(4, start, bins) as pool:           # four processes, each of which has called start(bins)
        for name in look_ahead(pool, write, numbers, 8):  # in the order of the numbers
    for sample in decode_ahead(decode, videos):           # by threads on all cores
"""
from __future__ import annotations

import collections
import multiprocessing
import os
import signal
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Callable, Deque, Iterable, Iterator, List, Sequence, TypeVar

from r2plus1d.environment import cpu_count
from r2plus1d.run import signals_wait

Item = TypeVar('Item')
Result = TypeVar('Result')
POOLS: List[ProcessPoolExecutor] = []  # kept to the end: Python's own end of a pool must not meet that of its last user


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


def decode_ahead(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """look_ahead() by threads on all cores: decoding leaves Python's global lock most of the time."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        yield from look_ahead(pool, function, items, cpu_count())


def fork_workers(count: int, first: Callable[..., object] = int, *args: object) -> ProcessPoolExecutor:
    """A pool of COUNT processes, each of which has called FIRST(*ARGS). They are forks: nothing is copied to them.

    Signals wait until they are there.
    """
    pool = ProcessPoolExecutor(count, multiprocessing.get_context('fork'), end_with_parent, (first, args))
    with signals_wait():
        pool.submit(int)  # starts all of them
        POOLS.append(pool)
    return pool


def end_with_parent(first: Callable[..., object], args: Sequence[object]) -> None:
    """In a process of a pool, before anything else: Ctrl-C is for the process that made it; this one ends after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def wait(parent: Any) -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, args=[multiprocessing.parent_process()], daemon=True).start()
    first(*args)
