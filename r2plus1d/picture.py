# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A decoded frame of a video as a picture: RGB, turned and mirrored as a player does it.

    image = picture(path, frame)                    # height x width x 3
"""
from __future__ import annotations

import threading
from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from r2plus1d.run import InputError

MOST_PIXELS = 4096 * 2304  # of a frame: 4K. The frames of one clip in 8K take 1.6 GB while they are decoded
LOCAL = threading.local()


def check_pixels(path: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(f'{path}: {width}x{height} pixels a frame; the most is 4K (4096x2304): make it smaller, as by '
                         'ffmpeg -i IN -vf scale=-2:1080 OUT')


def picture(path: str, frame: VideoFrame) -> np.ndarray:
    """A frame of the video PATH. Raises InputError."""
    check_pixels(path, frame.width, frame.height)
    image = to_rgb(frame)
    for data in cast(Any, frame.side_data):
        if data.type.name == 'DISPLAYMATRIX':
            image = turned(path, image, np.frombuffer(bytes(data), np.int32))
    return image


def to_rgb(frame: VideoFrame) -> np.ndarray:
    """The pixels of frame.to_ndarray(format='rgb24'), for which PyAV would make a converter for each frame."""
    if not hasattr(LOCAL, 'reformatter'):
        LOCAL.reformatter = VideoReformatter()
    try:
        converted = LOCAL.reformatter.reformat(frame, format='rgb24', threads=1)
    except TypeError:  # older PyAV has one thread anyway
        converted = LOCAL.reformatter.reformat(frame, format='rgb24')
    image: np.ndarray = converted.to_ndarray()
    return image


def turned(path: str, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The IMAGE by a display matrix, which begins a, b, 0, c, d: x' = a x + c y, y' = b x + d y. Raises InputError."""
    large = np.abs(matrix[:5]) > np.abs(matrix[:5]).max() / 100
    a, b, _, c, d = np.sign(matrix[:5]) * large
    if b and c and not a and not d:
        image, a, d = image.swapaxes(0, 1), c, b
    elif b or c:
        raise InputError(f'{path}: its display matrix turns it by an angle that is no multiple of 90 degrees; turn it '
                         'for good, as by ffmpeg -i IN OUT')
    return np.ascontiguousarray(image[::-1 if d < 0 else 1, ::-1 if a < 0 else 1])
