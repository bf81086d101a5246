# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From the scores of crops to the accuracy of videos, and the figures of the original guide to compare with.

Metrics come from mmaction2, without an import of PyTorch; see mmaction2_metrics().
"""
import argparse
import functools
import importlib.util
import math
import os

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


def softmax(scores):
    """Probabilities along the last axis of an array of scores."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def are_probabilities(scores):
    """Whether all rows of an array of scores are probabilities, as a model with a softmax gives them."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=-1), 1, atol=5e-3))


def average_crops(scores, average_clips):
    """videos x crops x classes to videos x classes, as mmaction2's test_cfg.average_clips does it.

    AVERAGE_CLIPS: 'score' averages the scores, 'prob' their softmax.
    """
    if average_clips == 'prob':
        scores = softmax(scores)
    return scores.mean(axis=1)


@functools.lru_cache(None)
def mmaction2_metrics():
    """mmaction2's module of metrics, mmaction/core/evaluation/accuracy.py.

    It is loaded as a file of its own and needs NumPy alone. An import by its name, mmaction.core.evaluation.accuracy,
    would import the packages around it and with them PyTorch. That takes 1 to 3 seconds, more than all else that
    r2plus1d_postprocess.py does with the outputs of some hundred videos.
    """
    package = importlib.util.find_spec('mmaction')
    if package is None:
        raise ModuleNotFoundError("No module named 'mmaction'", name='mmaction')
    path = os.path.join(package.submodule_search_locations[0], 'core', 'evaluation', 'accuracy.py')
    spec = importlib.util.spec_from_file_location('mmaction2_metrics', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def accuracy_of_scores(scores, labels, average_clips):
    """The accuracy JSON of scores (videos x crops x classes) and labels, as a dict; accuracies are fractions."""
    metrics = mmaction2_metrics()
    videos = average_crops(scores, average_clips)
    top1, top5 = metrics.top_k_accuracy(videos, labels, (1, 5))
    return {
        'top1_acc': float(top1),
        'top5_acc': float(top5),
        'mean_class_accuracy': float(metrics.mean_class_accuracy(videos, labels)),
        'num_videos': len(labels),
        'average_clips': average_clips,
    }


def accuracy_of_ranks(labels, predicted, ranks, average_clips):
    """The same as accuracy_of_scores(), where the scores are no longer there. Three arrays of int64, one value a video.

    RANKS: the position of the label among the classes, 1 for the most probable one.
    """
    matrix = mmaction2_metrics().confusion_matrix(predicted, labels).astype(float)
    counts = matrix.sum(axis=1)
    correct = np.diag(matrix)
    accuracies = [hits / count if count else 0.0 for count, hits in zip(counts, correct)]
    return {
        'top1_acc': float((ranks <= 1).sum() / len(ranks)),
        'top5_acc': float((ranks <= 5).sum() / len(ranks)),
        'mean_class_accuracy': float(np.mean(accuracies)),
        'num_videos': len(labels),
        'average_clips': average_clips,
    }


def judge_accuracy(accuracies, reference, tolerance):
    """(smallest top-1 of several accuracy JSONs, whether they pass).

    They pass where each has all expected videos and a top-1 of at least the REFERENCE less the TOLERANCE. A reference
    above 1 is never reached.
    """
    top1 = min(accuracy['top1_acc'] for accuracy in accuracies)
    complete = all(accuracy['num_videos'] == accuracy.get('num_expected', accuracy['num_videos'])
                   for accuracy in accuracies)
    return top1, complete and reference <= 1 and top1 >= reference - tolerance


def wilson_interval(right, total, z=1.959964):
    """(low, high): Wilson's interval for a share of RIGHT among TOTAL, by default of 95% confidence.

    Unlike the usual share +- z * sqrt(...), it stays between 0 and 1 and is not empty where all or none are right
    (Wilson, JASA 1927). RIGHT may be a sum of fractions.
    """
    share = right / total
    weight = z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar_p_value(only_first, only_second):
    """Two-sided p-value of McNemar's exact test (Psychometrika 12, 1947).

    ONLY_FIRST, ONLY_SECOND: how many videos only the first way classifies right, and only the second. If both are
    equally good, each such video is a toss of a coin; the p-value is the probability of numbers that are as unequal.
    """
    tosses = only_first + only_second
    tail = sum(math.comb(tosses, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**tosses)


def explain_low_accuracy(labels, predicted, reference):
    """What a top-1 below the REFERENCE looks like, as one line of text.

    LABELS and PREDICTED: int arrays of the true and the predicted class of each video.
    """
    top1 = float(np.mean(predicted == labels))
    classes = np.unique(labels)
    chance = 1 / len(classes)
    renamed = most_predicted(labels, predicted, classes)
    accuracy_renamed = float(np.mean(predicted == np.array([renamed[label] for label in labels])))
    if len(set(renamed.values())) == len(classes) and accuracy_renamed >= reference - 0.1 > top1:
        moved = [c for c in classes.tolist() if renamed[c] != c]
        examples = ', '.join(f'{c} as {renamed[c]}' for c in moved[:3])
        return (f'wrong labels: with {len(moved)} of {len(classes)} classes renamed (label {examples}), top-1 is '
                f'{accuracy_renamed:.4f}; are the class lists of training and of this data set the same?')
    # Of N videos, a guess is right N * chance times; more than three standard deviations above that is no guess.
    guess = chance + 3 * math.sqrt(chance * (1 - chance) / len(labels))
    if top1 <= guess:
        return (f'a guess: {len(classes)} classes give {chance:.4f} by chance; is it the right checkpoint, and are '
                'outputs and labels in the same order?')
    if top1 >= reference - 0.05:
        return ('a small drift: the model knows the classes; r2plus1d_compare.py says at which step it loses, '
                'and --average_clips may differ from that of the reference')
    return 'another model, or other preprocessing: r2plus1d_compare.py --bins says which of the two'


def most_predicted(labels, predicted, classes):
    """{class: the class that most of its videos were given}."""
    result = {}
    for c in classes.tolist():
        found, counts = np.unique(predicted[labels == c], return_counts=True)
        result[c] = int(found[counts.argmax()])
    return result


def reference_value(text):
    """Type of the option --reference: a finite number of 0 or more."""
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not a top-1 accuracy, from 0 to 1')
    return value


def tolerance_value(text):
    """Type of the option --tolerance: a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not a difference of accuracies, from 0 to 1')
    return value


def top1_accuracy(scores, labels):
    """Share of the videos whose average score (of videos x crops x classes) is highest for their label."""
    return float(np.mean(average_crops(scores, 'score').argmax(axis=1) == np.array(labels)))


# ---- several models of one checkpoint ----------------------------------------------------------------


def choose_videos(num_videos, count, seed):
    """The numbers, ascending, of COUNT videos by a seeded choice; of all where COUNT is None or not less."""
    return sorted(np.random.default_rng(seed).permutation(num_videos)[:count].tolist())


def compare_scores(expected, found):
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
