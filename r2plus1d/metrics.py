# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From the scores of views to the accuracy of videos, and the figures of the original guide to compare with.

Two ways to classify the same videos: is the second one as accurate as the first, and do the videos prove it?

    judgement = judge_pair(labels, first, second, Gate(max_drop=0.005))    # predicted classes of the same videos

    rejected          top-1 falls by more than max_drop
    proves nothing    there are too few videos, or the first way knows nothing; rejected, unless that is allowed
    accepted          else

Too few: even if the second way lost none of them, more than max_drop of all videos could be lost, at 95% confidence.
Knows nothing: the first way is not better, at 95% confidence, than to give the most frequent class to every video.
"""
from __future__ import annotations

import argparse
import collections
import dataclasses
import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.run import InputError

# The original guide's samples/s by batch size; a sample is one video of three crops.
GUIDE_CHIPS = ('310', '310P', 'T4')
GUIDE_RATES = {
    1: (44.9012, 60.6969, 38.2989),
    4: (49.2828, 80.4857, 38.8568),
    8: (48.0392, 83.7505, 39.5354),
    16: (49.0324, 84.0091, 40.3182),
    32: (52.6588, 84.7777, 31.6976),
}
GUIDE_ACCURACY = {'310': (0.8892, 0.9741), '310P': (0.8923, 0.9745)}  # top-1, top-5 on UCF-101, test split 1
REFERENCE_TOP1 = GUIDE_ACCURACY['310'][0]
GUIDE_CLASSES = 101  # of UCF-101
GUIDE_VIEWS = 3
GUIDE_VIDEOS = 3783  # of test split 1; the other two splits have 3,734 and 3,696
CONFIDENCE = 0.95


# ---- accuracy ----------------------------------------------------------------------------------------


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis of an array of scores."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether all rows of an array of scores are probabilities, as a model with a softmax gives them."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=5e-3))


def average_crops(scores: np.ndarray, average_clips: str) -> np.ndarray:
    """videos x views x classes to videos x classes, as mmaction2's test_cfg.average_clips does it.

    AVERAGE_CLIPS: 'score' averages the scores, 'prob' their softmax. Scores of a model that ends with a softmax are
    averaged as they are.
    """
    if average_clips == 'prob' and not are_probabilities(scores):
        scores = softmax(scores)
    return np.asarray(scores.mean(axis=1))


def rank_classes(scores: np.ndarray) -> np.ndarray:
    """The classes of each video (videos x classes), the best first; of equal scores as in mmaction2."""
    return np.argsort(scores, axis=1)[:, ::-1]


def predicted_classes(scores: np.ndarray) -> np.ndarray:
    """The best class of each video, an int array, of its scores averaged over the views (videos x views x classes)."""
    return rank_classes(average_crops(scores, 'score'))[:, 0]


def accuracy_of_scores(scores: np.ndarray, labels: Sequence[int], average_clips: str) -> Dict[str, Any]:
    """The accuracy JSON of scores (videos x views x classes) and labels, as a dict; accuracies are fractions."""
    truth = np.asarray(labels)
    videos = average_crops(scores, average_clips)
    order = rank_classes(videos)
    places = order == truth[:, None]
    ranks = np.where(places.any(axis=1), 1 + places.argmax(axis=1), 1 + order.shape[1])
    return accuracy_of_ranks(truth, videos.argmax(axis=1), ranks, average_clips)  # of equal scores as in mmaction2


def mean_class_accuracy(labels: np.ndarray, predicted: np.ndarray) -> Dict[str, float]:
    """Over the classes that have videos; and mmaction2's beside it, where that counts other classes as 0."""
    right = [float(np.mean(predicted[labels == c] == c)) for c in np.unique(labels)]
    others = len(np.setdiff1d(predicted, labels))
    theirs = {'mmaction2_mean_class_accuracy': sum(right) / (len(right) + others)} if others else {}
    return {'mean_class_accuracy': float(np.mean(right)), **theirs}


def accuracy_of_ranks(labels: np.ndarray, predicted: np.ndarray, ranks: np.ndarray,
                      average_clips: str) -> Dict[str, Any]:
    """The accuracy JSON, where the scores are no longer there. Three arrays of int64, one value a video.

    RANKS: the position of the label among the classes, 1 for the most probable one.
    """
    return {
        'top1_acc': float((ranks <= 1).sum() / len(ranks)),
        'top5_acc': float((ranks <= 5).sum() / len(ranks)),
        'num_videos': len(labels),
        'average_clips': average_clips,
        **mean_class_accuracy(labels, predicted),
    }


