# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What is to be predicted, and what became of it: the words in which all ways of predicting speak.

    outcomes = infer_batch(engine, batch, [(task, sample, facts, None)])

A task is what one sample is made of: a video, or one window of it. This module knows no decoder, so that a process
that only runs a model stays small.
"""
from typing import NamedTuple, Optional

import numpy as np

from r2plus1d.views import describe_shape


class Video(NamedTuple):
    """A video to predict. LABEL: int, or None where it is unknown. INFO: mmaction2's description; None for a file."""

    path: str
    label: Optional[int] = None
    info: Optional[dict] = None


class Task(NamedTuple):
    """The WINDOW-th of the WINDOWS of a video: frames FIRST to END (not included), END_S - START_S seconds.

    FIRST is None where the whole video is one window. FAULT: why there is nothing to decode.
    """

    video: Video
    window: int = 0
    windows: int = 1
    first: Optional[int] = None
    end: Optional[int] = None
    start_s: Optional[float] = None
    end_s: Optional[float] = None
    fault: Optional[str] = None


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
