# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A test pipeline of mmaction2's, with our decoding in it.

    pipeline = Pipeline(cfg, cfg.data.test.pipeline, are_files=True)
    results = pipeline.run({'filename': 'clip.avi', 'label': -1, 'start_index': 0, 'modality': 'RGB'}).results

mmaction2's steps choose the frames, and resize, crop and flip them. Decoding between them is done by frames.py and
video_file.py, which refuse damage. mmaction2 and PyTorch are imported when a pipeline is made: the import takes more
than a second, in which another thread can load the model (start_engines() of r2plus1d/engines.py).
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from r2plus1d.container import Index
from r2plus1d.frames import read_frames
from r2plus1d.run import InputError, one_line
from r2plus1d.video_file import FEWEST_FRAMES, read_clip

Info = Dict[str, Any]  # mmaction2's dict, which goes from step to step
Step = Dict[str, Any]  # of a config
Span = Tuple[float, float]  # seconds of a video: from, to (not included)


def name_of(info: Info) -> str:
    return str(info.get('frame_dir') or info['filename'])


# Arguments with which mmaction2's steps give the same frames as without. With others, frames come from an archive or
# a database; those steps stay mmaction2's, which checks less.
SAME_FRAMES = {'type', 'num_threads', 'multi_thread'}
VIDEO_DECODERS = {'OpenCVDecode', 'PyAVDecode', 'DecordDecode', 'VideoFileDecode'}  # the last one is own_data.py's


@dataclass(frozen=True)
class Decoded:
    """What the pipeline gives for a video. INDEX: of a video file. FRAMES: how many the sample was chosen from."""

    results: Info
    frames: Optional[int] = None
    index: Optional[Index] = None


class Pipeline:
    """Steps of a test pipeline, in three parts: what chooses the numbers of the frames, decoding, and the rest."""

    def __init__(self, cfg: Any, steps: Sequence[Step], are_files: bool):
        from mmaction.datasets.pipelines import Compose
        cv2.setNumThreads(0)  # several videos are resized at a time, each in the thread or process that asks for it
        self.config = cfg.filename
        self.allow_damaged = bool(cfg.get('allow_damaged', False))
        self.source, sampling, rest = split_steps(steps, are_files)
        self.sample = Compose(sampling)
        self.finish = Compose(rest)

    def run(self, info: Info, span: Optional[Span] = None) -> Decoded:
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
            return Decoded(results, info.get('total_frames'))
        except InputError:
            raise
        except Exception as e:  # mmaction2's steps raise anything
            raise InputError(f'{name_of(info)}: no clip can be made of this video: {one_line(e)}')

    def run_on_file(self, info: Info, span: Optional[Span]) -> Decoded:
        results: Info = {}
        frames = 0

        def choose(index: Index) -> List[int]:
            nonlocal results, frames
            first, end = index.between(*span) if span else (0, len(index.times))
            frames = end - first
            if frames < FEWEST_FRAMES:
                seconds = 'from {:g} s to {:g} s'.format(*span) if span else 'at all'
                raise InputError(f'{name_of(info)}: shows {frames} frame{"" if frames == 1 else "s"} {seconds}, '
                                 f'expected {FEWEST_FRAMES} or more')
            results = self.sample(dict(info, start_index=first, total_frames=frames))
            return [int(number) for number in results['frame_inds'].ravel()]

        clip = read_clip(name_of(info), choose, self.allow_damaged)
        return Decoded(self.finish(with_images(results, clip.images)), frames, clip.index)


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


def with_images(results: Info, images: Dict[int, np.ndarray]) -> Info:
    """RESULTS as mmaction2's decoders leave them, with the IMAGES of their frame numbers."""
    results['frame_inds'] = results['frame_inds'].ravel()
    unused = dict(images)
    # a step behind may change an image where it is, so that no two places may share one
    results['imgs'] = [unused.pop(number) if number in unused else images[number].copy()
                       for number in results['frame_inds'].tolist()]
    results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
    return results
