# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The frames of a video file, by PyAV, as a player shows them.

    clip = read_clip('clip.mp4', lambda index: [0, 8, 16])
    clip.images[8]                                  # RGB, turned and mirrored as by a player
    clip.index.times[8]                             # seconds after the first frame

The number of a frame is its place in the order in which frames are shown. The index says how many there are and which
time stamp the decoder will give each; it comes from the packets, without decoding. The clip is decoded from the
keyframe before it. Where the decoder gives other time stamps, the next one of VideoFile.indexes() is tried.

Damage that the decoder reports, in the frames of the clip or in those that they depend on, is an error. A byte changed
inside of a video that still decodes without a word cannot be seen: there are no checksums.
"""
from __future__ import annotations

import contextlib
import functools
import itertools
import os
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

import av
import av.logging
import numpy as np
from av.video.frame import VideoFrame

from r2plus1d.container import (
    Index,
    Packet,
    Packets,
    errors_in,
    index_by_places,
    index_by_stamps,
    look_at_packets,
    open_video,
    picture,
    reason,
)
from r2plus1d.run import InputError, log

MOST_KNOWN = 16  # videos: the windows of a long one are read one by one
FEWEST_FRAMES = 2  # one frame has no motion
TAKE_IT = 'get a whole copy, or take it by --allow_damaged'


class Damaged(Exception):
    """What the decoder says of a damaged file."""


class OtherFrames(Exception):
    """The decoder gives other frames than the index says."""


@dataclass(frozen=True)
class Clip:
    """Frames of a video, by number: RGB arrays of height x width x 3."""

    index: Index
    images: Dict[int, np.ndarray]


def read_clip(path: str, choose: Callable[[Index], Sequence[int]], allow_damaged: bool = False) -> Clip:
    """The frames of a video file with the numbers that CHOOSE gives, which is called again for a better index.

    Raises InputError. ALLOW_DAMAGED: says what is damaged, and takes what the decoder makes of it.
    """
    if allow_damaged:
        with contextlib.suppress(InputError):
            return read_clip(path, choose)
    with VideoFile(path, allow_damaged) as video:
        for index in video.indexes():
            wanted = sorted(set(choose(index)))
            with contextlib.suppress(OtherFrames):
                images = video.read(index, wanted)
                if len({image.shape for image in images.values()}) > 1:
                    raise InputError(f'{path}: its frames have different sizes; give them one, as by ffmpeg -i IN OUT')
                if video.faults:
                    log(f'{path}: the decoder reports {video.faults[0]}; taken')
                return Clip(index, images)
    raise InputError(f'{path}: the decoder gives other frames each time it is asked; {TAKE_IT}')


def read_index(path: str, allow_damaged: bool = False) -> Index:
    """The index of a video file. Raises InputError."""
    with VideoFile(path, allow_damaged) as video:
        return next(video.indexes())


class VideoFile:
    """An open video file, for one thread. FAULTS: what is damaged, where that is allowed."""

    known: Dict[Tuple[str, int, int], Packets] = {}

    def __init__(self, path: str, allow_damaged: bool):
        self.path = path
        self.allow_damaged = allow_damaged
        self.faults: List[str] = []
        self.stored: List[Packet] = []  # all packets, or none
        self.open()
        status = os.stat(path)
        self.key = path, status.st_mtime_ns, status.st_size
        self.packets = self.known.get(self.key) or self.look()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def open(self) -> None:
        self.is_at_start = True
        self.container, self.stream = open_video(self.path)
        self.stream.codec_context.thread_count = 1  # several videos are decoded at a time, one in each thread
        if not self.allow_damaged:
            self.stream.codec_context.options = {'err_detect': 'explode'}

    def look(self) -> Packets:
        self.is_at_start = False
        packets = self.known[self.key] = look_at_packets(self.path, self.container, self.stream, self.stored)
        for old in list(self.known)[:-MOST_KNOWN]:
            self.known.pop(old, None)
        return packets

    # ---- which frames there are ----

    def indexes(self) -> Iterator[Index]:
        """The index by time stamps, by the number of packets, and by decoding all frames, in this order.

        An .avi of XviD, as UCF-101's are, has no time stamps: libav numbers the packets, and its numbers do not follow
        the order in which their frames are shown. There the number of packets is that of the frames, and the decoder
        has their order.
        """
        packets = self.packets
        if packets.is_encrypted:
            raise InputError(f'{self.path}: is encrypted; decrypt it first')
        if packets.fault and (not self.allow_damaged or not packets.count):
            raise InputError(f'{self.path}: cut off: {packets.fault}; {TAKE_IT}')
        if packets.fault:
            self.faults.append(f'that it is cut off: {packets.fault}')
        if packets.stamps is not None:
            are_numbers = np.array_equal(packets.stamps, packets.stamps[0] + np.arange(packets.count))
            is_xvid = are_numbers and self.container.format.name == 'avi' and self.stream.codec_context.has_b_frames
            if not is_xvid:
                yield self.checked(index_by_stamps(self.stream, packets.stamps, packets.last_duration))
            if are_numbers:
                yield self.checked(index_by_places(self.stream, packets.count))
        yield self.checked(index_by_decoding(*self.key, self.allow_damaged))

    def checked(self, index: Index) -> Index:
        count = len(index.times)
        if count < FEWEST_FRAMES:
            raise InputError(f'{self.path}: has {count} frame{"" if count == 1 else "s"}, expected {FEWEST_FRAMES} or '
                             'more')
        return index

    # ---- decoding ----

    def read(self, index: Index, wanted: Sequence[int]) -> Dict[int, np.ndarray]:
        """The frames with the numbers WANTED, which ascend. Raises InputError, OtherFrames."""
        try:
            if index.stamps is not None:
                before = self.packets.keyframes <= index.stamps[wanted[0]]
                if before.sum() > 1:
                    # Whole videos too have errors after a seek, where frames depend on some before the keyframe ("open
                    # GOP"), and a seek may lead elsewhere. To a decoder that begins at the start nothing is missing.
                    with contextlib.suppress(Damaged, OtherFrames):
                        return self.collect(wanted, index.stamps, int(self.packets.keyframes[before][-1]))
            return self.collect(wanted, index.stamps)
        except Damaged as e:
            raise InputError(f'{self.path}: the decoder reports {e} in frames {wanted[0]} to {wanted[-1]}, or in those '
                             f'that they depend on; {TAKE_IT}')

    def collect(self, wanted: Sequence[int], stamps: Optional[np.ndarray],
                keyframe: Optional[int] = None) -> Dict[int, np.ndarray]:
        """The frames with the numbers WANTED, decoded from this KEYFRAME on, or from the start.

        Raises OtherFrames where the frames have other time stamps than STAMPS.
        """
        missing = set(wanted)
        images = {}
        number = 0 if stamps is None or keyframe is None else int(np.searchsorted(stamps, keyframe))
        for frame in self.shown(keyframe):
            if stamps is not None:
                if keyframe is not None and frame.pts is not None and frame.pts < keyframe:
                    continue  # it is stored behind the keyframe, and shown before it
                if number >= len(stamps) or frame.pts != stamps[number]:
                    break
            if number in missing:
                images[number] = picture(self.path, frame)
                missing.remove(number)
                if not missing:
                    return images
            number += 1
        raise OtherFrames

    def shown(self, keyframe: Optional[int] = None) -> Iterator[VideoFrame]:
        """What the decoder gives from this keyframe on, or from the first one on. Raises Damaged, OtherFrames."""
        is_ready = not len(self.packets.keyframes)
        for packet in self.packets_from(keyframe):
            if packet.is_keyframe and not is_ready:
                is_ready = True
                if keyframe is not None and (packet.pts is None or packet.pts > keyframe):
                    raise OtherFrames
            if is_ready:
                yield from self.decode(packet.decode)
        yield from self.decode(self.stream.codec_context.decode)

    def packets_from(self, keyframe: Optional[int]) -> Iterator[Packet]:
        """The packets from this keyframe on, or from the first one on, for which the file may be opened again."""
        if self.stored:
            self.stream.codec_context.flush_buffers()
            return itertools.dropwhile(lambda packet: keyframe is not None and packet.pts != keyframe, self.stored)
        if keyframe is not None:
            self.is_at_start = False
            with contextlib.suppress(av.FFmpegError), av.logging.Capture():
                self.container.seek(keyframe, stream=self.stream)
                return self.demux()
        if not self.is_at_start:
            self.container.close()
            self.open()
        self.is_at_start = False
        return self.demux()

    def demux(self) -> Iterator[Packet]:
        """The packets from here on, without those that only say that the frame before is shown longer."""
        packets = self.container.demux(self.stream)
        while True:
            with av.logging.Capture():
                try:
                    packet = next(packets)
                except (StopIteration, av.FFmpegError):  # an error was met before, and is among the faults
                    return
            if packet.size:
                yield packet

    def decode(self, call: Callable[[], List[VideoFrame]]) -> List[VideoFrame]:
        """The frames of one CALL of the decoder. Raises Damaged."""
        frames: List[VideoFrame] = []
        with av.logging.Capture() as logs:
            try:
                frames = call()
            except av.FFmpegError as e:
                logs.append((av.logging.ERROR, '', reason(e)))
        for fault in errors_in(logs):
            self.note(fault)
        if any(frame.is_corrupt for frame in frames):
            self.note('a corrupt frame')
        return frames

    def note(self, fault: str) -> None:
        """Raise Damaged, unless that is allowed."""
        if not self.allow_damaged:
            raise Damaged(f'"{fault}"')
        self.faults.append(f'"{fault}"')


@functools.lru_cache(maxsize=MOST_KNOWN)
def index_by_decoding(path: str, mtime_ns: int, size: int, allow_damaged: bool) -> Index:
    """The index of the video PATH, of this time and SIZE, by decoding all of it. Raises InputError."""
    with VideoFile(path, allow_damaged) as video:
        try:
            stamps = [frame.pts for frame in video.shown()]
        except Damaged as e:
            raise InputError(f'{path}: the decoder reports {e}; {TAKE_IT}')
        if not stamps or None in stamps or (np.diff(np.array(stamps)) <= 0).any():
            return index_by_places(video.stream, len(stamps))
        by_stamps = index_by_stamps(video.stream, np.array(stamps))
        return Index(by_stamps.times, by_stamps.duration_s)
