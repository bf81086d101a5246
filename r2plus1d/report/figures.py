# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What r2plus1d_report.py counts and draws: predictions, confusions, two runs side by side, example videos.

    predictions = read_predictions(result, views=3)
    matrix = count_confusions(predictions.labels, predictions.predicted, num_names=101)
    cells = matrix_cells(matrix)                      # for an <svg> of one unit a cell
    marks = time_marks(performance.times, longest)    # for an <svg> of 100 x 10 units

Classes are counted from 0. A list of classes may have fewer names than the model has classes: the head of R(2+1)D keeps
400 on the 101 of UCF-101. The SVG has classes for the colours, which the page's style sheet sets, and numbers only:
names come from the template, which escapes them.
"""
from __future__ import annotations

import io
import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import cv2
import numpy as np
from markupsafe import Markup
from PIL import Image

from r2plus1d.data import Clips
from r2plus1d.metrics import are_probabilities, mcnemar_p_value, softmax, wilson_interval
from r2plus1d.results import Result, read_videos
from r2plus1d.run import InputError

MARKS = 200  # of more of them, most would lie on one another
CLIP_BYTES = 1_700_000  # of all clips; base64 makes 2.3 MB of them, which leaves 0.7 MB of 3 for the rest
CLIP_FORMS = [(160, 75), (160, 55), (128, 60), (128, 40), (96, 40), (72, 30)]  # height in pixels, quality of the WebP


# ---- predictions -----------------------------------------------------------------------------------


class Predictions(NamedTuple):
    """Arrays, one item a video: its number in the list, its true and its predicted class, the probabilities of all."""

    numbers: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class."""
        return np.asarray(self.probabilities[np.arange(len(self.labels)), self.predicted])


def read_predictions(result: Result, views: int) -> Predictions:
    """Raises InputError unless the outputs give the accuracy that is noted."""
    numbers, labels, scores = read_videos(result, views)
    predicted = np.argsort(scores, axis=1)[:, -1]  # of equal scores the one that mmaction2's accuracy takes
    are_averaged = result.accuracy.average_clips == 'prob' or are_probabilities(scores)
    return Predictions(numbers, labels, predicted, scores if are_averaged else softmax(scores))


def join_clips(result: Result, clips: Clips) -> Optional[Clips]:
    """CLIPS, where the run says that it is of their list; None where it does not say of which list it is.

    Raises InputError where it is of another list.
    """
    return clips if result.run.is_of(str(clips.videos.list_file)) else None


def list_videos(predictions: Predictions, clips: Optional[Clips]) -> List[List[Any]]:
    """[[name, true class, predicted class, probability of the predicted one]] of all videos."""
    names = [os.path.basename(clips.names[i]) if clips else f'video {i}' for i in predictions.numbers]
    columns = predictions.labels.tolist(), predictions.predicted.tolist(), predictions.confidence.round(4).tolist()
    return [list(row) for row in zip(names, *columns)]


# ---- confusions ------------------------------------------------------------------------------------


def count_confusions(labels: np.ndarray, predicted: np.ndarray, num_names: int) -> np.ndarray:
    """Videos by true class (row) and predicted class (column): an int array of NUM_NAMES x NUM_NAMES.

    Where videos were given a class without a name, one more column counts them. Each true class has a name.
    """
    matrix = np.zeros((num_names, num_names + 1), int)
    np.add.at(matrix, (labels, np.minimum(predicted, num_names)), 1)
    return matrix if matrix[:, -1].any() else matrix[:, :-1]


def describe_classes(matrix: np.ndarray) -> List[Dict[str, Any]]:
    """A dict for each class that has videos, the least accurate class first: how many are right, and its confusions.

    confusions: [(other class, videos)], the most frequent first.
    """
    classes = []
    for c in np.flatnonzero(matrix.sum(axis=1)).tolist():
        right, total = int(matrix[c, c]), int(matrix[c].sum())
        others = [(int(j), int(matrix[c, j])) for j in np.flatnonzero(matrix[c]) if j != c]
        classes.append({'class': c, 'right': right, 'videos': total, 'interval': wilson_interval(right, total),
                        'confusions': sorted(others, key=lambda other: -other[1])})
    return sorted(classes, key=lambda row: (row['right'] / row['videos'], row['class']))


def confused_pairs(classes: Sequence[Dict[str, Any]]) -> List[Tuple[int, int, int, int]]:
    """[(true class, predicted class, how often, all videos of the true class)], the most frequent pair first.

    CLASSES: of describe_classes(). A predicted class without a name is that of the last column.
    """
    pairs = [(row['class'], other, count, row['videos']) for row in classes for other, count in row['confusions']]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))


def matrix_cells(matrix: np.ndarray) -> Markup:
    """The cells of count_confusions() that are not empty: rectangles, and their counts as text.

    The share of its row is the opacity of a cell. That of a wrong one is its square root, so that a single video is
    seen.
    """
    totals = np.maximum(matrix.sum(axis=1), 1)
    cells, counts = [], []
    for i, j in np.argwhere(matrix).tolist():
        share = matrix[i, j] / totals[i]
        opacity = 0.15 + 0.85 * (share if i == j else share**0.5)
        kind = 'right' if i == j else 'wrong'
        cells.append(f'<rect class="{kind}" x="{j}" y="{i}" width="1" height="1" fill-opacity="{opacity:.2f}"/>')
        strong = ' class="strong"' if opacity > 0.6 else ''
        counts.append(f'<text{strong} x="{j + 0.5}" y="{i + 0.64}">{matrix[i, j]}</text>')
    return Markup('{}<g class="counts">{}</g>').format(Markup(''.join(cells)), Markup(''.join(counts)))


