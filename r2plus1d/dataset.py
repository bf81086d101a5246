# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Folders of one's own videos: what each video is, and to which part of the data set it belongs.

    classes = find_classes('my_videos')
    videos = find_own_videos(classes)
    look_at_all(videos)                       # length, size and content of each, or why it is left out
    split_by_share(videos, list(classes), share=0.15, seed=0)
"""
from __future__ import annotations

import collections
import os
import random
import re
import statistics
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
import simplejpeg
from tqdm import tqdm

from r2plus1d.container import picture
from r2plus1d.own_data import PARTS
from r2plus1d.pools import decode_ahead
from r2plus1d.run import InputError
from r2plus1d.store import file_digest, naming
from r2plus1d.video_file import TAKE_IT, Damaged, VideoFile
from r2plus1d.videos import VIDEO_ENDINGS, folders_in

CLIP_FRAMES = 8  # of a shorter video a clip would repeat most of them
# The end of a name that says which part of a recording the video is: g01_c02, match part 2, match_002, 比赛第2段
PART_OF_RECORDING = re.compile(
    r'([ ._-]*(?:part|pt|clip|片段|部分|第)[ ._-]*\d+[段集]?|_c\d+|[ ._-]\d{1,3}|[ ._-]*\(\d{1,3}\))$', re.I)


@dataclass(frozen=True)
class FileFacts:
    """What was counted of a video. WIDTH, HEIGHT: as a player shows it. DIGEST: of the file."""

    frames: int
    seconds: float
    width: int
    height: int
    digest: str


@dataclass
class OwnVideo:
    """A video in a class folder. NAME: its plain one in the data set. PART: of PARTS. LEFT_OUT: why it is in none."""

    path: str
    label: int
    name: str
    facts: Optional[FileFacts] = None
    part: str = ''
    left_out: str = ''

    @property
    def stem(self) -> str:
        """The name of the folder of its frames."""
        return os.path.splitext(self.name)[0]


# ---- finding and looking -------------------------------------------------------------------------------


def find_classes(folder: str) -> Dict[str, str]:
    """{name of a class: its folder}, sorted by name. Raises InputError."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as e:
        raise InputError(f'{folder}: {e.strerror}; expected a folder with a folder of videos for each class')
    classes: Dict[str, str] = {}
    for entry in entries:
        name = ' '.join(entry.name.split())
        if not entry.is_dir() or name.startswith('.'):
            continue
        if name in classes:
            raise InputError(f'{entry.path}: is the same class as {classes[name]} but for spaces; rename one')
        if not name.isprintable():  # nor are the bytes of a name that is not UTF-8
            raise InputError(f'{entry.path}: not a name that can be printed as UTF-8; rename the folder')
        classes[name] = entry.path
    if len(classes) < 2:
        raise InputError(f'{folder}: has {len(classes)} class folders, expected 2 or more: {folder}/CLASS/VIDEO')
    return dict(sorted(classes.items()))


def find_own_videos(classes: Dict[str, str]) -> List[OwnVideo]:
    """The files in the folders of all classes. Those with other endings than videos have are left out."""
    found: List[OwnVideo] = []
    for label, (class_name, folder) in enumerate(classes.items()):
        for parent, names in folders_in(folder):
            for name in names:
                stem, ending = os.path.splitext(name)
                plain = f'label_{label}{plain_end(class_name)}/{len(found) + 1:05}{plain_end(stem)}{ending.lower()}'
                left_out = '' if ending.lower() in VIDEO_ENDINGS else 'its ending is not that of a video'
                if not name.startswith('.'):
                    found.append(OwnVideo(os.path.join(parent, name), label, plain, left_out=left_out))
    return found


def plain_end(name: str) -> str:
    """_ and what a name has of English letters and digits: mmaction2 splits the lines of a list at spaces."""
    plain = re.sub('[^A-Za-z0-9]+', '_', name).strip('_')[:60]
    return f'_{plain}' if plain else ''


def look_at_all(videos: Sequence[OwnVideo], frames: Optional[str] = None) -> None:
    """Note the facts of each video, or why it is left out. FRAMES: a folder for the frames, as JPEG files."""
    def look_at(video: OwnVideo) -> None:
        try:
            video.facts = look(video.path, frames and f'{frames}/{video.stem}')
        except InputError as e:
            video.left_out = str(e).replace(f'{video.path}: ', '', 1).replace(f'; {TAKE_IT}', '')

    new = [video for video in videos if not video.left_out]
    for _ in tqdm(decode_ahead(look_at, new), total=len(new), unit='video', desc='looking'):
        pass
    leave_out_twins(videos)


def look(path: str, frames: Optional[str] = None) -> FileFacts:
    """The facts of a video, by decoding all of it. FRAMES: a folder for its frames. Raises InputError."""
    count, size = 0, (0, 0)
    with VideoFile(path, allow_damaged=False) as video:
        index = next(video.indexes())
        try:
            for count, frame in enumerate(video.shown(), 1):
                if frames or count == 1:
                    image = picture(path, frame)
                    size = image.shape[1], image.shape[0]
                if frames:
                    write_frame(frames, count, image)
        except Damaged as e:
            raise InputError(f'{path}: the decoder reports {e} after {count} frames')
    if count < CLIP_FRAMES:
        raise InputError(f'{path}: too short: {count} frames, expected {CLIP_FRAMES} or more')
    return FileFacts(count, index.duration_s, *size, file_digest(path))


