# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The frames of video files: those that are shown, by number and by time, in all kinds of files.

Each picture of a made video shows its number, so that no decoder has to be believed. The videos of VIDEO_SAMPLES, a
folder with a table expected.tsv of what ffmpeg shows of them, are tried where it is there.
"""
import csv
import functools
import os
import pathlib
from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import VIDEO_SAMPLES

from r2plus1d.container import turned
from r2plus1d.run import InputError
from r2plus1d.video_file import VideoFile, read_clip, read_index

SECONDS = 20
WIDTH, HEIGHT, BITS = 160, 96, 8
COUNT = 100
STEADY = [Fraction(i, 25) for i in range(COUNT)]
UNSTEADY = [Fraction(i, 7) for i in range(35)] + [5 + Fraction(i, 28) for i in range(COUNT - 35)]


@pytest.fixture(params=['small', 'large'])
def size(request, monkeypatch):
    """In small files packets are read once, and in large ones decoding begins with a seek."""
    VideoFile.known.clear()
    if request.param == 'large':
        monkeypatch.setattr('r2plus1d.container.MOST_STORED', 0)


@functools.lru_cache(None)
def picture(number):
    """A picture that shows its NUMBER by eight squares in a row, before a ground that moves."""
    ground = np.random.default_rng(1).integers(40, 90, (HEIGHT, 2 * WIDTH, 3), dtype=np.uint8)
    image = ground[:, 3 * number % WIDTH:][:, :WIDTH].copy()
    for bit in range(BITS):
        image[8:24, 4 + 19 * bit:20 + 19 * bit] = 230 if number >> bit & 1 else 20
    return image


def number_in(image):
    return sum(int(image[12:20, 8 + 19 * bit:16 + 19 * bit].mean() > 125) << bit for bit in range(BITS))


class Pipe:
    """A file that cannot be sought in, as what a recorder writes to."""

    def __init__(self, path):
        self.write = open(path, 'wb', buffering=0).write


def write_video(path, codec, times=STEADY, unit=Fraction(1, 25), pix_fmt='yuv420p', options=None, b_frames=None,
                container=None, muxing=None, gop=12):
    """A video of picture(0), picture(1), … at these TIMES, which are multiples of the time UNIT."""
    with av.open(Pipe(path) if container else str(path), 'w', format=container, options=muxing or {}) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        stream.codec_context.time_base = unit
        stream.codec_context.gop_size = gop
        stream.codec_context.options = options or {}
        if b_frames is not None:
            stream.codec_context.max_b_frames = b_frames
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number), format='rgb24')
            frame.pts, frame.time_base = round(time / unit), unit
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return str(path)


@pytest.fixture
def short(tmp_path):
    """A video of five frames."""
    return pathlib.Path(write_video(tmp_path / 'video.mp4', 'libx264', STEADY[:5]))


def copy_packets(source, target, change, **muxing):
    """The packets of a video as CHANGE(number of the packet, packet) returns them; None leaves one out."""
    with av.open(source) as old, av.open(str(target), 'w', options=muxing) as new:
        add = getattr(new, 'add_stream_from_template', None)  # since PyAV 14
        template = old.streams.video[0]
        stream = add(template) if add else new.add_stream(template=template)
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            changed = change(number, packet)
            if changed is not None:
                changed.stream = stream
                new.mux(changed)
    return str(target)


def read(path, numbers, **options):
    """(index, images) of these NUMBERS."""
    clip = read_clip(str(path), lambda index: numbers, **options)
    return clip.index, [clip.images[number] for number in numbers]


def decode_all(path):
    """(time stamp, image) of all frames from the start on, by PyAV alone."""
    with av.open(str(path)) as container, av.logging.Capture():
        return [(frame.pts, frame.to_ndarray(format='rgb24')) for packet in container.demux(video=0)
                if packet.size or packet.pts is None for frame in packet.decode()]


def check_numbers(path, shown, left, *lists):
    """Of these lists of numbers read() gives the images that are SHOWN, of those LEFT of 0, 1, …; the index."""
    for numbers in lists:
        index, images = read(path, numbers)
        assert len(index.times) == len(shown) == len(left)
        assert [number_in(image) for image in images] == [left[number] for number in numbers]
        assert all((image == shown[number][1]).all() for number, image in zip(numbers, images))
    return index


# ---- made videos ---------------------------------------------------------------------------------------

MS = Fraction(1, 1000)
OPEN_GOP = {'x264-params': 'open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3:b-adapt=0:b-pyramid=none'}
KINDS = {
    'variable.mp4': dict(codec='libx264', times=UNSTEADY, unit=MS, b_frames=3),
    'variable.webm': dict(codec='libvpx-vp9', times=UNSTEADY, unit=MS, options={'lag-in-frames': '16'}),
    'variable.ts': dict(codec='libx264', times=UNSTEADY, unit=MS),
    'recorded.mkv': dict(codec='libx264', times=UNSTEADY, unit=MS, container='matroska'),  # no duration, no index
    'recorded.mp4': dict(codec='libx264', times=UNSTEADY, unit=MS, container='mp4',
                         muxing={'movflags': 'frag_keyframe+empty_moov'}),
    'only keyframes.mp4': dict(codec='libx264', times=UNSTEADY, unit=MS, gop=1),
    'open gop.mp4': dict(codec='libx264', options=OPEN_GOP),
    'steady.ts': dict(codec='libx264'),
    'interlaced.ts': dict(codec='mpeg2video', options={'flags': '+ildct+ilme'}, b_frames=2),
    'interlaced.mp4': dict(codec='libx264', options={'x264-params': 'interlaced=1:tff=1'}),
    'steady.mpg': dict(codec='mpeg2video', b_frames=2),
    'steady.vob': dict(codec='mpeg2video', b_frames=2),
    'xvid.avi': dict(codec='mpeg4', b_frames=2),
    'steady.avi': dict(codec='mpeg4'),
    'steady.flv': dict(codec='flv', unit=MS),
    'steady.wmv': dict(codec='wmv2', unit=MS),
    'steady.gif': dict(codec='gif', unit=Fraction(1, 100), pix_fmt='rgb8'),
    'steady.apng': dict(codec='apng', pix_fmt='rgb24'),
    'raw.h264': dict(codec='libx264'),
}


@pytest.mark.parametrize('name', KINDS)
def test_frames_by_number_and_time(tmp_path, size, name):
    options = KINDS[name]
    try:
        path = write_video(tmp_path / name, **options)
    except (av.FFmpegError, ValueError) as e:
        pytest.skip(f'this PyAV cannot make it: {e}')
    times = [float(time) for time in options.get('times', STEADY)]
    index = check_numbers(path, decode_all(path), range(COUNT), [0, 1], [50, 58, 66], [COUNT - 1], [35, 34],
                          list(range(0, COUNT, 11)))
    np.testing.assert_allclose(index.times, times, atol=.001)
    assert index.duration_s == pytest.approx(times[-1] + .04, abs=.1)


def move(packet, seconds):
    step = round(seconds / packet.time_base)
    packet.pts, packet.dts = packet.pts + step, packet.dts + step
    return packet


def hide(number, packet):
    """Every thirtieth frame of VP8 is only for the decoder."""
    content = bytearray(bytes(packet))
    if number % 30 == 20:
        content[0] &= ~0x10
    hidden = av.Packet(bytes(content))
    hidden.pts, hidden.dts, hidden.time_base, hidden.is_keyframe = (packet.pts, packet.dts, packet.time_base,
                                                                    packet.is_keyframe)
    return hidden


# name: (options of what it is made of and its ending, change of the packets, options of the container, numbers left)
CHANGED = {
    'cut by an edit list.mp4': (dict(codec='libx264', b_frames=3), '.mp4', lambda number, packet: move(packet, -1.2),
                                {'avoid_negative_ts': 'disabled', 'use_editlist': '1'}, range(30, COUNT)),
    'begins later.mkv': (dict(codec='libx264'), '.ts', lambda number, packet: move(packet, 7), {}, range(COUNT)),
    'begins between keyframes.ts': (dict(codec='libx264'), '.ts',
                                    lambda number, packet: packet if number >= 5 else None, {}, range(12, COUNT)),
    'begins in an open gop.mkv': (dict(codec='libx264', options=OPEN_GOP), '.ts',
                                  lambda number, packet: packet if number >= 12 else None, {}, None),
    'hidden frames.webm': (dict(codec='libvpx', options={'deadline': 'realtime'}), '.webm', hide, {},
                           [number for number in range(COUNT) if number % 30 != 20]),
}


@pytest.mark.parametrize('name', CHANGED)
def test_frames_of_changed_videos(tmp_path, size, name):
    options, ending, change, muxing, left = CHANGED[name]
    source = write_video(tmp_path / f'source{ending}', **options)
    path = copy_packets(source, tmp_path / name, change, **muxing)
    shown = decode_all(path)
    count = len(shown)
    left = left or [number_in(image) for _, image in shown]
    index = check_numbers(path, shown, left, [0, 1], [count // 2, count // 2 + 8], [count - 1])
    steps = np.diff([stamp for stamp, _ in shown])
    np.testing.assert_allclose(np.diff(index.times) / steps, (index.times[1] - index.times[0]) / steps[0], rtol=1e-3)


def test_two_videos_in_one_file(tmp_path, size):
    """Time stamps begin again in the middle, so that only counting tells the frames apart."""
    path = tmp_path / 'twice.ts'
    path.write_bytes(pathlib.Path(write_video(tmp_path / 'once.ts', 'libx264')).read_bytes() * 2)
    index, images = read(path, [3, COUNT + 40])
    assert len(index.times) == 2 * COUNT and [number_in(image) for image in images] == [3, 40]


MATRICES = {  # a, b, c, d of x' = a x + c y, y' = b x + d y; what becomes of the picture
    'as it is': ((1, 0, 0, 1), lambda image: image),
    'by 90 degrees': ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    'by 180 degrees': ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    'by 270 degrees': ((0, -1, 1, 0), lambda image: np.rot90(image)),
    'left is right': ((-1, 0, 0, 1), np.fliplr),
    'top is bottom': ((1, 0, 0, -1), np.flipud),
    'transposed': ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    'transposed the other way': ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize('kind', MATRICES)
def test_display_matrices(short, kind):
    """The matrix is written into the header of the .mp4, in the place of that which its writer has made."""
    (a, b, c, d), turn = MATRICES[kind]
    _, (plain,) = read(short, [3])
    content = short.read_bytes()
    place = content.index(b'tkhd') + 44  # of ISO 14496-12, 8.3.2: version 0
    matrix = (65536 * np.array([a, b, 0, c, d, 0, 0, 0, 16384])).astype('>i4')
    short.write_bytes(content[:place] + matrix.tobytes() + content[place + 36:])
    _, (found,) = read(short, [3])
    assert (found == turn(plain)).all()


def test_a_matrix_of_another_angle_is_refused():
    with pytest.raises(InputError, match='video.mp4: .* no multiple of 90'):
        turned('video.mp4', picture(0), np.array([46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30]))


# ---- what cannot be read -------------------------------------------------------------------------------


def write_audio(path):
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), 'fltp', 'mono')
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def write_unknown_codec(path):
    write_video(path, 'libx264', STEADY[:5])
    path.write_bytes(path.read_bytes().replace(b'avc1', b'avs3'))


def write_list(path):
    write_video(path.with_name('video.mp4'), 'libx264', STEADY[:5])
    path.write_text("ffconcat version 1.0\nfile 'video.mp4'\n")


def write_cut(name, share):
    def make(path):
        whole = path.with_name(name)
        write_video(whole, 'libx264', muxing={'movflags': 'faststart'} if name.endswith('mp4') else {})
        path.write_bytes(whole.read_bytes()[:int(share * whole.stat().st_size)])
    return make


REFUSED = {
    'text.mp4': (lambda path: path.write_bytes(b'this is no video'), 'not a video'),
    'zeros.avi': (lambda path: path.write_bytes(bytes(20000)), 'not a video'),
    'empty.avi': (lambda path: path.touch(), 'is empty'),
    'one.avi': (lambda path: write_video(path, 'mpeg4', STEADY[:1]), 'has 1 frame,'),
    'audio.mp4': (write_audio, 'no video in it, only audio'),
    'unknown.mp4': (write_unknown_codec, 'cannot decode its codec; .* ffmpeg -i IN'),
    'cut.mp4': (write_cut('whole.mp4', .9), 'cut off'),
    'no index.mp4': (write_cut('whole.mov', .9), 'not a video .* moov atom not found'),
    'cut.mkv': (write_cut('whole.mkv', .95), 'cut off'),
    'list.avi': (write_list, 'a list of other files'),
    'zero\0.avi': (lambda path: None, 'zero byte'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_videos_that_cannot_be_read(tmp_path, name):
    make, words = REFUSED[name]
    make(tmp_path / name)
    with pytest.raises(InputError, match=words) as raised:
        read(tmp_path / name, [0])
    assert str(raised.value).startswith(f'{tmp_path}/') and '\n' not in str(raised.value)


@pytest.mark.parametrize('name', [os.fsdecode(b'\xca\xd3\xc6\xb5.mp4'), 'a:b.mp4', 'concat:x.mp4',
                                  '2026-11-28T12:30:05.mp4', 'x%03d.mp4', 'http:/host/x.mp4'])
def test_names_that_a_library_could_take_for_more(short, tmp_path, monkeypatch, name):
    """They are relative paths of local files: no network, no other file."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    short.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    index, (image,) = read(name, [3])
    assert len(index.times) == 5 and number_in(image) == 3