def wilson_interval(right: float, total: int, z: float = 1.959964) -> Tuple[float, float]:
    """(low, high): Wilson's interval for a share of RIGHT among TOTAL, by default of 95% confidence (JASA 1927)."""
    share = right / total
    weight = z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def describe_low_accuracy(labels: np.ndarray, predicted: np.ndarray) -> str:
    """What a low top-1 is to be read beside, of int arrays of the true and the predicted class of each video."""
    classes, places = np.unique(labels, return_inverse=True)
    renamed = np.array([np.bincount(predicted[labels == c]).argmax() for c in classes])
    top1 = np.mean(predicted == renamed[places]) if len(set(renamed.tolist())) == len(classes) else 0
    text = f'a guess among {len(classes)} classes gives {1 / len(classes):.4f}'
    if top1 > np.mean(predicted == labels):
        moved = [f'{c} as {new}' for c, new in zip(classes.tolist(), renamed.tolist()) if c != new]
        text += (f'; with each class named as most of its videos were predicted, top-1 would be {top1:.4f} '
                 f'({", ".join(moved[:3])}): are the class lists of training and of this data set the same?')
    return text


def fraction(text: str) -> float:
    """Type of the options --reference, --tolerance and --max_drop: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not a fraction, from 0 to 1; 88.92% is 0.8892')
    return value


# ---- two models of one checkpoint --------------------------------------------------------------------


def choose_videos(num_videos: int, count: Optional[int], seed: int) -> List[int]:
    """The numbers, ascending, of COUNT videos by a seeded choice; of all where COUNT is None or not less."""
    return sorted(np.random.default_rng(seed).permutation(num_videos)[:count].tolist())


def compare_scores(expected: np.ndarray, found: np.ndarray) -> Dict[str, Any]:
    """How far two models agree on the same videos, as a dict. Both arrays are videos x views x classes.

    max_abs_difference and rms_difference are of single scores, max_rel_difference is the largest difference over the
    largest expected score, cosine the smallest cosine similarity between the two models' scores of a view. The rest is
    of videos, the average of their views: the share with the same best class, the mean share of the five best classes
    that are the same, and the position of the first video with another best class (None if there is none).
    """
    difference = np.abs(found.astype(np.float64) - expected)
    lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(found, axis=-1)
    cosine = (expected.astype(np.float64) * found).sum(axis=-1) / np.maximum(lengths, 1e-30)
    best, best_found = (rank_classes(average_crops(scores, 'score'))[:, :5] for scores in (expected, found))
    same_top5 = [len(set(a) & set(b)) / len(a) for a, b in zip(best.tolist(), best_found.tolist())]
    differing = np.flatnonzero(best[:, 0] != best_found[:, 0]).tolist()
    return {
        'max_abs_difference': float(difference.max()),
        'max_rel_difference': float(difference.max() / max(np.abs(expected).max(), 1e-30)),
        'rms_difference': float(np.sqrt(np.mean(difference**2))),
        'cosine': float(cosine.min()),
        'top1_agreement': 1 - len(differing) / len(best),
        'top5_agreement': float(np.mean(same_top5)),
        'first_top1_difference': differing[0] if differing else None,
    }


# ---- two ways beside each other ----------------------------------------------------------------------


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's exact test (Psychometrika 12, 1947).

    ONLY_FIRST, ONLY_SECOND: how many videos only the first way classifies right, and only the second. If both are
    equally good, each such video is a toss of a coin; the p-value is the probability of numbers that are as unequal.
    """
    tosses = only_first + only_second
    tail = sum(math.comb(tosses, k) for k in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**tosses))


def binomial_tail(least: int, trials: int, probability: float) -> float:
    """The probability of LEAST or more successes in so many TRIALS."""
    if least <= 0 or probability >= 1:
        return 1.0
    total = 0.0
    for k in range(least, trials + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)  # its logarithm
        total += math.exp(ways + k * math.log(probability) + (trials - k) * math.log1p(-probability))
    return min(1.0, total)


def loss_bound(lost: int, videos: int) -> float:
    """The share of all videos of this kind that may be lost, at CONFIDENCE, where LOST of these VIDEOS are.

    It is the upper bound of Clopper and Pearson (Biometrika 26, 1934), on one side. What the second way wins is not
    counted, so top-1 falls by no more than that.
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
    """The number of videos from which on a run without a loss proves that top-1 falls by MAX_DROP at most."""
    if max_drop <= 0:
        return math.inf
    return 1 if max_drop >= 1 else math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-max_drop))


@dataclasses.dataclass(frozen=True)
class Gate:
    """By how much top-1, a fraction, may fall; and whether videos that prove nothing are enough."""

    max_drop: float
    allow_unproven: bool = False

    def check_enough(self, num_videos: int) -> None:
        """Raise InputError, before any work, where so many videos will prove nothing."""
        doubt = too_few(num_videos, self.max_drop)
        if doubt and not self.allow_unproven:
            raise InputError(f'nothing would be proven: {doubt}; take more videos, a larger --max_drop or '
                             '--allow_unproven')


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What is known of two ways. proves_nothing, rejected: why, as text; None where they do prove something, and where
    the second way is accepted.
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


def add_gate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--max_drop', type=fraction, default=0.005, help='By how much top-1 (0 to 1) may fall.')
    parser.add_argument('--allow_unproven', action='store_true', help='Accept although the videos prove nothing, '
                        'because they are too few or the model to compare with is no better than a guess.')
