# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What a difference looks like, between the scores of two models or between two samples, for r2plus1d_compare.py.

Each function tries the faults that are common in such chains and answers with one line of text, or with None where the
difference looks like none of them.
"""
import itertools

import numpy as np

from r2plus1d.interruptions import signals_wait


def orders(count):
    """All orders of COUNT crops but the usual one."""
    return [list(order) for order in itertools.permutations(range(count)) if list(order) != sorted(order)]


def explain_scores(expected, found, swapped, agree):
    """Of scores, videos x crops x classes.

    SWAPPED: the scores of the same model for the same videos with red and blue swapped. AGREE(expected, found) says
    whether two such arrays are near enough to each other.
    """
    if not np.isfinite(found).all():
        return 'scores that are not finite'
    for order in orders(found.shape[1]):
        if agree(expected, found[:, order]):
            return f'crops in another order: {", ".join(map(str, order))}'
    if agree(expected, swapped):
        return 'BGR for RGB: with red and blue swapped the model agrees'
    centred = [scores - scores.mean(axis=-1, keepdims=True) for scores in (expected, found)]
    lengths = np.linalg.norm(centred[0]) * np.linalg.norm(centred[1])
    if (centred[0] * centred[1]).sum() < 0.5 * lengths:
        return 'another checkpoint: the scores are not alike'
    return None


def explain_normalization(path, cfg):
    """Of an ONNX file into which r2plus1d_optimize.py --uint8_input has put the Normalize step of a config."""
    if not path.endswith('.onnx'):
        return None
    steps = [step for step in cfg.data.test.pipeline if step['type'] == 'Normalize']
    for name, found in normalization_of(path).items():
        expected = steps[0][name]
        if not np.allclose(found, expected, rtol=1e-4):
            return f'another {name}: {found.astype(float).round(3).tolist()}, and the config has {list(expected)}'
    return None


def normalization_of(path):
    """{'mean': three values, 'std': three values} in an ONNX file with uint8 input; {} in another one."""
    with signals_wait():
        import onnx
    constants = {}
    for weight in onnx.load(path).graph.initializer:
        if weight.name.startswith('normalize.'):
            constants[weight.name] = onnx.numpy_helper.to_array(weight).ravel()
    if 'normalize.mean' not in constants:
        return {}
    return {'mean': constants['normalize.mean'], 'std': 1 / constants['normalize.inverse_std']}


def explain_bin(found, expected, bound):
    """Of two samples, crops x 3 x frames x height x width. They agree where no value differs by more than BOUND."""
    for order in orders(len(found)):
        if np.allclose(found[order], expected, rtol=0, atol=bound):
            return f'crops in another order: {", ".join(map(str, order))}'
    if np.allclose(found[:, ::-1], expected, rtol=0, atol=bound):
        return 'BGR for RGB'
    shift = (found.astype(np.float32) - expected).mean(axis=(0, 2, 3, 4))
    return f'another mean, or other videos: the channels differ by {np.round(shift, 3).tolist()} on the average'
