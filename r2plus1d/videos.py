# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The videos of a prediction: which there are, into which windows long ones are cut, and their samples.

    videos = find_videos(['clips/', 'more.txt'], names)      # or videos_of_test_split(cfg)
    decoder = Decoder(cfg, 'float32')
    for video in videos:
        for task in tasks_of(video, every=10):
            sample, facts = decoder.decode(task)

A task is what one sample is made of: a video, or one window of it. A damaged video is found out by decoding it, so
nothing here opens a video before its turn.
"""
import math
import os
import shlex
import stat
from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import cv2
import numpy as np

from r2plus1d.data import Samples, listed_videos
from r2plus1d.frames import check_container, check_video_file, released, steps_for_video_files, strict_steps
from r2plus1d.run import InputError, one_line
from r2plus1d.store import check_regular_file

VIDEO_ENDINGS = ('.avi', '.mp4', '.m4v', '.mov', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv', '.flv', '.ts', '.3gp')
FEWEST_FRAMES = 2  # one frame has no motion
MOST_PIXELS = 4096 * 2304  # of a frame: 4K. The frames of one clip in 8K take 1.6 GB while they are decoded


@dataclass(frozen=True)
class Video:
    """A video to predict. LABEL: None where it is unknown. INFO: mmaction2's description; None for a file."""

    path: str
    label: Optional[int] = None
    info: Optional[Dict[str, Any]] = None


@dataclass(frozen=True)
class Window:
    """The NUMBER-th, from 0 on, of COUNT windows of a video: from START_S to END_S (not included), in seconds."""

    number: int
    count: int
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Task:
    """What one sample is made of: a video, or one window of it. FAULT: why there is nothing to decode."""

    video: Video
    window: Optional[Window] = None
    fault: Optional[InputError] = None


@dataclass(frozen=True)
class Facts:
    """What was counted of a video that was decoded, by the time stamps of its frames. WINDOW_FRAMES: of the window."""

    frames: Optional[int] = None
    duration_s: Optional[float] = None
    window_frames: Optional[int] = None


# ---- which videos there are ----------------------------------------------------------------------------


def find_videos(paths, names):
    """[Video] of PATHS: video files, folders and text lists. Each video is there once. NAMES: of the classes."""
    videos = {}
    for path in paths:
        if names_one_video(path):
            mode = os.stat(path).st_mode
            if not stat.S_ISREG(mode):
                check_regular_file(path)  # it says what it is instead
            found = [Video(path)]
        elif os.path.isdir(path):
            found = [Video(file) for file in videos_in_folder(path)]
        else:
            found = read_video_list(path, names)
        for video in found:
            known = videos.setdefault(video.path, video)
            if known.label != video.label:
                raise InputError(f'{path}: {video.path} is there twice, with different labels')
    return list(videos.values())


def names_one_video(path):
    """Whether a path of find_videos() is that of a video, not of a folder or a list."""
    return not os.path.isdir(path) and not path.endswith('.txt')


def videos_in_folder(folder):
    """The paths of the video files in a folder and in the folders in it, sorted. Raises InputError for none."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        found += [os.path.join(parent, name) for name in sorted(names) if name.lower().endswith(VIDEO_ENDINGS)]
    if not found:
        raise InputError(f'{folder}: has no video files, whose names would end with {" ".join(VIDEO_ENDINGS)}')
    return found


def read_video_list(path, names):
    """[Video] of the lines of a text file: "path" or "path label", with a path that has spaces in quotes.

    A label is the name of a class or its number, counted from 0 as in mmaction2's lists. Paths are relative to the
    folder in which the script is run.
    """
    check_regular_file(path)
    try:
        with open(path, encoding='utf-8-sig') as f:
            lines = f.read().split('\n')
    except UnicodeDecodeError:
        raise InputError(f'{path}: not UTF-8; save it as UTF-8')
    numbers = {name: number for number, name in enumerate(names)}
    videos = []
    for number, line in enumerate(lines, 1):
        try:
            fields = shlex.split(line)
        except ValueError as e:
            raise InputError(f'{path}: line {number}: {e}; put a path with spaces in quotes')
        if len(fields) > 2:
            raise InputError(f'{path}: line {number} has {len(fields)} fields, expected "path" or "path label"; '
                             'put a path with spaces in quotes')
        if fields:
            label = read_label(fields[1], numbers, f'{path}: line {number}') if len(fields) == 2 else None
            videos.append(Video(fields[0], label))
    if not videos:
        raise InputError(f'{path}: lists no video')
    return videos


def read_label(text, numbers, place):
    """The number of the class that TEXT names. NUMBERS: by name. PLACE: where the text stands, for the message."""
    if text in numbers:
        return numbers[text]
    if text.isdecimal() and text.isascii():
        return int(text)
    raise InputError(f'{place}: "{text}" is neither a class of --classes nor the number of one, from 0 on')


def videos_of_test_split(cfg):
    """[Video] of the config's data.test."""
    dataset = listed_videos(cfg, cfg.data.test, cfg.data.test.pipeline)
    dataset.pipeline = lambda results: results  # items are now what the pipeline begins with
    infos = [dataset[i] for i in range(len(dataset))]
    if not infos:
        raise InputError(f'{dataset.ann_file}: lists no video')
    return [Video(info.get('frame_dir') or info['filename'], int(info['label']), info) for info in infos]


