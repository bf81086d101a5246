# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""From a config of mmaction2 to samples: reading configs and lists, and what the test pipeline makes of a video.

    cfg = read_config('r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
    label, sample = Samples(cfg)[0]                        # first video of the test split
    _, sample = Samples(cfg, videos=video_files(['clip.avi']))[0]    # a video file, without a list

mmaction2 reads the lists. r2plus1d/frames.py runs the test pipeline; here is a fast path for its end.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np

from r2plus1d.bins import THREE_CROPS, describe_shape
from r2plus1d.frames import Pipeline, Step, VideoInfo, name_of
from r2plus1d.lists import check_list
from r2plus1d.openmmlab import build_dataset, import_mmcv
from r2plus1d.run import InputError, explain_missing, one_line

PAGE = 4096  # bytes; writing past the page cache needs memory that begins at a page
VIEWS_OF_CROPS = {'CenterCrop': 1, 'ThreeCrop': 3, 'TenCrop': 10}  # mmaction2's steps
FAST_END = ['Normalize', 'FormatShape', 'Collect', 'ToTensor']
KEEP_SHAPE = {*FAST_END, 'Flip'}


# ---- configs -----------------------------------------------------------------------------------------


def read_config(path: str, options: Optional[Sequence[str]] = ()) -> Any:
    """The mmcv.Config in a file, changed by OPTIONS: texts like data.test.ann_file=list.txt, of --cfg-options.

    Raises InputError unless it is a config with a test pipeline.
    """
    mmcv = import_mmcv()
    if not os.path.isfile(path):
        raise InputError(f'{path}: no such file{explain_missing(path)}')
    namespace = argparse.Namespace()
    try:
        cfg = mmcv.Config.fromfile(path)
        mmcv.DictAction([], dest='options')(None, namespace, options or ())
        cfg.merge_from_dict(namespace.options)
        steps = cfg.data.test.pipeline
    except Exception as e:  # a config is Python code: it can raise anything
        raise InputError(f'{path}: not a config with data.test: {type(e).__name__}: {one_line(e)}')
    if not steps:
        raise InputError(f'{path}: its data.test has no pipeline')
    return cfg


def shape_of_config(cfg: Any) -> Optional[List[int]]:
    """The shape of a sample by the test pipeline of a config; None where the pipeline alone does not tell it.

    A pipeline without crops takes frames of any size. The frame_size of its config says of which.
    """
    sampling = None
    size = cfg.get('frame_size')  # width, height
    crops = 1
    for step in cfg.data.test.pipeline:
        if step['type'] == 'SampleFrames':
            sampling = step
        elif step['type'] in VIEWS_OF_CROPS:
            crops = VIEWS_OF_CROPS[step['type']]
            size = step['crop_size']
        elif step['type'] not in KEEP_SHAPE and 'Init' not in step['type'] and 'Decode' not in step['type']:
            size = cfg.get('frame_size')  # of the frames after Resize
            crops = 1
    if sampling is None or size is None:
        return None
    width, height = (size, size) if isinstance(size, int) else size
    return [crops * sampling.get('num_clips', 1), 3, sampling['clip_len'], height, width]


# ---- videos ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Videos:
    """What a pipeline begins with for each video: mmaction2's dicts. LIST_FILE: where they come from.

    ARE_FILES: they are video files, whatever the config's list would name.
    """

    infos: List[VideoInfo]
    list_file: Optional[str] = None
    are_files: bool = False

    @property
    def names(self) -> List[str]:
        return [name_of(info) for info in self.infos]

    @property
    def labels(self) -> List[int]:
        return [int(info['label']) for info in self.infos]


def listed_videos(cfg: Any, data: Any) -> Videos:
    """The videos of the list that DATA names (cfg.data.test or like it), as mmaction2's dataset describes them."""
    check_list(cfg, data)
    try:
        dataset = build_dataset(dict(data, pipeline=[]))
        return Videos([dataset[i] for i in range(len(dataset))], dataset.ann_file)
    except Exception as e:  # mmaction2 checks little
        raise InputError(f'{cfg.filename}: its data set cannot be read: {type(e).__name__}: {one_line(e)}')


def video_files(paths: Sequence[str]) -> Videos:
    """Video files, which have no labels."""
    return Videos([dict(filename=path, label=-1, start_index=0, modality='RGB') for path in paths], are_files=True)


class Clips:
    """The test videos of a config as far as the decoder, for whoever wants to see the frames.

    An item is (frame numbers, frames): the frames of one clip as RGB arrays of height x width x 3, uint8.
    """

    def __init__(self, cfg: Any, videos: Optional[Videos] = None):
        steps = cfg.data.test.pipeline
        decoders = [i for i, step in enumerate(steps) if step['type'].endswith('Decode')]
        if not decoders:
            raise InputError(f'{cfg.filename}: its data.test cannot be read: its pipeline has no decoder')
        self.videos = videos or listed_videos(cfg, cfg.data.test)
        self.names = self.videos.names
        self.labels = self.videos.labels
        self.pipeline = Pipeline(cfg, steps[:decoders[-1] + 1], self.videos.are_files)

    def __getitem__(self, index: int) -> Tuple[List[int], List[np.ndarray]]:
        clip = self.pipeline.run(self.videos.infos[index]).results
        frames = [np.asarray(image) for image in clip['imgs'][:clip['clip_len']]]
        return clip['frame_inds'].ravel().tolist()[:len(frames)], frames


def empty_at_page(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """np.empty(SHAPE, DTYPE) that begins at a page of memory, as writing past the page cache wants it."""
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + PAGE, np.uint8)
    start = -buffer.ctypes.data % PAGE
    return buffer[start:start + size].view(dtype).reshape(shape)


class Samples:
    """The test videos of a config, as its test pipeline makes them.

    An item is (label, array of crops x 3 x frames x height x width). With dtype float32 the array is byte for byte
    what the pipeline gives. With uint8 it is what the pipeline has before Normalize, in the same layout, for a model
    that normalizes (r2plus1d_optimize.py --uint8_input).

    Normalize and FormatShape take longer than decoding does; one table look-up from byte to float32, straight into the
    result, does the work of both. A pipeline with another end is run as it is.

    All samples have one shape: that of the config's frame_size where there is one, else that of the first sample which
    was taken. Raises InputError.
    """

    def __init__(self, cfg: Any, dtype: str = 'float32', videos: Optional[Videos] = None):
        """VIDEOS: others than the config's test split; see of_training_split() and video_files()."""
        steps = cfg.data.test.pipeline
        self.videos = videos or listed_videos(cfg, cfg.data.test)
        self.list_file = self.videos.list_file
        self.names = self.videos.names
        self.labels = self.videos.labels
        self.dtype = np.dtype(dtype)
        self.config = cfg.filename
        self.shape = shape_of_config(cfg) if cfg.get('frame_size') else None
        self.tables = None
        if self.has_fast_end(steps):
            self.tables = self.make_tables(steps[-4]['mean'], steps[-4]['std'])
            steps = steps[:-len(FAST_END)]
        elif dtype == 'uint8':
            found = ', '.join(step['type'] for step in steps[-4:])
            raise InputError(f'{cfg.filename}: --dtype uint8 needs a test pipeline that ends with Normalize, '
                             f'FormatShape (NCTHW), Collect, ToTensor; this one ends with {found}')
        self.pipeline = Pipeline(cfg, steps, self.videos.are_files)

    @classmethod
    def of_training_split(cls, cfg: Any, dtype: str = 'float32') -> Samples:
        """The videos of the config's data.train, through the test pipeline."""
        train = cfg.data.get('train')
        while train and 'dataset' in train:  # RepeatDataset
            train = train.dataset
        if not train or not train.get('ann_file'):
            raise InputError(f'{cfg.filename}: has no data.train with an ann_file to calibrate on')
        return cls(cfg, dtype, listed_videos(cfg, train))

    @staticmethod
    def has_fast_end(steps: Sequence[Step]) -> bool:
        if [step['type'] for step in steps[-4:]] != FAST_END:
            return False
        return steps[-3]['input_format'] == 'NCTHW' and not steps[-4].get('to_bgr')

    def make_tables(self, mean: Sequence[float], std: Sequence[float]) -> List[np.ndarray]:
        """Three arrays, one a channel: the value in the sample for each value of a byte."""
        values = np.repeat(np.arange(256, dtype=self.dtype)[:, None, None], 3, axis=2)
        if self.dtype == np.float32:
            import_mmcv().imnormalize_(values, np.array(mean, np.float32), np.array(std, np.float32), to_rgb=False)
        return [np.ascontiguousarray(values[:, :, channel].T) for channel in range(3)]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Tuple[int, np.ndarray]:
        results = self.pipeline.run(self.videos.infos[index]).results
        return int(results.get('label', self.labels[index])), self.to_array(results, self.names[index])

    def to_array(self, results: VideoInfo, name: str) -> np.ndarray:
        """The sample of what the pipeline gives for the video NAME."""
        if self.tables is None:
            whole: np.ndarray = np.ascontiguousarray(results['imgs'], self.dtype)
            self.check_shape(name, whole.shape, results)
            return whole
        images = results['imgs']  # height x width x RGB each; all frames of the first crop come first
        frames = results['clip_len']
        shape = (len(images) // frames, 3, frames, *images[0].shape[:2])
        self.check_shape(name, shape, results)
        sample: np.ndarray = empty_at_page(shape, self.dtype)
        for i, image in enumerate(images):
            planes = sample[i // frames, :, i % frames]
            for plane, channel, table in zip(planes, cv2.split(image), self.tables):
                cv2.LUT(channel, table, plane)
        return sample

    def check_shape(self, name: str, shape: Sequence[int], results: VideoInfo) -> None:
        """Raise InputError unless the sample of the video NAME has the SHAPE of all. RESULTS: of its pipeline."""
        self.shape = self.shape or list(shape)
        if list(shape) != self.shape:
            height, width = results.get('original_shape', (0, 0))
            size = f' is {width} x {height} and' if height else ''
            raise InputError(f'{name}:{size} gives {describe_shape(shape)}, where {self.config} takes '
                             f'{describe_shape(self.shape)}; for videos of any shape there are three crops: '
                             f'{THREE_CROPS}, with a model for them')
