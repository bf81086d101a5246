# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Accuracy against mmaction2, and what stands beside a low one. (Of two models: test_pairs.py.)"""
import numpy as np
import pytest

from r2plus1d.metrics import accuracy_of_scores, average_crops, describe_low_accuracy

from mmaction.core import mean_class_accuracy, top_k_accuracy


@pytest.mark.parametrize('classes_with_videos', [3, 20])
@pytest.mark.parametrize('average_clips', ['score', 'prob'])
def test_accuracy_is_that_of_mmaction2(classes_with_videos, average_clips):
    """On scores of which many are equal. Some predicted classes have no video, as with a part of the test list."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes_with_videos, 300)
    scores = rng.integers(0, 3, (300, 3, 20)).astype(np.float32)
    scores[np.arange(300), :, labels] += 1
    videos = average_crops(scores, average_clips)
    found = accuracy_of_scores(scores, labels.tolist(), average_clips)
    assert 0.2 < found['top1_acc'] < 0.9
    assert [found['top1_acc'], found['top5_acc']] == top_k_accuracy(videos, labels.tolist(), (1, 5))
    theirs = found.get('mmaction2_mean_class_accuracy', found['mean_class_accuracy'])
    assert theirs == pytest.approx(mean_class_accuracy(videos, labels.tolist()), abs=1e-12)
    predicted = videos.argmax(1)
    ours = np.mean([np.mean(predicted[labels == c] == c) for c in set(labels.tolist())])
    assert found['mean_class_accuracy'] == pytest.approx(ours, abs=1e-12)
    assert ('mmaction2_mean_class_accuracy' in found) == (set(predicted.tolist()) > set(labels.tolist()))
    assert found['num_videos'] == 300


def test_what_stands_beside_a_low_accuracy():
    """On made predictions of 10 classes with 30 videos each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 30)
    right = np.where(rng.random(300) < 0.9, labels, rng.integers(0, 10, 300))
    for predicted, words in (((right + 1) % 10, '(0 as 1, 1 as 2, 2 as 3)'),
                             (np.select([right == 3, right == 7], [7, 3], right), '(3 as 7, 7 as 3)'),
                             (np.zeros(300, int), None), (right, None)):
        found = describe_low_accuracy(labels, predicted)
        assert found.startswith('a guess among 10 classes gives 0.1000')
        assert words in found if words else 'named' not in found