# ---- windows of long videos ----------------------------------------------------------------------------


def tasks_of(video, every, allow_damaged=False):
    """[Task] of a video: one, or one for each EVERY seconds of it. A rest of less than two frames is not left over."""
    if every is None:
        return [Task(video)]
    try:
        check_container(video.path, allow_damaged)
        with released(cv2.VideoCapture(video.path)) as capture:
            frames, fps = read_facts(video.path, capture)
        if not fps:
            raise InputError(f'{video.path}: does not say how many frames a second it has, which --every needs')
        step = every * fps
        if step < FEWEST_FRAMES:
            raise InputError(f'{video.path}: {fps:g} frames a second, and --every {every:g} is less than two frames')
    except InputError as e:
        return [Task(video, fault=e)]
    count = max(1, math.ceil((frames - FEWEST_FRAMES + 1) / step))
    bounds = [round(i * step) for i in range(count)] + [frames]
    return [Task(video, Window(i, count, round(bounds[i] / fps, 3), round(bounds[i + 1] / fps, 3)))
            for i in range(count)]


def read_facts(path, capture):
    """(number of frames, frames a second or None) of an open cv2.VideoCapture. Raises InputError for what is no video.
    """
    frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if frames < 1:
        raise InputError(f'{path}: not a video that OpenCV can read')
    if frames < FEWEST_FRAMES:
        raise InputError(f'{path}: has {frames} frame, expected {FEWEST_FRAMES} or more')
    if width * height > MOST_PIXELS:
        raise InputError(f'{path}: {width}x{height} pixels a frame; the most is 4K (4096x2304): make it smaller, as by '
                         'ffmpeg -i IN -vf scale=-2:1080 OUT')
    return frames, fps if 0 < fps < math.inf else None


# ---- samples -------------------------------------------------------------------------------------------


class Pipeline:
    """A pipeline with the part of the interface of mmaction2's datasets that Samples uses, and no videos."""

    ann_file = None
    video_infos = ()

    def __init__(self, steps):
        from mmaction.datasets.pipelines import Compose
        self.pipeline = Compose(steps)


class Decoder:
    """Makes the sample of a task: by the config's test pipeline, which begins with frames or with a video file."""

    def __init__(self, cfg, dtype):
        self.cfg = cfg
        self.dtype = dtype
        self.samples = {}

    def samples_for(self, is_file):
        """The Samples with the pipeline for video files, or for what the config's list names."""
        if is_file not in self.samples:
            steps = self.cfg.data.test.pipeline
            if is_file:
                steps = steps_for_video_files(steps)
            pipeline = Pipeline(strict_steps(steps, self.cfg.get('allow_damaged', False)))
            samples = Samples(self.cfg, self.dtype, pipeline)
            transforms = samples.dataset.pipeline.transforms
            for i, transform in enumerate(transforms):
                if type(transform).__name__ == 'OpenCVInit':
                    transforms.insert(i + 1, look_at_video)
                    break
            self.samples[is_file] = samples
        return self.samples[is_file]

    def decode(self, task: Task) -> Tuple[np.ndarray, Facts]:
        """The sample of a task and the facts of its video. Raises InputError, which names the video."""
        if task.fault:
            raise task.fault
        path, info = task.video.path, task.video.info
        samples = self.samples_for(info is None)
        if info is None:
            start = {'filename': path, 'label': -1, 'start_index': 0, 'modality': 'RGB'}
        else:
            start = dict(info, facts=Facts(info.get('total_frames')))
        start['window'] = task.window
        try:
            results = samples.dataset.pipeline(start)
        except InputError:
            raise
        except Exception as e:
            if info is None:
                check_video_file(path, self.cfg.get('allow_damaged', False))  # it names the usual faults
            raise InputError(f'{path}: no clip can be made of this video: {one_line(e)}')
        facts = results.get('facts', start.get('facts', Facts()))
        if task.window and facts.window_frames is None:
            raise InputError(f'{self.cfg.filename}: --every needs a test pipeline that begins with OpenCVInit')
        return samples.to_array(results, path), facts


def look_at_video(results):
    """A step of a pipeline behind OpenCVInit: note the facts of the video, and go on with the task's window of it."""
    frames, fps = read_facts(results['filename'], results['video_reader'].vcap)
    window = results['window']
    window_frames = None
    if window is not None:
        results['start_index'] = round(window.start_s * fps)
        results['total_frames'] = window_frames = round(window.end_s * fps) - results['start_index']
    results['facts'] = Facts(frames, round(frames / fps, 3) if fps else None, window_frames)
    return results