# ---- two runs ----------------------------------------------------------------------------------------


def compare_predictions(predictions: Predictions, other: Predictions) -> Dict[str, Any]:
    """How two runs differ on the same videos, as a dict. PREDICTIONS and OTHER: the Predictions of each.

    both, first, second, neither: how many videos both runs, only one, or none has right. p_value: McNemar's. classes:
    [(class, right here, right there, videos)] of the classes that differ, the largest difference first. videos:
    [(place, class here, class there)] of those with different answers.
    """
    if not np.array_equal(predictions.numbers, other.numbers):
        raise InputError('they are not of the same videos of the list')
    labels = predictions.labels
    here, there = predictions.predicted == labels, other.predicted == labels
    classes = [(int(c), int(here[labels == c].sum()), int(there[labels == c].sum()), int((labels == c).sum()))
               for c in np.unique(labels[here != there])]
    first, second = int((here & ~there).sum()), int((there & ~here).sum())
    return {
        'both': int((here & there).sum()),
        'first': first,
        'second': second,
        'neither': int((~here & ~there).sum()),
        'p_value': mcnemar_p_value(first, second),
        'classes': sorted(classes, key=lambda row: (-abs(row[1] - row[2]), row[0])),
        'videos': [(int(i), int(predictions.predicted[i]), int(other.predicted[i]))
                   for i in np.flatnonzero(predictions.predicted != other.predicted)],
    }


# ---- speed -----------------------------------------------------------------------------------------


def time_marks(times: np.ndarray, longest: float) -> Markup:
    """The times of the batches of a run, in an <svg> of 100 x 10 units: a line is a batch, a bar spans the middle half.

    The axis goes from 0 to the LONGEST time of all rows that are read together. Of many times, lines are drawn for
    MARKS of them, evenly spaced in the order of their size. The page may stretch the drawing.
    """
    times = np.sort(times)
    scale = 98 / longest
    chosen = np.unique(np.linspace(0, len(times) - 1, MARKS).astype(int))
    lines = ''.join(f'M{time * scale + 1:.1f} 2v6' for time in times[chosen])
    low, median, high = (np.percentile(times, [25, 50, 75]) * scale + 1).round(1)
    return Markup(f'<path d="{lines}"/>'
                  f'<rect x="{low}" y="3.5" width="{max(high - low, 0.4):.1f}" height="3"/>'
                  f'<path class="median" d="M{median} 0v10"/>')


# ---- example videos --------------------------------------------------------------------------------


def choose_examples(predictions: Predictions, count: int) -> List[int]:
    """The places of videos to show, at most COUNT wrongly classified ones and then as many rightly classified ones.

    The wrong ones are those with the highest probability, the highest first. The right ones are those with the lowest
    probability, the lowest first: the narrowest escapes.
    """
    order = np.argsort(predictions.confidence, kind='stable')
    is_right = (predictions.predicted == predictions.labels)[order]
    return [*order[~is_right][::-1][:count].tolist(), *order[is_right][:count].tolist()]


def make_examples(predictions: Predictions, clips: Optional[Clips], count: int) -> List[Dict[str, Any]]:
    """Of each video of choose_examples() what the page shows, as a dict; none without CLIPS.

    top5: [(class, probability)]; frames: the numbers of those that the model saw; clip, width, height: encode_clip().
    """
    chosen = choose_examples(predictions, count) if clips else []
    examples = []
    for index in chosen:
        assert clips is not None
        number, probabilities = int(predictions.numbers[index]), predictions.probabilities[index]
        try:
            frame_numbers, frames = clips[number]
        except InputError as e:
            raise InputError(f'{e}; --examples 0 makes the report without frames')
        examples.append({
            'video': os.path.basename(clips.names[number]),
            'label': int(predictions.labels[index]),
            'predicted': int(predictions.predicted[index]),
            'top5': [(int(c), float(probabilities[c])) for c in np.argsort(-probabilities, kind='stable')[:5]],
            'frames': frame_numbers,
            **encode_clip(frames, CLIP_BYTES // len(chosen)),
        })
    return examples


def encode_clip(frames: Sequence[np.ndarray], limit: int) -> Dict[str, Any]:
    """The clip of RGB arrays of one size, side by side in one WebP of at most LIMIT bytes if that can be done.

    One picture of all frames, and not an animated one: the page plays it, stops it, and shows single frames. width,
    height: of one of its frames, in pixels.
    """
    for height, quality in CLIP_FORMS:
        width = round(height * frames[0].shape[1] / frames[0].shape[0])
        images = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
        data = io.BytesIO()
        Image.fromarray(np.hstack(images)).save(data, 'WEBP', quality=quality, method=4)
        if data.tell() <= limit:
            break
    return {'clip': data.getvalue(), 'width': width, 'height': height}
