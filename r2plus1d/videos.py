# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The videos of a prediction: which there are, into which windows long ones are cut, and their samples.

    videos = find_videos(['clips/', 'more.txt'], names)      # or videos_of_test_split(cfg)
    decoder = Decoder(cfg, 'float32', are_files=True)
    for video in videos:
        for task in tasks_of(video, every=10):
            sample, facts = decoder.decode(task)

A task is what one sample is made of: a video, or one window of it. A damaged video is found out by decoding it, so
nothing here opens a video before its turn.
"""
from __future__ import annotations

import math
import os
import shlex
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.container import SAME_TIME, Index
from r2plus1d.data import Samples, Videos, listed_videos, video_files
from r2plus1d.inference import Facts, Task, Video, Window
from r2plus1d.run import InputError, log
from r2plus1d.store import check_regular_file
from r2plus1d.video_file import FEWEST_FRAMES, read_index

VIDEO_ENDINGS = (
    '.3gp', '.apng', '.asf', '.avi', '.divx', '.f4v', '.flv', '.gif', '.h264', '.h265', '.hevc', '.m2ts', '.m4v',
    '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.mts', '.mxf', '.ogv', '.ts', '.vob', '.webm', '.webp', '.wmv')


# ---- which videos there are ----------------------------------------------------------------------------


def find_videos(paths: Sequence[str], names: Sequence[str]) -> List[Video]:
    """The videos of PATHS: video files, folders and text lists. Each video is there once. NAMES: of the classes."""
    numbers = {name: number for number, name in enumerate(names)}
    videos: Dict[str, Video] = {}
    for path in paths:
        if names_one_video(path):
            if os.path.exists(path) and not os.path.isfile(path):
                check_regular_file(path)  # it says what it is instead
            found = [Video(path)]
        elif os.path.isdir(path):
            found = videos_in_folder(path, numbers)
        else:
            found = read_video_list(path, numbers)
        for video in found:
            known = videos.setdefault(video.path, video)
            if known.label != video.label:
                raise InputError(f'{path}: {video.path} is there twice, with different labels')
    return list(videos.values())


def names_one_video(path: str) -> bool:
    """Whether a path of find_videos() is that of a video, not of a folder or a list."""
    return not os.path.isdir(path) and not path.endswith('.txt')


def videos_in_folder(folder: str, numbers: Dict[str, int]) -> List[Video]:
    """The video files in a folder and in the folders in it, sorted. Raises InputError for none.

    A folder in it that has the name of a class gives its videos that label. NUMBERS: of the classes, by name.
    """
    found = []
    for parent, names in folders_in(folder):
        label = None if parent == folder else numbers.get(os.path.basename(parent))
        found += [Video(os.path.join(parent, name), label) for name in names if name.lower().endswith(VIDEO_ENDINGS)]
    if not found:
        raise InputError(f'{folder}: has no video files, whose names would end with {" ".join(VIDEO_ENDINGS)}')
    return found


def folders_in(folder: str) -> Iterator[Tuple[str, List[str]]]:
    """(path, names of the files in it) of a folder and all in it, sorted. Links are followed, each folder once."""
    seen = set()

    def say(error: OSError) -> None:
        log(f'{error.filename}: cannot be read: {error.strerror}; its videos are left out')

    for parent, folders, names in os.walk(folder, followlinks=True, onerror=say):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield parent, sorted(names)


def read_video_list(path: str, numbers: Dict[str, int]) -> List[Video]:
    """The videos of the lines of a text file: "path" or "path label", with a path that has spaces in quotes.

    A label is the name of a class or its number, counted from 0 as in mmaction2's lists. Paths are relative to the
    folder in which the script is run.
    """
    check_regular_file(path)
    try:
        with open(path, encoding='utf-8-sig') as f:
            lines = f.read().split('\n')
    except UnicodeDecodeError:
        raise InputError(f'{path}: not UTF-8; save it as UTF-8')
    videos = []
    for number, line in enumerate(lines, 1):
        place = f'{path}: line {number}'
        try:
            fields = shlex.split(line)
        except ValueError as e:
            raise InputError(f'{place}: {e}; put a path with spaces in quotes')
        if '\0' in line:
            raise InputError(f'{place} holds a zero byte; save the list as UTF-8 text')
        if len(fields) > 2:
            raise InputError(f'{place} has {len(fields)} fields, expected "path" or "path label"; put a path with '
                             'spaces in quotes')
        if fields:
            videos.append(Video(fields[0], read_label(fields[1], numbers, place) if len(fields) == 2 else None))
    if not videos:
        raise InputError(f'{path}: lists no video')
    return videos


def read_label(text: str, numbers: Dict[str, int], place: str) -> int:
    """The number of the class that TEXT names. NUMBERS: by name. PLACE: where the text stands, for the message."""
    is_number = text.isdecimal() and text.isascii()
    named = numbers.get(text)
    if named is not None and is_number and named != int(text):
        raise InputError(f'{place}: "{text}" is the name of class {named}, from 0 on, and the number of another one; '
                         'give the classes of --classes names that are no numbers')
    if named is None and not is_number:
        raise InputError(f'{place}: "{text}" is neither a class of --classes nor the number of one, from 0 on')
    return int(text) if named is None else named


def videos_of_test_split(cfg: Any) -> List[Video]:
    """The videos of the config's data.test."""
    listed = listed_videos(cfg, cfg.data.test)
    if not listed.infos:
        raise InputError(f'{listed.list_file}: lists no video')
    return [Video(*video) for video in zip(listed.names, listed.labels, listed.infos)]