def test_a_claimed_duration_is_not_believed(short):
    content = bytearray(short.read_bytes())
    for name, place in ((b'mvhd', 20), (b'tkhd', 24), (b'mdhd', 20)):
        start = content.index(name) + place
        content[start:start + 4] = b'\xff\xff\xff\xf0'
    short.write_bytes(content)
    index = read_index(str(short))
    assert len(index.times) == 5 and index.duration_s == pytest.approx(.2)


# ---- videos of other people ----------------------------------------------------------------------------

REASONS = {'no video, a cover picture': 'no video in it|has 1 frame', 'damaged': 'the decoder reports',
           'one frame': 'has 1 frame', 'cut off': 'cut off', 'encrypted': 'encrypted|the decoder reports'}
TURNED = {'decord_video_180.mov': 'by 180 degrees', 'decord_video_90.mov': 'by 90 degrees',
          'hflip.mp4': 'left is right', 'mp4_sample_rotate_and_reflect.mp4': 'transposed'}
EXPECTED = VIDEO_SAMPLES / 'expected.tsv'
LINES = EXPECTED.read_text(encoding='utf-8').splitlines() if EXPECTED.is_file() else []
SAMPLES = list(csv.DictReader(LINES, delimiter='\t'))


@pytest.mark.parametrize('row', SAMPLES, ids=[row['file'] for row in SAMPLES])
def test_videos_of_other_people(size, row):
    path = VIDEO_SAMPLES / row['file']
    count = int(row['frames'])
    numbers = sorted({0, count // 3, count // 2, 2 * count // 3, max(count - 1, 0)})
    if row['expected'] != 'read':
        with pytest.raises(InputError, match=REASONS[row['expected'].partition(': ')[2]]):
            read(path, numbers)
        return
    index, images = read(path, numbers)
    assert len(index.times) == count
    assert index.times[-1] == pytest.approx(float(row['seconds']), abs=.0015)
    assert f'{images[0].shape[1]}x{images[0].shape[0]}' == row['size']
    shown = decode_all(path)
    _, turn = MATRICES[TURNED.get(row['file'], 'as it is')]
    assert all((image == turn(shown[number][1])).all() for number, image in zip(numbers, images))
