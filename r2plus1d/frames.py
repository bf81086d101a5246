# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The frames of a clip from a folder of image files, as RGB. Damaged ones are refused.

    images = read_frames(results)                  # results: as mmaction2's SampleFrames leaves them
    image = read_frame('img_00001.jpg')

Decoders fill in what is missing: OpenCV makes the lower half of half a JPEG grey. A sample made of that looks like any
other and gives a wrong score without a word. simplejpeg takes a warning of libjpeg for an error. What it cannot see: a
byte changed inside of an image that still decodes without a warning (JPEG has no checksums). Frames of video files are
in r2plus1d/video_file.py.
"""
from __future__ import annotations

import contextlib
import os
from typing import Any, Dict

import cv2
import numpy as np
import simplejpeg

from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import check_regular_file

JPEG_START = b'\xff\xd8\xff'
PNG_START = b'\x89PNG'
PNG_END = b'IEND\xae\x42\x60\x82'  # the last chunk and its checksum
# The Huffman table for luminance that the JPEG standard gives as its example (table K.3). OpenCV and most others use
# it. Zero bytes are coefficients of -1 in it, so a long run of them is a hole in the file, which libjpeg reads without
# a warning. Tables that were optimized for a picture of one colour have such runs in good files.
STANDARD_TABLE = bytes.fromhex('00 00010501010101010100000000000000 000102030405060708090a0b')
SCAN = b'\xff\xda'  # what the data of pixels begins with, and does not contain
HOLE = bytes(64)
REMEDY = 'extract the frames of its video again'


def read_frames(results: Dict[str, Any], allow_damaged: bool = False) -> Dict[int, np.ndarray]:
    """The frames of a video's folder with the numbers frame_inds, by number: the pixels of mmaction2's RawFrameDecode.

    Raises InputError, which names the file, for one that is missing, no plain file, not whole, or of another size than
    the first frame of the clip, and where the folder has another number of frames than the list says. ALLOW_DAMAGED:
    says which frames the decoder mended, and takes them.
    """
    check_number_of_frames(results)
    images: Dict[int, np.ndarray] = {}
    for number in dict.fromkeys(results['frame_inds'].ravel().tolist()):
        path = frame_path(results, number + results.get('offset', 0))
        images[number] = read_frame(path, allow_damaged)
        check_size(path, images[number], next(iter(images.values())))
    return images


def frame_path(results: Dict[str, Any], number: int) -> str:
    return f'{results["frame_dir"]}/{results["filename_tmpl"].format(number)}'


def check_number_of_frames(results: Dict[str, Any]) -> None:
    """Raise InputError where the list says another number of frames than the folder of a video has.

    A digit that was lost or changed there gives other frames. Only the last frame and the one after it are looked for.
    """
    if results.get('offset', 0):
        return  # a part of a video
    total = results['total_frames']
    last = results['start_index'] + total - 1
    for number, expected in ((last, True), (last + 1, False)):
        path = frame_path(results, number)
        if os.path.exists(path) != expected:
            raise InputError(f'{path}: is {"missing" if expected else "there"}, and the list says {total} frames; '
                             'make the list again with build_file_list.py, or extract the frames again')


def read_frame(path: str, allow_damaged: bool = False) -> np.ndarray:
    """The image in a file: RGB array of height x width x 3. Raises InputError unless the file is whole.

    ALLOW_DAMAGED: an image that the decoder warns of is taken as the decoder mends it.
    """
    check_regular_file(path)
    try:
        with open(path, 'rb', buffering=0) as f:
            content = f.read()
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e.strerror}')
    if not content.startswith(JPEG_START):
        if content.startswith(PNG_START) and not content.rstrip(b'\0').endswith(PNG_END):
            raise InputError(f'{path}: cut off, or its end is damaged; {REMEDY}')
        return decode_by_opencv(path, content)
    try:
        return decode_jpeg(path, content)
    except ValueError as e:
        if not allow_damaged:
            raise InputError(f'{path}: damaged: {one_line(e)}; {REMEDY}')
        image = decode_by_opencv(path, content)
        log(f'{path}: the decoder warns: {one_line(e)}; taken')
        return image


def decode_jpeg(path: str, content: bytes) -> np.ndarray:
    """The image as OpenCV gives it. Raises ValueError where libjpeg warns, and for a hole."""
    if STANDARD_TABLE in content and HOLE in content[content.rfind(SCAN):].rstrip(b'\0'):
        raise ValueError('zeros in the middle')
    *_, colors, _ = simplejpeg.decode_jpeg_header(content)
    if colors in ('CMYK', 'YCCK'):
        simplejpeg.decode_jpeg(content, 'CMYK')
        return decode_by_opencv(path, content)
    image: np.ndarray = simplejpeg.decode_jpeg(content, 'RGB')
    if content.find(b'Exif', 0, 4096) >= 0:  # OpenCV turns an image as a camera's header says
        return decode_by_opencv(path, content)
    return image


def decode_by_opencv(path: str, content: bytes) -> np.ndarray:
    image = None
    with contextlib.suppress(cv2.error):  # for instance more pixels than OpenCV takes
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f'{path}: not an image that OpenCV can read; {REMEDY}')
    rgb: np.ndarray = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image)
    return rgb


def check_size(path: str, frame: np.ndarray, first: np.ndarray) -> None:
    if frame.shape != first.shape:
        found, expected = (f'{shape[1]}x{shape[0]}' for shape in (frame.shape, first.shape))
        raise InputError(f'{path}: {found}, and the frames before are {expected}; {REMEDY}')
