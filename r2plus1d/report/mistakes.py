# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What a run got right and wrong: its predictions, counts by class, pairs of classes confused, example videos.

    predictions = read_predictions(run, crops=3, clips=Clips(cfg))
    matrix = count_confusions(predictions.labels, predictions.predicted, num_names=101)

r2plus1d_report.py shows all of it. Classes are counted from 0. A list of classes may have fewer names than the model
has classes: the head of R(2+1)D keeps 400 on the 101 of UCF-101.
"""
import collections
import os

import numpy as np

from r2plus1d.metrics import mcnemar_p_value, softmax, wilson_interval
from r2plus1d.results import check_against_outputs
from r2plus1d.run import InputError

# Arrays of all videos: the true and the predicted class of each, and videos x classes.
Predictions = collections.namedtuple('Predictions', 'labels predicted probabilities')
# The number of a video, its name, its true and its predicted class, [(class, probability)] of the five most probable
# classes, the numbers of the frames that the model saw, and these frames as RGB arrays.
Example = collections.namedtuple('Example', 'index video label predicted top5 frame_numbers frames')


def read_predictions(run, crops, clips):
    """The Predictions of a run (result: path of its accuracy JSON, accuracy: its content, summaries: paths).

    Raises InputError unless they are of the videos in CLIPS and have the accuracy that is noted.
    """
    noted = run.accuracy
    if len(clips) != noted['num_videos']:
        raise InputError(f'{clips.list_file}: lists {len(clips)} videos, and {run.result} is of '
                         f'{noted["num_videos"]}; give the --config of that run, or run test/eval_acc_perf.sh again')
    labels, scores = check_against_outputs(run.result, noted, run.summaries, crops)
    if labels.tolist() != clips.labels:
        raise InputError(f'{clips.list_file}: its labels are not those of {run.summaries[0]}; '
                         'give the --config of that run')
    predicted = np.argsort(scores, axis=1)[:, -1]  # of equal scores the one that mmaction2's accuracy takes
    probabilities = scores if noted['average_clips'] == 'prob' else softmax(scores)
    return Predictions(labels, predicted, probabilities)


def list_videos(predictions, clips):
    """[[name, true class, predicted class, probability of the predicted one]] of all videos."""
    labels, predicted, probabilities = predictions
    confidence = probabilities[np.arange(len(labels)), predicted]
    names = [os.path.basename(name) for name in clips.names]
    columns = names, labels.tolist(), predicted.tolist(), confidence.round(4).tolist()
    return [list(row) for row in zip(*columns)]


# ---- counts ----------------------------------------------------------------------------------------


def count_confusions(labels, predicted, num_names):
    """Videos by true class (row) and predicted class (column): an int array of NUM_NAMES x (NUM_NAMES + 1).

    The last column counts the videos that were given a class without a name. Each true class has a name.
    """
    matrix = np.zeros((num_names, num_names + 1), int)
    columns = np.minimum(predicted, num_names)
    np.add.at(matrix, (labels, columns), 1)
    return matrix


def describe_classes(matrix):
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


def confused_pairs(matrix):
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


def compare_predictions(predictions, other):
    """How two runs differ on the same videos, as a dict. PREDICTIONS and OTHER: the Predictions of each.

    both, first, second, neither: how many videos both runs, only one, or none has right. sign_test: how probable so
    uneven a difference is between equally good models. classes: [(class, right here, right there, videos)] of the
    classes that differ, the largest difference first. videos: [(number, class here, class there)] of the videos that
    only one has right.
    """
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


def choose_examples(predictions, count):
    """The numbers of videos to show: (wrongly classified ones, rightly classified ones), at most COUNT of each.

    The wrong ones are those with the highest probability, the highest first. The right ones are those with the lowest
    probability, the lowest first: the narrowest escapes.
    """
    labels, predicted, probabilities = predictions
    confidence = probabilities[np.arange(len(labels)), predicted]
    order = np.argsort(confidence, kind='stable')
    is_right = (predicted == labels)[order]
    wrong = order[~is_right][::-1]
    return wrong[:count].tolist(), order[is_right][:count].tolist()


def make_example(index, predictions, clips):
    """The Example of one video, with the frames that the model saw."""
    try:
        numbers, frames = clips[index]
    except InputError as e:
        raise InputError(f'{e}; --examples 0 makes the report without frames')
    probabilities = predictions.probabilities[index]
    best = np.argsort(-probabilities, kind='stable')[:5].tolist()
    return Example(
        index=index,
        video=os.path.basename(clips.names[index]),
        label=int(predictions.labels[index]),
        predicted=int(predictions.predicted[index]),
        top5=[(c, float(probabilities[c])) for c in best],
        frame_numbers=[int(number) for number in numbers],
        frames=frames,
    )
