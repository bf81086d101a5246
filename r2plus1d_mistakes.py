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

from r2plus1d_files import InputError
from r2plus1d_metrics import softmax
from r2plus1d_results import check_against_outputs

# Arrays of all videos: the true and the predicted class of each, and videos x classes.
Predictions = collections.namedtuple('Predictions', 'labels predicted probabilities')
# Texts; [(text of a class, probability)] of the five most probable classes; [(number, RGB array)] of a clip.
Example = collections.namedtuple('Example', 'video true predicted top5 frames')


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


def title_classes(names, num_classes):
    """The texts that name the classes of a model, numbered from 1 as in the list of classes."""
    named = [f'{number} {name}' for number, name in enumerate(names, 1)]
    unnamed = [f'{number}, not in the list of classes' for number in range(len(names) + 1, num_classes + 1)]
    return named + unnamed


# ---- counts ----------------------------------------------------------------------------------------


def count_confusions(labels, predicted, num_names):
    """Videos by true class (row) and predicted class (column): an int array of NUM_NAMES x (NUM_NAMES + 1).

    The last column counts the videos that were given a class without a name. Each true class has a name.
    """
    matrix = np.zeros((num_names, num_names + 1), int)
    columns = np.minimum(predicted, num_names)
    np.add.at(matrix, (labels, columns), 1)
    return matrix


def count_correct(matrix):
    """[(class, correct videos, all its videos)] of the classes that have videos, the least accurate class first."""
    totals = matrix.sum(axis=1)
    counts = [(c, matrix[c, c], totals[c]) for c in np.flatnonzero(totals)]
    return sorted(counts, key=lambda count: (count[1] / count[2], count[0]))


def most_confused(matrix, limit):
    """The LIMIT most frequent confusions: [(true class, predicted class, how often, all videos of the true class)].

    A predicted class without a name is that of the last column.
    """
    totals = matrix.sum(axis=1)
    confusions = [(i, j, matrix[i, j], totals[i]) for i, j in zip(*np.nonzero(matrix)) if i != j]
    confusions.sort(key=lambda confusion: (-confusion[2], confusion[0], confusion[1]))
    return confusions[:limit]


# ---- examples --------------------------------------------------------------------------------------


def choose_examples(predictions, count):
    """The numbers of COUNT videos to show: those wrongly classified with the highest probability, the highest first.

    Where no video is wrong, they are those correctly classified with the lowest probability, the lowest first.
    """
    labels, predicted, probabilities = predictions
    confidence = probabilities[np.arange(len(labels)), predicted]
    wrong = np.flatnonzero(predicted != labels)
    if len(wrong):
        ordered = wrong[np.argsort(-confidence[wrong], kind='stable')]
    else:
        ordered = np.argsort(confidence, kind='stable')
    return ordered[:count].tolist()


def make_examples(predictions, clips, titles, count):
    """[Example] of the videos that choose_examples() gives, with the frames that the model saw."""
    examples = []
    for i in choose_examples(predictions, count):
        try:
            numbers, images = clips[i]
        except InputError as e:
            raise InputError(f'{e}; --examples 0 makes the report without frames')
        probabilities = predictions.probabilities[i]
        best = np.argsort(-probabilities, kind='stable')[:5]
        examples.append(Example(
            video=os.path.basename(clips.names[i]),
            true=titles[predictions.labels[i]],
            predicted=titles[predictions.predicted[i]],
            top5=[(titles[c], probabilities[c]) for c in best],
            frames=list(zip(numbers, images)),
        ))
    return examples