# ---- windows of long videos ----------------------------------------------------------------------------


def tasks_of(video: Video, every: Optional[float], allow_damaged: bool = False) -> Iterator[Task]:
    """The tasks of a video: one, or one for each EVERY seconds of it. The rest at the end belongs to the last one."""
    if every is None:
        yield Task(video)
        return
    try:
        index = read_index(video.path, allow_damaged)
        count = count_windows(video.path, index, every)
    except InputError as e:
        yield Task(video, fault=e)
        return
    for i in range(count):
        end = index.duration_s if i == count - 1 else (i + 1) * every
        yield Task(video, Window(i, count, round(i * every, 3), round(end, 3)))


def count_windows(path: str, index: Index, every: float) -> int:
    """Into how many windows of EVERY seconds a video is cut, so that the last one has FEWEST_FRAMES or more.

    Raises InputError where the others would not have them on the average: time stamps may be years apart.
    """
    frames = len(index.times)
    if not index.duration_s:
        raise InputError(f'{path}: does not say how many frames a second it has, which --every needs')
    count = (float(index.times[-FEWEST_FRAMES]) + SAME_TIME) / every + 1
    if count > 2 and FEWEST_FRAMES * int(min(count, frames)) > frames:
        raise InputError(f'{path}: {frames} frames in {index.duration_s:g} s, and --every {every:g} is less than two '
                         'frames')
    return int(count)


# ---- samples -------------------------------------------------------------------------------------------


class Decoder:
    """Makes the sample of a task by the config's test pipeline. ARE_FILES: it begins with video files, not a list."""

    def __init__(self, cfg: Any, dtype: str, are_files: bool) -> None:
        self.samples = Samples(cfg, dtype, Videos([], are_files=are_files))

    def decode(self, task: Task) -> Tuple[np.ndarray, Facts]:
        """The sample of a task and the facts of its video. Raises InputError, which names the video."""
        if task.fault:
            raise task.fault
        video, window = task.video, task.window
        span = None
        if window:  # the last one goes to the last frame, whose end is rounded
            span = window.start_s, math.inf if window.number == window.count - 1 else window.end_s
        decoded = self.samples.pipeline.run(video.info or video_files([video.path]).infos[0], span)
        duration_s = round(decoded.index.duration_s, 3) or None if decoded.index else None
        return self.samples.to_array(decoded.results, video.path), Facts(decoded.frames, duration_s)
