# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From the scores of crops to the accuracy of videos, and the figures of the original guide to compare with.

Metrics come from mmaction2, without an import of PyTorch; see mmaction2_metrics().
"""
from __future__ import annotations

import argparse
import functools
import importlib.machinery
import importlib.util
import math
import os
from types import ModuleType
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

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


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis of an array of scores."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether all rows of an array of scores are probabilities, as a model with a softmax gives them."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=5e-3))


def average_crops(scores: np.ndarray, average_clips: str) -> np.ndarray:
    """videos x crops x classes to videos x classes, as mmaction2's test_cfg.average_clips does it.

    AVERAGE_CLIPS: 'score' averages the scores, 'prob' their softmax. Scores of a model that ends with a softmax are
    averaged as they are.
    """
    if average_clips == 'prob' and not are_probabilities(scores):
        scores = softmax(scores)
    return np.asarray(scores.mean(axis=1))


@functools.lru_cache(None)
def mmaction2_metrics() -> ModuleType:
    """mmaction2's module of metrics, mmaction/core/evaluation/accuracy.py.

    It is loaded as a file of its own and needs NumPy alone. An import by its name, mmaction.core.evaluation.accuracy,
    would import the packages around it and with them PyTorch. That takes 1 to 3 seconds, more than all else that
    r2plus1d_postprocess.py does with the outputs of some hundred videos.
    """
    package = importlib.util.find_spec('mmaction')
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'mmaction'", name='mmaction')
    path = os.path.join(package.submodule_search_locations[0], 'core', 'evaluation', 'accuracy.py')
    loader = importlib.machinery.SourceFileLoader('mmaction2_metrics', path)
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


def accuracy_of_scores(scores: np.ndarray, labels: Sequence[int], average_clips: str) -> Dict[str, Any]:
    """The accuracy JSON of scores (videos x crops x classes) and labels, as a dict; accuracies are fractions."""
    metrics = mmaction2_metrics()
    videos = average_crops(scores, average_clips)
    top1, top5 = metrics.top_k_accuracy(videos, labels, (1, 5))
    return {
        'top1_acc': float(top1),
        'top5_acc': float(top5),
        'num_videos': len(labels),
        'average_clips': average_clips,
        **mean_class_accuracy(np.asarray(labels), videos.argmax(axis=1)),
    }


def mean_class_accuracy(labels: np.ndarray, predicted: np.ndarray) -> Dict[str, float]:
    """The mean over the classes that have videos; and mmaction2's beside it, where that counts other classes as 0."""
    right = [float(np.mean(predicted[labels == c] == c)) for c in np.unique(labels)]
    others = len(np.setdiff1d(predicted, labels))
    theirs = {'mmaction2_mean_class_accuracy': sum(right) / (len(right) + others)} if others else {}
    return {'mean_class_accuracy': float(np.mean(right)), **theirs}


def accuracy_of_ranks(labels: np.ndarray, predicted: np.ndarray, ranks: np.ndarray,
                      average_clips: str) -> Dict[str, Any]:
    """The same as accuracy_of_scores(), where the scores are no longer there. Three arrays of int64, one value a video.

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
    """(low, high): Wilson's interval for a share of RIGHT among TOTAL, by default of 95% confidence.

    Unlike the usual share +- z * sqrt(...), it stays between 0 and 1 and is not empty where all or none are right
    (Wilson, JASA 1927). RIGHT may be a sum of fractions.
    """
    share = right / total
    weight = z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_p_value(only_first: int, only_second: int) -> float:
    """Two-sided p-value of McNemar's exact test (Psychometrika 12, 1947).

    ONLY_FIRST, ONLY_SECOND: how many videos only the first way classifies right, and only the second. If both are
    equally good, each such video is a toss of a coin; the p-value is the probability of numbers that are as unequal.
    """
    tosses = only_first + only_second
    tail = sum(math.comb(tosses, k) for k in range(min(only_first, only_second) + 1))
    return float(min(1.0, 2 * tail / 2**tosses))


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
    """Type of the options --reference and --tolerance: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not a fraction, from 0 to 1; 88.92% is 0.8892')
    return value


def top1_accuracy(scores: np.ndarray, labels: Sequence[int]) -> float:
    """Share of the videos whose average score (of videos x crops x classes) is highest for their label."""
    return float(np.mean(average_crops(scores, 'score').argmax(axis=1) == np.array(labels)))


# ---- several models of one checkpoint ----------------------------------------------------------------


def choose_videos(num_videos: int, count: Optional[int], seed: int) -> List[int]:
    """The numbers, ascending, of COUNT videos by a seeded choice; of all where COUNT is None or not less."""
    return sorted(np.random.default_rng(seed).permutation(num_videos)[:count].tolist())


def compare_scores(expected: np.ndarray, found: np.ndarray) -> Dict[str, Any]:
    """How far two models agree on the same videos, as a dict. Both arrays are videos x crops x classes.

    max_abs_difference and rms_difference are of single scores. max_rel_difference is the largest difference over the
    largest expected score. cosine is the smallest cosine similarity between the two models' scores of a crop.
    The rest is of videos, the average of their crops: top1_agreement is the share of videos with the same best class,
    top5_agreement the mean share of the five best classes that are the same, and first_top1_difference the position of
    the first video with another best class (None if there is none).
    """
    difference = np.abs(found.astype(np.float64) - expected)
    lengths = np.linalg.norm(expected, axis=-1) * np.linalg.norm(found, axis=-1)
    cosine = (expected.astype(np.float64) * found).sum(axis=-1) / np.maximum(lengths, 1e-30)
    best_expected = np.argsort(-average_crops(expected, 'score'), axis=1, kind='stable')[:, :5]
    best_found = np.argsort(-average_crops(found, 'score'), axis=1, kind='stable')[:, :5]
    same_top1 = best_expected[:, 0] == best_found[:, 0]
    same_top5 = [len(set(a) & set(b)) / len(a) for a, b in zip(best_expected.tolist(), best_found.tolist())]
    differing = np.flatnonzero(~same_top1).tolist()
    return {
        'max_abs_difference': float(difference.max()),
        'max_rel_difference': float(difference.max() / max(np.abs(expected).max(), 1e-30)),
        'rms_difference': float(np.sqrt(np.mean(difference**2))),
        'cosine': float(cosine.min()),
        'top1_agreement': float(same_top1.mean()),
        'top5_agreement': float(np.mean(same_top5)),
        'first_top1_difference': differing[0] if differing else None,
    }
