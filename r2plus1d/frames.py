# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A test pipeline of mmaction2's, with our decoding in it, which refuses damage.

    pipeline = Pipeline(cfg, cfg.data.test.pipeline, are_files=True)
    results = pipeline.run({'filename': 'clip.avi', 'label': -1, 'start_index': 0, 'modality': 'RGB'}).results

mmaction2's steps choose the frames, and resize, crop and flip them. Frames of video files come from video_file.py,
those of a folder of image files from here.

Decoders fill in what is missing: OpenCV makes the lower half of half a JPEG grey. A sample made of that looks like any
other and gives a wrong score without a word. simplejpeg takes a warning of libjpeg for an error. What it cannot see: a
byte changed inside of an image that still decodes without a warning (JPEG has no checksums).
"""
from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import simplejpeg

from r2plus1d.container import Index
from r2plus1d.openmmlab import compose
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import check_regular_file
from r2plus1d.video_file import FEWEST_FRAMES, read_clip

VideoInfo = Dict[str, Any]  # mmaction2's dict, which goes from step to step
Step = Dict[str, Any]  # of a config
Span = Tuple[float, float]  # seconds of a video: from, to (not included)

# Arguments with which mmaction2's steps give the same frames as without. With others, frames come from an archive or
# a database; those steps stay mmaction2's, which checks less.
SAME_FRAMES = {'type', 'num_threads', 'multi_thread'}
VIDEO_DECODERS = {'OpenCVDecode', 'PyAVDecode', 'DecordDecode', 'VideoFileDecode'}  # the last one is own_data.py's
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


def name_of(info: VideoInfo) -> str:
    return str(info.get('frame_dir') or info['filename'])


# ---- images ------------------------------------------------------------------------------------------


def read_frames(results: VideoInfo, allow_damaged: bool = False) -> Dict[int, np.ndarray]:
    """The frames of a video's folder with the numbers frame_inds, by number: the pixels of mmaction2's RawFrameDecode.

    RESULTS: as mmaction2's SampleFrames leaves them. Raises InputError, which names the file, for one that is missing,
    no plain file, not whole, or of another size than the first frame of the clip, and where the folder has another
    number of frames than the list says: a digit lost there gives other frames. ALLOW_DAMAGED: says which frames the
    decoder mended, and takes them.
    """
    def path_of(number: int) -> str:
        return f'{results["frame_dir"]}/{results["filename_tmpl"].format(number)}'

    offset = results.get('offset', 0)
    end = results['start_index'] + results['total_frames']
    for number, expected in ((end - 1, True), (end, False)):
        if not offset and os.path.exists(path_of(number)) != expected:
            raise InputError(f'{path_of(number)}: is {"missing" if expected else "there"}, and the list says '
                             f'{results["total_frames"]} frames; make the list again with build_file_list.py, or '
                             'extract the frames again')
    images: Dict[int, np.ndarray] = {}
    for number in dict.fromkeys(results['frame_inds'].ravel().tolist()):
        path = path_of(number + offset)
        images[number] = read_frame(path, allow_damaged)
        check_size(path, images[number], next(iter(images.values())))
    return images


def read_frame(path: str, allow_damaged: bool = False) -> np.ndarray:
    """The image in a file: RGB array of height x width x 3. Raises InputError unless the file is whole.

    ALLOW_DAMAGED: an image that the decoder warns of is taken as the decoder mends it.
    """
    check_regular_file(path)
    with open(path, 'rb', buffering=0) as f:
        content = f.read()
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
    is_cmyk = colors in ('CMYK', 'YCCK')
    image: np.ndarray = simplejpeg.decode_jpeg(content, 'CMYK' if is_cmyk else 'RGB')
    if is_cmyk or content.find(b'Exif', 0, 4096) >= 0:  # OpenCV turns an image as a camera's header says
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


# ---- the pipeline -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClipResults:
    """What the pipeline gives for a video. INDEX: of a video file. FRAMES: how many the sample was chosen from."""

    results: VideoInfo
    frames: Optional[int] = None
    index: Optional[Index] = None


class Pipeline:
    """Steps of a test pipeline, in three parts: what chooses the numbers of the frames, decoding, and the rest."""

    def __init__(self, cfg: Any, steps: Sequence[Step], are_files: bool):
        cv2.setNumThreads(0)  # several videos are resized at a time, each in the thread or process that asks for it
        self.config = cfg.filename
        self.allow_damaged = bool(cfg.get('allow_damaged', False))
        self.source, sampling, rest = split_steps(steps, are_files)
        self.sample = compose(sampling)
        self.finish = compose(rest)

    def run(self, info: VideoInfo, span: Optional[Span] = None) -> ClipResults:
        """The results for the video that INFO describes. SPAN: only the frames in these seconds of a video file.

        Raises InputError, which names the video.
        """
        if span is not None and self.source != 'video':
            raise InputError(f'{self.config}: --every needs video files, and this test pipeline does not decode them')
        try:
            if self.source == 'video':
                return self.run_on_file(dict(info), span)
            results = self.sample(dict(info))
            if self.source == 'frames':
                results = self.finish(with_images(results, read_frames(results, self.allow_damaged)))
            return ClipResults(results, info.get('total_frames'))
        except InputError:
            raise
        except Exception as e:  # mmaction2's steps raise anything
            raise InputError(f'{name_of(info)}: no clip can be made of this video: {one_line(e)}')

    def run_on_file(self, info: VideoInfo, span: Optional[Span]) -> ClipResults:
        results: VideoInfo = {}
        frames = 0

        def choose(index: Index) -> List[int]:
            nonlocal results, frames
            first, end = index.between(*span) if span else (0, len(index.times))
            frames = end - first
            if span and frames < FEWEST_FRAMES:
                raise InputError(f'{name_of(info)}: shows {frames} frame{"" if frames == 1 else "s"} from '
                                 f'{span[0]:g} s to {span[1]:g} s, expected {FEWEST_FRAMES} or more')
            results = self.sample(dict(info, start_index=first, total_frames=frames))
            return [int(number) for number in results['frame_inds'].ravel()]

        clip = read_clip(name_of(info), choose, self.allow_damaged)
        return ClipResults(self.finish(with_images(results, clip.images)), frames, clip.index)


def split_steps(steps: Sequence[Step], are_files: bool) -> Tuple[Optional[str], List[Step], List[Step]]:
    """(what is decoded: 'frames' or 'video'; the steps before it; the steps behind it).

    None: the steps decode by themselves, in a way that is not ours.
    """
    others = [step for step in steps if not step['type'].endswith('Init')]
    for i, step in enumerate(others):
        if step['type'] == 'RawFrameDecode' and (are_files or len(step) == 1):
            return 'video' if are_files else 'frames', others[:i], others[i + 1:]
        if step['type'] in VIDEO_DECODERS and set(steps[0]) | set(step) <= SAME_FRAMES:
            return 'video', others[:i], others[i + 1:]
    return None, list(steps), []


def with_images(results: VideoInfo, images: Dict[int, np.ndarray]) -> VideoInfo:
    """RESULTS as mmaction2's decoders leave them, with the IMAGES of their frame numbers."""
    results['frame_inds'] = results['frame_inds'].ravel()
    unused = dict(images)
    # a step behind may change an image where it is, so that no two places may share one
    results['imgs'] = [unused.pop(number) if number in unused else images[number].copy()
                       for number in results['frame_inds'].tolist()]
    results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
    return results
