# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Two ways to classify the same videos: is the second one as accurate as the first, and do the videos prove it?

    judgement = judge_pair(labels, first, second, Gate(max_drop=0.005))    # predicted classes of the same videos

Used for int8 beside float (r2plus1d_optimize.py) and for one view of the full frame beside three crops
(r2plus1d_compare.py). The same rules hold for both:

    rejected          top-1 falls by more than max_drop
    proves nothing    there are too few videos, or the first way knows nothing; rejected, unless that is allowed
    accepted          else

Too few videos: even if the second way lost none of them, up to max_drop of all videos could be lost, at 95% confidence
(see loss_bound()). For a max_drop of 0.005 that is fewer than 598 videos. Knows nothing: the first way is not better,
at 95% confidence, than to give the most frequent class to every video.
"""
from __future__ import annotations

import argparse
import collections
import dataclasses
import math
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np

from r2plus1d.metrics import mcnemar_p_value
from r2plus1d.run import InputError

CONFIDENCE = 0.95


# ---- statistics --------------------------------------------------------------------------------------


def binomial_tail(least: int, trials: int, probability: float) -> float:
    """The probability of LEAST or more successes in so many TRIALS."""
    if least <= 0 or probability >= 1:
        return 1.0
    if probability <= 0:
        return 0.0
    total = 0.0
    for k in range(least, trials + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)  # its logarithm
        total += math.exp(ways + k * math.log(probability) + (trials - k) * math.log1p(-probability))
    return min(1.0, total)


def loss_bound(lost: int, videos: int) -> float:
    """The share of all videos of this kind that may be lost, at CONFIDENCE, where LOST of these VIDEOS are.

    It is the upper bound of Clopper and Pearson (Biometrika 26, 1934), on one side; for no loss about 3 / VIDEOS. What
    the second way wins is not counted, so top-1 falls by no more than that.
    """
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if binomial_tail(lost + 1, videos, middle) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def least_videos(max_drop: float) -> float:
    """The number of videos from which on a run without a loss proves that top-1 falls by MAX_DROP at most.

    math.inf for a MAX_DROP of 0, which no number of videos proves.
    """
    if max_drop <= 0:
        return math.inf
    if max_drop >= 1:
        return 1
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-max_drop))


# ---- the judgement -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Gate:
    """By how much top-1, a fraction, may fall; and whether videos that prove nothing are enough."""

    max_drop: float
    allow_unproven: bool = False


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What is known of two ways.

    proves_nothing: why, as text; None where the videos do prove something. rejected: why, as text; None where the
    second way is accepted.
    """

    top1_acc_first: float
    top1_acc_second: float
    top1_drop: float
    only_first_right: int
    only_second_right: int
    p_value: float
    loss_bound: float
    num_videos: int
    max_drop: float
    proves_nothing: Optional[str]
    rejected: Optional[str]


def predicted_classes(scores: np.ndarray) -> np.ndarray:
    """The best class of each video, an int array, of its scores averaged over the views (videos x views x classes)."""
    return np.argsort(scores.mean(axis=1), axis=1)[:, -1]  # of equal scores the one that mmaction2's accuracy takes


def judge_pair(labels: Sequence[int], first: np.ndarray, second: np.ndarray, gate: Gate) -> Judgement:
    """LABELS, FIRST, SECOND: the true class and both predictions of each video."""
    truth = np.asarray(labels)
    right_first, right_second = first == truth, second == truth
    only_first = int((right_first & ~right_second).sum())
    only_second = int((right_second & ~right_first).sum())
    drop = (only_first - only_second) / len(truth)
    doubt = too_few(len(truth), gate.max_drop) or knows_nothing(truth, right_first)
    rejected = None
    if drop > gate.max_drop + 1e-9:  # the drop is a quotient
        rejected = (f'top-1 fell from {right_first.mean():.4f} to {right_second.mean():.4f}, by more than '
                    f'{gate.max_drop:g}')
    elif doubt and not gate.allow_unproven:
        rejected = f'nothing is proven: {doubt}; --allow_unproven accepts it all the same'
    return Judgement(float(right_first.mean()), float(right_second.mean()), drop, only_first, only_second,
                     mcnemar_p_value(only_first, only_second), loss_bound(only_first, len(truth)), len(truth),
                     gate.max_drop, doubt, rejected)


def too_few(num_videos: int, max_drop: float) -> Optional[str]:
    """Why so many videos prove nothing, as text; None where they may."""
    needed = least_videos(max_drop)
    if num_videos >= needed:
        return None
    if math.isinf(needed):
        return 'no number of videos proves that top-1 does not fall at all; give a --max_drop above 0'
    return (f'{num_videos} videos are too few for a drop of {max_drop:g}: even if none of them is lost, {needed} are '
            f'needed to exclude a larger one at {CONFIDENCE:.0%} confidence')


def knows_nothing(labels: np.ndarray, right: np.ndarray) -> Optional[str]:
    """Why a model with these RIGHT answers proves nothing, as text; None where it is better than a guess."""
    frequent = collections.Counter(labels.tolist()).most_common(1)[0][1] / len(labels)
    if binomial_tail(int(right.sum()), len(labels), frequent) < 1 - CONFIDENCE:
        return None
    return (f'the model to compare with is no better than a guess: its top-1 is {right.mean():.4f}, and the most '
            f'frequent class alone gives {frequent:.4f}')


def check_enough(num_videos: int, gate: Gate) -> None:
    """Raise InputError, before any work, where so many videos will prove nothing."""
    doubt = too_few(num_videos, gate.max_drop)
    if doubt and not gate.allow_unproven:
        raise InputError(f'nothing would be proven: {doubt}; take more videos, a larger --max_drop or '
                         '--allow_unproven')


def list_differences(names: Sequence[str], labels: Sequence[int], predicted: Sequence[np.ndarray],
                     title: Callable[[int], str]) -> List[Dict[str, str]]:
    """[{video, label, first, second}] of the videos that both ways, whose PREDICTED classes these are, class otherwise.

    TITLE: a function from the number of a class to its name.
    """
    first, second = predicted
    return [{'video': names[i], 'label': title(labels[i]), 'first': title(first[i]), 'second': title(second[i])}
            for i in range(len(labels)) if first[i] != second[i]]


# ---- the options of a script -------------------------------------------------------------------------


def add_gate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--max_drop', type=float, default=0.005, help='By how much top-1, a fraction from 0 to 1, may '
                        'fall.')
    parser.add_argument('--allow_unproven', action='store_true', help='Accept although the videos prove nothing, '
                        'because they are too few or the model to compare with is no better than a guess.')


def check_gate_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if not 0 <= args.max_drop <= 1:
        parser.error(f'--max_drop {args.max_drop}: is 0 to 1')
