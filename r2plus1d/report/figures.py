# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The figures of r2plus1d_report.py, as SVG for the page: cells of a confusion matrix, times of batches; and clips.

    cells = matrix_cells(matrix)                      # for an <svg> of one unit a cell
    marks = time_marks(performance.times, longest)    # for an <svg> of 100 x 10 units
    clip = encode_clip(frames, limit=50_000)          # a WebP with the frames side by side

The SVG has classes for the colours, which the page's style sheet sets for a light and a dark screen. It holds numbers
only: names come from the template, which escapes them.
"""
from __future__ import annotations

import io
from typing import NamedTuple, Sequence

import cv2
import numpy as np
from markupsafe import Markup
from PIL import Image

MARKS = 200  # of more of them, most would lie on one another
CLIP_FORMS = [(160, 75), (160, 55), (128, 60), (128, 40), (96, 40), (72, 30)]  # height in pixels, quality of the WebP


class Clip(NamedTuple):
    """The WebP of a clip, and the pixels of one of its frames."""

    data: bytes
    width: int
    height: int


# ---- confusion matrix ------------------------------------------------------------------------------


def matrix_cells(matrix: np.ndarray) -> Markup:
    """The cells of count_confusions() that are not empty: rectangles, and their counts as text.

    The share of its row is the opacity of a cell. That of a wrong one is its square root, so that a single video is
    seen.
    """
    totals = np.maximum(matrix.sum(axis=1), 1)
    cells = []
    counts = []
    for i, j in np.argwhere(matrix).tolist():
        count = matrix[i, j]
        share = count / totals[i]
        opacity = 0.15 + 0.85 * (share if i == j else share**0.5)
        kind = 'right' if i == j else 'wrong'
        cells.append(f'<rect class="{kind}" x="{j}" y="{i}" width="1" height="1" fill-opacity="{opacity:.2f}"/>')
        strong = ' class="strong"' if opacity > 0.6 else ''
        counts.append(f'<text{strong} x="{j + 0.5}" y="{i + 0.64}">{count}</text>')
    return Markup('{}<g class="counts">{}</g>').format(Markup(''.join(cells)), Markup(''.join(counts)))


# ---- performance -----------------------------------------------------------------------------------


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


# ---- clips -------------------------------------------------------------------------------------------


def encode_clip(frames: Sequence[np.ndarray], limit: int) -> Clip:
    """A Clip: RGB arrays of one size, side by side in one WebP of at most LIMIT bytes if that can be done.

    One picture of all frames, and not an animated one: the page plays it, stops it, and shows single frames.
    """
    for height, quality in CLIP_FORMS:
        width = round(height * frames[0].shape[1] / frames[0].shape[0])
        images = [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
        data = io.BytesIO()
        Image.fromarray(np.hstack(images)).save(data, 'WEBP', quality=quality, method=4)
        if data.tell() <= limit:
            break
    return Clip(data.getvalue(), width, height)
