# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A video file: which of its streams is shown, what its packets say without being decoded, its frames as pictures.

    container, stream = open_video('clip.mp4')
    packets = look_at_packets('clip.mp4', container, stream, [])
    index = index_by_stamps(stream, packets.stamps, packets.last_duration)
    index.times                           # of the frames that are shown, in that order

What a header claims is not believed. Only of an .avi the number of frames is compared, since nothing else tells where
such a file was cut off.
"""
from __future__ import annotations

import os
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, List, NamedTuple, Optional, Tuple, cast

import av
import av.logging
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import check_regular_file

Logs = List[Tuple[int, str, str]]  # of av.logging.Capture(): level, speaker, text
Packet = Any  # av.Packet, whose type parameter only new versions have
SAME_TIME = 0.0005  # seconds: the times of windows have three digits
MOST_PIXELS = 4096 * 2304  # of a frame: 4K. The frames of one clip in 8K take 1.6 GB while they are decoded
MOST_STORED = 1 << 24  # bytes of packets, each of which would otherwise be read twice
LISTS = ('concat', 'dash', 'hls', 'imf', 'sdp')  # what libav calls files that name others
RAW = ('h261', 'h263', 'h264', 'hevc', 'm4v', 'mjpeg', 'mpegvideo', 'obu', 'vvc')  # its names of what has no container


def check_pixels(path: str, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise InputError(f'{path}: {width}x{height} pixels a frame; the most is 4K (4096x2304): make it smaller, as by '
                         'ffmpeg -i IN -vf scale=-2:1080 OUT')


# ---- pictures ----------------------------------------------------------------------------------------


def picture(path: str, frame: VideoFrame) -> np.ndarray:
    """A frame of the video PATH as a player shows it: RGB, height x width x 3, turned, mirrored. Raises InputError."""
    check_pixels(path, frame.width, frame.height)
    try:
        image: np.ndarray = frame.reformat(format='rgb24', threads=1).to_ndarray()
    except TypeError:  # older PyAV has one thread anyway
        image = frame.to_ndarray(format='rgb24')
    for data in cast(Any, frame.side_data):
        if data.type.name == 'DISPLAYMATRIX':
            image = turned(path, image, np.frombuffer(bytes(data), np.int32))
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


# ---- files and streams -------------------------------------------------------------------------------


def open_video(path: str) -> Tuple[InputContainer, VideoStream]:
    """A video file, opened, and the stream of it that players show. Raises InputError."""
    if '\0' in path:
        raise InputError(f'{path}: has a zero byte in its name')
    check_regular_file(path)
    level = av.logging.get_level()
    if level is None or level < av.logging.ERROR:  # its errors go to av.logging.Capture() then, not to standard error
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)  # an error that another video had, too
    # An absolute path after file: is never taken for a protocol, and the list of protocols keeps a list of other files
    # from being read from a network.
    name = 'file:' + os.path.abspath(path)
    with av.logging.Capture():
        try:
            container = av.open(name, container_options={'protocol_whitelist': 'file'}, metadata_errors='replace')
        except (av.FFmpegError, ValueError) as e:
            raise InputError(f'{path}: not a video that PyAV can read: {reason(e)}')
    try:
        if container.format.name in LISTS:
            raise InputError(f'{path}: a list of other files ({container.format.name}), expected a video')
        stream = choose_stream(path, container)
        check_pixels(path, stream.codec_context.width, stream.codec_context.height)
    except InputError:
        container.close()
        raise
    return container, stream


def choose_stream(path: str, container: InputContainer) -> VideoStream:
    """The first video stream. A cover picture is none."""
    streams = [stream for stream in container.streams.video if not is_cover(stream)]
    if not streams:
        kinds = sorted({str(stream.type) for stream in container.streams if stream.type != 'video'})
        kinds += ['a cover picture'] if container.streams.video else []
        raise InputError(f'{path}: no video in it, only {" and ".join(kinds) or "a header"}')
    if getattr(streams[0], 'codec_context', None) is None:
        raise InputError(f'{path}: PyAV cannot decode its codec; convert it, as by ffmpeg -i IN -c:v libx264 OUT.mp4')
    return streams[0]


def is_cover(stream: VideoStream) -> bool:
    disposition = getattr(stream, 'disposition', None)  # PyAV 12 does not tell it
    return disposition is not None and bool(disposition & type(disposition).attached_pic)


# ---- packets -------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """A packet: its time stamp, whether decoding can begin with it, whether its frame is shown."""

    pts: Optional[int]
    is_keyframe: bool
    is_shown: bool


@dataclass(frozen=True)
class Packets:
    """What the packets of a stream say without being decoded.

    STAMPS: the time stamps of the frames that are shown, in that order; None where the packets do not tell them.
    KEYFRAMES: the time stamps at which decoding can begin. LAST_DURATION: of the last frame, 0 where it is unknown.
    FAULT: why the file is not whole.
    """

    count: int
    stamps: Optional[np.ndarray]
    keyframes: np.ndarray
    last_duration: int
    fault: Optional[str]
    is_encrypted: bool


def look_at_packets(path: str, container: InputContainer, stream: VideoStream, stored: List[Packet]) -> Packets:
    """One pass over all packets of a stream. STORED: an empty list, which gets them where they are not large."""
    is_vp8 = stream.codec_context.name in ('vp8', 'libvpx')
    seen: List[Seen] = []
    last: Packet = None
    fault: Optional[str] = None
    size = 0
    with av.logging.Capture() as logs:
        try:
            for last in filter(attrgetter('size'), container.demux(stream)):
                is_hidden = is_vp8 and not memoryview(last)[0] & 0x10  # show_frame of RFC 6386, 9.1: for the decoder
                seen.append(Seen(last.pts, last.is_keyframe, not last.is_discard and not is_hidden))
                size += last.size
                stored.append(last)
                if size > MOST_STORED:
                    stored.clear()
        except av.FFmpegError as e:
            fault = reason(e)
    fault = fault or next(iter(errors_in(logs, container.format.name)), None)
    if container.format.name == 'avi' and stream.frames > len(seen):
        fault = f'has {len(seen)} of {stream.frames} frames'
    elif last is None:
        fault = fault or 'has no frames'
    elif last.is_corrupt:
        fault = 'its last frame is not whole'
    check_claims(path, container, stream.frames, len(seen))
    keyframes = [one.pts for one in seen if one.is_keyframe and one.pts is not None]
    return Packets(len(seen), shown_stamps(seen), np.unique(np.array(keyframes, np.int64)),
                   last.duration or 0 if last else 0, fault, is_encrypted(last))


def check_claims(path: str, container: InputContainer, claimed: int, count: int) -> None:
    """Say what is strange about a video that can be read: its name, or how many frames its header has CLAIMED."""
    kind = container.format
    if kind.name in RAW and os.path.splitext(path)[1][1:].lower() not in kind.extensions:
        log(f'{path}: is read as a bare stream ({kind.name}): is its start missing?')
    elif kind.name == 'avi' and 0 < claimed < count:
        log(f'{path}: its header claims {claimed} frames, and it has {count}')


def shown_stamps(seen: List[Seen]) -> Optional[np.ndarray]:
    """The time stamps of the frames that are shown, in that order.

    None where one is missing or there twice, and where the video does not begin with a keyframe, so that only the
    decoder knows with which frame it can begin.
    """
    stamps = [one.pts for one in seen if one.pts is not None]
    if not stamps or len(set(stamps)) < len(seen) or not seen[0].is_keyframe or stamps[0] != min(stamps):
        return None
    shown = np.array([one.pts for one in seen if one.is_shown], np.int64)
    return np.sort(shown) if len(shown) else None


def is_encrypted(packet: Packet) -> bool:
    has = getattr(packet, 'has_sidedata', None)  # PyAV 12 does not tell it
    return has is not None and bool(has('encryption_info'))


# ---- frames -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """The frames of a video. TIMES: in seconds after the first one, by number. DURATION_S: to the end of the last one.

    STAMPS: the time stamps of the frames, which rise, and by which they are known wherever decoding begins. None: only
    counting from the start tells which frame is which.
    """

    times: np.ndarray
    duration_s: float
    stamps: Optional[np.ndarray] = None

    def between(self, start_s: float, end_s: float) -> Tuple[int, int]:
        """The numbers of the first frame at START_S or later, and of the first one at END_S or later."""
        first, end = np.searchsorted(self.times, [start_s - SAME_TIME, end_s - SAME_TIME])
        return int(first), int(end)


def index_by_stamps(stream: VideoStream, stamps: np.ndarray, last_duration: int = 0) -> Index:
    """LAST_DURATION: of the last frame; 0: as long as the others on the average."""
    times = (stamps - stamps[0]) * float(stream.time_base or 0)
    last = last_duration * float(stream.time_base or 0) or times[-1] / max(1, len(times) - 1)
    return Index(times, float(times[-1] + last), stamps)


def index_by_places(stream: VideoStream, count: int) -> Index:
    """The index of COUNT frames that tell no times: the rate of the stream does."""
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    step = float(1 / rate) if rate else 0.
    return Index(np.arange(count) * step, count * step)


# ---- what libav says -----------------------------------------------------------------------------------


def errors_in(logs: Logs, speaker: Optional[str] = None) -> List[str]:
    """The errors among what was captured, on one line each. SPEAKER: only what this part of libav says."""
    return [one_line(text) for level, name, text in logs if level <= av.logging.ERROR and speaker in (None, name)]


def reason(error: Exception) -> str:
    """What libav said of an error."""
    logged = getattr(error, 'log', None)
    return one_line(logged[2] if logged else getattr(error, 'strerror', None) or error)
