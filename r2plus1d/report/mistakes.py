# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What a run got right and wrong: its predictions, counts by class, pairs of classes confused, example videos.

    predictions = read_predictions(result, views=3)
    matrix = count_confusions(predictions.labels, predictions.predicted, num_names=101)

r2plus1d_report.py shows all of it. Classes are counted from 0. A list of classes may have fewer names than the model
has classes: the head of R(2+1)D keeps 400 on the 101 of UCF-101.
"""
from __future__ import annotations

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from r2plus1d.data import Clips
from r2plus1d.metrics import are_probabilities, mcnemar_p_value, softmax, wilson_interval
from r2plus1d.provenance import check_list
from r2plus1d.results import Result, read_videos
from r2plus1d.run import InputError


class Predictions(NamedTuple):
    """Arrays, one item a video: its number in the list, its true and its predicted class, the probabilities of all."""

    numbers: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray


class Example(NamedTuple):
    """A video to show. top5: (class, probability) of the five most probable; frames: those that the model saw, RGB."""

    number: int  # in the list
    video: str
    label: int
    predicted: int
    top5: List[Tuple[int, float]]
    frame_numbers: List[int]
    frames: List[np.ndarray]


def read_predictions(result: Result, views: int) -> Predictions:
    """Raises InputError unless the outputs give the accuracy that is noted."""
    numbers, labels, scores = read_videos(result, views)
    predicted = np.argsort(scores, axis=1)[:, -1]  # of equal scores the one that mmaction2's accuracy takes
    are_averaged = result.accuracy.average_clips == 'prob' or are_probabilities(scores)
    probabilities = scores if are_averaged else softmax(scores)
    return Predictions(numbers, labels, predicted, probabilities)


def join_clips(result: Result, clips: Clips) -> Optional[Clips]:
    """CLIPS, where the run says that it is of their list; None where it does not say of which list it is.

    Raises InputError where it is of another list.
    """
    expected = result.run.num_videos(result.accuracy.num_expected or result.accuracy.num_videos)
    list_file, found = str(clips.videos.list_file), len(clips.names)
    if found != expected:
        raise InputError(f'{list_file}: lists {found} videos, and {result.path} is of {expected}; give the --config of '
                         'that run, or run test/eval_acc_perf.sh again')
    return clips if check_list(result.run, list_file) else None


def list_videos(predictions: Predictions, clips: Optional[Clips]) -> List[List[Any]]:
    """[[name, true class, predicted class, probability of the predicted one]] of all videos."""
    confidence = predictions.probabilities[np.arange(len(predictions.labels)), predictions.predicted]
    names = [os.path.basename(clips.names[i]) if clips else f'video {i}' for i in predictions.numbers]
    columns = names, predictions.labels.tolist(), predictions.predicted.tolist(), confidence.round(4).tolist()
    return [list(row) for row in zip(*columns)]


# ---- counts ----------------------------------------------------------------------------------------


def count_confusions(labels: np.ndarray, predicted: np.ndarray, num_names: int) -> np.ndarray:
    """Videos by true class (row) and predicted class (column): an int array of NUM_NAMES x (NUM_NAMES + 1).

    The last column counts the videos that were given a class without a name. Each true class has a name.
    """
    matrix = np.zeros((num_names, num_names + 1), int)
    columns = np.minimum(predicted, num_names)
    np.add.at(matrix, (labels, columns), 1)
    return matrix


def describe_classes(matrix: np.ndarray) -> List[Dict[str, Any]]:
    """A dict for each class that has videos, the least accurate class first: how many are right, and its confusions.

    confusions: [(other class, videos)], the most frequent first.
    """
    classes = []
    for c in np.flatnonzero(matrix.sum(axis=1)).tolist():
        right = int(matrix[c, c])
        total = int(matrix[c].sum())
        others = [(int(j), int(matrix[c, j])) for j in np.flatnonzero(matrix[c]) if j != c]
        classes.append({
            'class': c,
            'right': right,
            'videos': total,
            'interval': wilson_interval(right, total),
            'confusions': sorted(others, key=lambda other: -other[1]),
        })
    return sorted(classes, key=lambda row: (row['right'] / row['videos'], row['class']))


def confused_pairs(matrix: np.ndarray) -> List[Tuple[int, int, int, int]]:
    """[(true class, predicted class, how often, all videos of the true class)], the most frequent pair first.

    A predicted class without a name is that of the last column.
    """
    totals = matrix.sum(axis=1)
    pairs = []
    for i, j in np.argwhere(matrix).tolist():
        if i != j:
            pairs.append((i, j, int(matrix[i, j]), int(totals[i])))
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


# ---- two runs ----------------------------------------------------------------------------------------


def compare_predictions(predictions: Predictions, other: Predictions) -> Dict[str, Any]:
    """How two runs differ on the same videos, as a dict. PREDICTIONS and OTHER: the Predictions of each.

    both, first, second, neither: how many videos both runs, only one, or none has right. sign_test: how probable so
    uneven a difference is between equally good models. classes: [(class, right here, right there, videos)] of the
    classes that differ, the largest difference first. videos: [(number, class here, class there)] of the videos that
    only one has right.
    """
    if not np.array_equal(predictions.numbers, other.numbers):
        raise InputError('they are not of the same videos of the list')
    labels = predictions.labels
    here = predictions.predicted == labels
    there = other.predicted == labels
    classes = []
    for c in np.unique(labels).tolist():
        of_class = labels == c
        counts = (int(here[of_class].sum()), int(there[of_class].sum()))
        if counts[0] != counts[1]:
            classes.append((c, *counts, int(of_class.sum())))
    differing = np.flatnonzero(here != there)
    first = int((here & ~there).sum())
    second = int((there & ~here).sum())
    return {
        'both': int((here & there).sum()),
        'first': first,
        'second': second,
        'neither': int((~here & ~there).sum()),
        'sign_test': mcnemar_p_value(first, second),
        'classes': sorted(classes, key=lambda row: (-abs(row[1] - row[2]), row[0])),
        'videos': [(int(i), int(predictions.predicted[i]), int(other.predicted[i])) for i in differing],
    }


# ---- examples --------------------------------------------------------------------------------------


def choose_examples(predictions: Predictions, count: int) -> Tuple[List[int], List[int]]:
    """The places of videos to show: (wrongly classified ones, rightly classified ones), at most COUNT of each.

    The wrong ones are those with the highest probability, the highest first. The right ones are those with the lowest
    probability, the lowest first: the narrowest escapes.
    """
    _, labels, predicted, probabilities = predictions
    confidence = probabilities[np.arange(len(labels)), predicted]
    order = np.argsort(confidence, kind='stable')
    is_right = (predicted == labels)[order]
    wrong = order[~is_right][::-1]
    return wrong[:count].tolist(), order[is_right][:count].tolist()


def make_example(index: int, predictions: Predictions, clips: Clips) -> Example:
    """The Example of the video at place INDEX, with the frames that the model saw."""
    number = int(predictions.numbers[index])
    try:
        frame_numbers, frames = clips[number]
    except InputError as e:
        raise InputError(f'{e}; --examples 0 makes the report without frames')
    probabilities = predictions.probabilities[index]
    best = np.argsort(-probabilities, kind='stable')[:5].tolist()
    return Example(
        number=number,
        video=os.path.basename(clips.names[number]),
        label=int(predictions.labels[index]),
        predicted=int(predictions.predicted[index]),
        top5=[(c, float(probabilities[c])) for c in best],
        frame_numbers=[int(frame) for frame in frame_numbers],
        frames=frames,
    )