def write_frame(folder: str, number: int, image: np.ndarray) -> None:
    os.makedirs(folder, exist_ok=True)
    path = f'{folder}/img_{number:05}.jpg'
    with naming(path), open(path, 'wb') as f:
        f.write(simplejpeg.encode_jpeg(image, quality=95, colorspace='RGB', colorsubsampling='420'))


def leave_out_twins(videos: Sequence[OwnVideo]) -> None:
    """Of files with the same content the first one is used; none where they are of different classes."""
    twins: Dict[str, List[OwnVideo]] = collections.defaultdict(list)
    for video in videos:
        if video.facts:
            twins[video.facts.digest].append(video)
    for first, *others in twins.values():
        for other in others:
            other.left_out = f'the same content as {first.path}'
            if other.label != first.label:
                first.left_out = f'the same content as {other.path}, which is of another class'


# ---- the split -----------------------------------------------------------------------------------------


def recordings(videos: Sequence[OwnVideo]) -> List[List[OwnVideo]]:
    """The videos of one class, those together whose names say that they are parts of one recording.

    They lie in one folder, and their names are equal without the end that PART_OF_RECORDING describes. Where that would
    make one recording of the whole class, the numbers only count its videos.
    """
    groups: Dict[str, List[OwnVideo]] = collections.defaultdict(list)
    for video in videos:
        groups[PART_OF_RECORDING.sub('', os.path.splitext(video.path)[0])].append(video)
    return list(groups.values()) if len(groups) > 1 else [[video] for video in videos]


def members_of(videos: Sequence[OwnVideo], label: int) -> List[OwnVideo]:
    return [video for video in videos if video.label == label and not video.left_out]


def split_by_share(videos: Sequence[OwnVideo], classes: Sequence[str], share: float, seed: int) -> None:
    """Give each usable video its part: of each class about SHARE for test, as much for val, the rest for train.

    The recordings of a class are shuffled. The smallest ones go to test and val, where they come nearest to the share.
    """
    for label, name in enumerate(classes):
        members = members_of(videos, label)
        groups = recordings(members)
        if len(groups) < len(PARTS):
            raise InputError(f'class {name}: {len(members)} usable videos, by their names of {len(groups)} recordings; '
                             f'{", ".join(PARTS)} need one each: add videos, rename them, or give --split')
        random.Random(f'{seed} {name}').shuffle(groups)
        groups.sort(key=len)
        wanted = max(1, round(share * len(members)))
        for part, kept in (('test', 2), ('val', 1), ('train', 0)):
            chosen: List[OwnVideo] = []
            while len(groups) > kept and (part == 'train' or len(chosen) < wanted):
                chosen += groups.pop(0)
            for video in chosen:
                video.part = part


def split_by_file(videos: Sequence[OwnVideo], folder: str, path: str) -> None:
    """The same by a file of lines "PART CLASS/VIDEO". Videos that are not in it are left out. Raises InputError."""
    known = {os.path.relpath(video.path, folder): video for video in videos}
    with open(path, encoding='utf-8', errors='surrogateescape') as f:
        lines = f.read().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        part, _, name = line.strip().partition(' ')
        video = known.get(os.path.normpath(name.strip()))
        if part not in PARTS or video is None:
            raise InputError(f'{path}: line {number} is "{line.strip()[:80]}", expected "PART CLASS/VIDEO": one of '
                             f'{", ".join(PARTS)}, and a video of {folder}')
        if video.part:
            raise InputError(f'{path}: line {number}: {name.strip()} is in {video.part} already')
        video.part = part
    for video in videos:
        if not video.part:
            video.left_out = video.left_out or f'not in {path}'
        if video.left_out:
            video.part = ''
    for part in PARTS:
        if not any(video.part == part for video in videos):
            raise InputError(f'{path}: has no usable video for {part}')


# ---- what is odd ---------------------------------------------------------------------------------------


def odd_classes(videos: Sequence[OwnVideo], classes: Sequence[str]) -> List[Tuple[str, str]]:
    """(class, what is odd about it): far fewer videos than others, no test video, one recording of most of them."""
    members = [members_of(videos, label) for label in range(len(classes))]
    middle = statistics.median(map(len, members))
    odd = []
    for name, own in zip(classes, members):
        if len(own) < middle / 2:
            odd.append((name, f'{len(own)} videos, where the middle class has {middle:g}'))
        for part in PARTS:
            if not any(video.part == part for video in own):
                odd.append((name, f'no video for {part}'))
        largest = max(map(len, recordings(own)), default=0)
        if largest > 1 and largest > len(own) / 2:
            odd.append((name, f'{largest} of {len(own)} videos are one recording by their names, and stay together'))
    return odd
