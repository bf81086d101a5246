# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Decoding, as steps of mmaction2's pipelines: frames on disk and video files. Damaged ones are refused.

    FrameDecode    in the place of RawFrameDecode: whole JPEG and PNG files, all of one size
    SeekDecode     in the place of OpenCVDecode: the frames of a clip from a video file

Decoders fill in what is missing: OpenCV 4 makes the lower half of half a JPEG grey, and libav repeats what it has of
the frame before. A sample made of that looks like any other and gives a wrong score without a word.

What can not be seen: a byte changed inside of an image or a video that still decodes without a word of the decoder
(neither format has checksums), and whatever lies outside of the frames that are decoded.

The decoders inside of OpenCV: their threads, and what they report, which OpenCV itself does not hand on.

    one_thread_a_video()
    frames, errors = decoder_errors().count_during(decode)     # libav, of videos
    with jpeg_warnings().during() as warnings:                 # libjpeg, of frames
        image = cv2.imdecode(...)

Both libraries fill in what is damaged, and tell only their log of it.
"""
import atexit
import contextlib
import ctypes
import functools
import os
import platform
import re
import sys
import threading

import cv2
import numpy as np

from r2plus1d.run import InputError, log
from r2plus1d.store import check_regular_file

# ---- threads -----------------------------------------------------------------------------------------


def one_thread_a_video():
    """Have this process, and those that it starts, decode and resize each video in the thread that asks for it.

    The scripts decode several videos at a time, each in a thread or a process of its own, so that all cores are busy.
    By default OpenCV starts more threads, and libav as many as there are cores for each video that is opened. They
    made the decoding of a video of 320 x 240 cost half as much CPU time again. They also decode a few frames ahead, so
    that the number of cores decided whether damage just behind a clip was noticed.

    Takes effect on the videos that are opened from now on. OpenCV reads the variable since 4.7.0 (its pull request
    23014). One that the user has set stays.
    """
    cv2.setNumThreads(0)
    os.environ.setdefault('OPENCV_FFMPEG_THREADS', '1')


# ---- libav -------------------------------------------------------------------------------------------


class DecoderErrors:
    """The errors that libav, with which OpenCV decodes videos, reports in this process.

    OpenCV gives a frame in which the decoder filled in what was damaged like any other. libav tells only its log of it,
    without a word on whose error it is, and from threads of its own. So the errors are counted, and a decoding in which
    the count rose is repeated alone.
    """

    AV_LOG_ERROR = 16  # of libavutil/log.h; a smaller number is a worse error

    def __init__(self):
        self.count = 0
        self.decoding = 0  # threads that decode now
        self.condition = threading.Condition()
        self.library = find_libavutil()
        if self.library is None:
            log('this OpenCV decodes videos without a libavutil of its own: damage inside of videos is not noticed')
            return
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self.callback = kind(self.note)  # kept here, since libav has only its address
        self.library.av_log_set_callback(self.callback)
        atexit.register(self.library.av_log_set_callback, self.library.av_log_default_callback)

    def note(self, context, level, form, arguments):
        """What libav calls for each line of its log: void (*)(void *, int, const char *, va_list)."""
        if level <= self.AV_LOG_ERROR:
            self.count += 1

    def count_during(self, decode):
        """(result of decode(), number of errors meanwhile). It is called again, alone, where there were errors."""
        with self.condition:
            self.decoding += 1
            before = self.count
        try:
            result = decode()
        finally:
            with self.condition:
                self.decoding -= 1
                self.condition.notify_all()
        if self.count == before:
            return result, 0
        return self.count_alone(decode)

    def count_alone(self, decode):
        """The same as count_during(), while no other thread decodes."""
        with self.condition:  # while it is held, none begins
            self.condition.wait_for(lambda: self.decoding == 0)
            before = self.count
            return decode(), self.count - before


def find_libavutil():
    """The libavutil that OpenCV has loaded; None where it has none, or where it is a part of another file."""
    with open('/proc/self/maps', encoding='utf-8', errors='replace') as f:
        paths = [line.split(None, 5)[-1].strip() for line in f if 'libavutil' in line]
    opencv = [path for path in paths if 'opencv' in path]  # other packages bring their own
    return ctypes.CDLL((opencv or paths)[0]) if paths else None


@functools.lru_cache(maxsize=None)
def decoder_errors():
    return DecoderErrors()


# ---- libjpeg -----------------------------------------------------------------------------------------


class CookieFunctions(ctypes.Structure):
    """cookie_io_functions_t of glibc's stdio.h: what a FILE of fopencookie() calls."""

    WRITE = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    _fields_ = [('read', ctypes.c_void_p), ('write', WRITE), ('seek', ctypes.c_void_p), ('close', ctypes.c_void_p)]


class JpegWarnings:
    """The warnings of libjpeg, with which OpenCV decodes JPEG files, in this process.

    It writes one line to C's stderr for an image whose data is damaged. So C's stderr becomes a FILE that hands each
    line to note(), in the thread that writes it. Lines of other libraries, and of threads that decode nothing, go on to
    file descriptor 2. What Python prints does not pass through here.
    """

    UNBUFFERED = 2  # _IONBF of stdio.h: each printf() is one call of note()

    def __init__(self):
        self.local = threading.local()
        self.write = CookieFunctions.WRITE(self.note)  # kept here, since C has only its address
        if platform.libc_ver()[0] != 'glibc':
            log('this C library is not glibc: warnings of libjpeg about damaged frames are not noticed')
            return
        libc = ctypes.CDLL(None)
        libc.fopencookie.restype = ctypes.c_void_p
        libc.fopencookie.argtypes = [ctypes.c_void_p, ctypes.c_char_p, CookieFunctions]
        libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        file = libc.fopencookie(None, b'w', CookieFunctions(None, self.write, None, None))
        libc.setvbuf(file, None, self.UNBUFFERED, 0)
        stderr = ctypes.c_void_p.in_dll(libc, 'stderr')
        atexit.register(setattr, stderr, 'value', stderr.value)
        stderr.value = file

    def note(self, cookie, data, size):
        """What C calls for each write: ssize_t (*)(void *, const char *, size_t)."""
        text = ctypes.string_at(data, size)
        warnings = getattr(self.local, 'warnings', None)
        if warnings is None:
            with contextlib.suppress(OSError):
                os.write(2, text)
        elif text.strip():
            warnings.append(text.decode('ascii', 'replace').strip())
        return size

    @contextlib.contextmanager
    def during(self):
        """A list that gets the warnings of what this thread decodes within this context."""
        self.local.warnings = []
        try:
            yield self.local.warnings
        finally:
            self.local.warnings = None


@functools.lru_cache(maxsize=None)
def jpeg_warnings():
    return JpegWarnings()

# ---- frames on disk --------------------------------------------------------------------------------

JPEG_START = b'\xff\xd8\xff'
JPEG_END = b'\xff\xd9'
# The first marker after the header of a JPEG that does not belong between there and its end. Among the data of pixels
# 0xff is followed by 0 or by a restart marker (d0 to d7); files with several scans have tables between them.
AFTER_SCANS = re.compile(b'\xff[^\x00\xc4\xd0-\xd7\xda-\xdd\xfe\xff]')
PNG_START = b'\x89PNG'
PNG_END = b'IEND\xae\x42\x60\x82'  # the last chunk and its checksum
# The Huffman table for luminance that the JPEG standard gives as its example (table K.3). OpenCV and most others use
# it. Zero bytes stand for coefficients of -1 in it, so a long run of them is a hole in the file. Tables that were
# optimized for a picture of one colour have such runs in good files.
STANDARD_TABLE = bytes.fromhex('00 00010501010101010100000000000000 000102030405060708090a0b')
HOLE = bytes(64)
CUT_OFF = 'cut off, or its end is damaged'
REMEDY = 'extract the frames of its video again'


class FrameDecode:
    """Pipeline step: read the frames of a clip from image files, as RGB.

    It gives what mmaction2's RawFrameDecode gives. Raises InputError, which names the file, for one that is missing,
    no plain file, not whole, or of another size than the first frame of the clip, and where the folder has another
    number of frames than the list says. ALLOW_DAMAGED: says which frames the decoder mended, and takes them.
    """

    def __init__(self, allow_damaged=False):
        self.allow_damaged = allow_damaged
        one_thread_a_video()
        jpeg_warnings()  # begin to listen before there are threads

    def __call__(self, results):
        check_number_of_frames(results)
        results['frame_inds'] = results['frame_inds'].ravel()
        frames = {}
        for index in results['frame_inds'].tolist():
            if index not in frames:
                name = results['filename_tmpl'].format(index + results.get('offset', 0))
                path = f'{results["frame_dir"]}/{name}'
                frames[index] = read_frame(path, self.allow_damaged)
                check_size(path, frames[index], next(iter(frames.values())))
        results['imgs'] = [frames[index].copy() for index in results['frame_inds'].tolist()]
        results['original_shape'] = results['imgs'][0].shape[:2]
        results['img_shape'] = results['imgs'][0].shape[:2]
        return results


def check_number_of_frames(results):
    """Raise InputError where the list says another number of frames than the folder of a video has.

    A digit that was lost or changed there gives other frames. Only the last frame and the one after it are looked for.
    """
    if results.get('offset', 0):
        return  # a part of a video
    total = results['total_frames']
    last = results['start_index'] + total - 1
    for index, expected in ((last, True), (last + 1, False)):
        path = f'{results["frame_dir"]}/{results["filename_tmpl"].format(index)}'
        if os.path.exists(path) != expected:
            raise InputError(f'{path}: is {"missing" if expected else "there"}, and the list says {total} frames; '
                             'make the list again with build_file_list.py, or extract the frames again')


def read_frame(path, allow_damaged=False):
    """The image in a file: RGB array of height x width x 3. Raises InputError unless the file is whole.

    ALLOW_DAMAGED: an image that the decoder warns of is taken as the decoder mends it.
    """
    check_regular_file(path)
    try:
        with open(path, 'rb', buffering=0) as f:
            content = f.read()
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e.strerror}')
    fault = image_fault(content)
    image = None
    with jpeg_warnings().during() as warnings:
        if fault is None:
            with contextlib.suppress(cv2.error):  # for instance more pixels than OpenCV takes
                image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if warnings and image is not None:
        if allow_damaged:
            log(f'{path}: the decoder warns: {warnings[0]}; taken')
        else:
            fault = f'the decoder warns: {warnings[0]}'
            image = None
    if image is None:
        raise InputError(f'{path}: {fault or "not an image that OpenCV can read"}; {REMEDY}')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, image)


def image_fault(content):
    """What the bytes of an image file lack of a whole one, as text; None if nothing does.

    OpenCV 4 decodes part of such files, newer versions part of some.
    """
    if content.startswith(PNG_START) and not content.rstrip(b'\0').endswith(PNG_END):
        return CUT_OFF
    return jpeg_fault(content) if content.startswith(JPEG_START) else None


def jpeg_fault(content):
    """image_fault() of a JPEG."""
    start = start_of_scan(content)
    end = AFTER_SCANS.search(content, start)
    if end is None:
        return CUT_OFF
    # Some hardware encoders fill a file up with zeros after its end.
    if end.group() != JPEG_END or content[end.end():].strip(b'\0'):
        return f'damaged at byte {end.start()}'
    hole = content.find(HOLE, start, end.start())
    if hole >= 0 and STANDARD_TABLE in content:
        return f'zeros in the middle, from byte {hole} on'
    return None


def start_of_scan(content):
    """Where the header of a JPEG ends: a row of segments, each a marker of two bytes and its own length in two."""
    position = 2
    while content[position:position + 1] == b'\xff' and content[position + 1:position + 2] != b'\xda':
        position += 2 + int.from_bytes(content[position + 2:position + 4], 'big')
    return position


def check_size(path, frame, first):
    if frame.shape != first.shape:
        found, expected = (f'{shape[1]}x{shape[0]}' for shape in (frame.shape, first.shape))
        raise InputError(f'{path}: {found}, and the frames before are {expected}; {REMEDY}')


# ---- video files -----------------------------------------------------------------------------------


class CheckVideoFile:
    """Pipeline step before a video file is opened; see check_container()."""

    def __init__(self, allow_damaged=False):
        self.allow_damaged = allow_damaged

    def __call__(self, results):
        check_container(results['filename'], self.allow_damaged)
        return results


class SeekDecode:
    """Pipeline step: decode the frames of a clip from a video file, by OpenCV, as RGB.

    It stands in the place of mmaction2's OpenCVDecode, which seeks anew for each frame. MPEG-4 frames depend on the
    frames before them, so this step decodes each frame from the first needed one to the last needed one once, and
    converts only the needed ones. A frame that cannot be read is an error; OpenCVDecode takes another frame for it.

    Raises InputError where the decoder reports errors in these frames or in those they depend on. (One with several
    threads, as of OpenCV before 4.7, also decodes a few frames after them, and reports their errors.) ALLOW_DAMAGED:
    says so, and takes what the decoder made of them.
    """

    def __init__(self, allow_damaged=False):
        self.allow_damaged = allow_damaged
        one_thread_a_video()
        decoder_errors()  # begin to count before there are threads

    def __call__(self, results):
        path = results['filename']
        wanted = np.unique(results['frame_inds'])
        frames, errors = self.decode_counting_errors(results, wanted)
        if errors:
            fault = f'{path}: the decoder reports {errors} errors in frames {wanted[0]} to {wanted[-1]} or near them'
            if not self.allow_damaged:
                raise InputError(f'{fault}, and fills in what is missing; get a whole copy, '
                                 'or take it by --allow_damaged')
            log(f'{fault}; taken')
        results['video_reader'] = None
        results['imgs'] = [frames[index].copy() for index in results['frame_inds'].ravel()]
        results['original_shape'] = results['imgs'][0].shape[:2]
        results['img_shape'] = results['imgs'][0].shape[:2]
        return results

    def decode_counting_errors(self, results, wanted):
        """(what decode() gives, number of errors that the decoder reports)."""

        def decode(seek=True):
            reader = results.pop('video_reader', None)  # OpenCVInit's, the first time
            with released(reader.vcap if reader else cv2.VideoCapture(results['new_path'])) as video:
                return self.decode(video, wanted, results['total_frames'], seek)

        frames, errors = decoder_errors().count_during(decode)
        if errors and wanted[0] > 0:
            # Whole videos too have errors after a seek where frames depend on some before the keyframe ("open GOP").
            # Nothing is missing to a decoder that begins at the start.
            frames_from_start, errors_from_start = decoder_errors().count_alone(lambda: decode(seek=False))
            if not errors_from_start:
                return frames_from_start, 0
        return frames, errors

    @staticmethod
    def decode(video, wanted, total_frames, seek=True):
        """{frame number: RGB array of height x width x 3} for the frame numbers WANTED, which ascend.

        SEEK: begin at the first of them, not at the start of the video.
        """
        position = int(wanted[0]) if seek else 0
        if position > 0:
            found = video.set(cv2.CAP_PROP_POS_FRAMES, position) and int(video.get(cv2.CAP_PROP_POS_FRAMES))
            if found != position:
                raise OSError(f'cannot seek to frame {position}')
        frames = {}
        for index in wanted:
            while position < index and video.grab():
                position += 1
            ok, frame = video.read()
            if not ok:
                raise OSError(f'frame {index} of {total_frames} cannot be read')
            position += 1
            frames[index] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        return frames


@contextlib.contextmanager
def released(video):
    """A cv2.VideoCapture, which is released at the end.

    Its destructor would wait for threads of libav while it holds Python's lock, and a thread that reports an error
    waits for that lock.
    """
    try:
        yield video
    finally:
        video.release()


def check_video_file(path, allow_damaged=False):
    """Raise InputError unless OpenCV can read a video from this file and the file is as long as it says."""
    check_container(path, allow_damaged)
    with released(cv2.VideoCapture(path)) as video:
        if video.get(cv2.CAP_PROP_FRAME_COUNT) < 1:
            raise InputError(f'{path}: not a video that OpenCV can read')


def check_container(path, allow_damaged=False):
    """Raise InputError unless this is a plain file, and as long as its container says. Frames are not looked at."""
    size = check_regular_file(path)
    try:
        expected = size_by_container(path, size)
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e.strerror}')
    if expected > size and not allow_damaged:
        raise InputError(f'{path}: cut off: has {size} of {expected} bytes; get a whole copy, or take it by '
                         '--allow_damaged')


def size_by_container(path, size):
    """The size in bytes that an .avi or .mp4 file should have at least, by its own words; 0 for other files.

    An .avi is one chunk, whose size stands after its name; 0 or all ones are there while it is being written. An .mp4
    is a row of boxes, each of which begins with its size, 0 for one that ends with the file.
    """
    with open(path, 'rb') as f:
        start = f.read(12)
        if start[:4] == b'RIFF' and start[8:] == b'AVI ':
            claimed = int.from_bytes(start[4:8], 'little')
            return 0 if claimed == 0xffffffff else 8 + claimed
        position = 0
        while start[4:8] == b'ftyp' and position < size:
            f.seek(position)
            header = f.read(16)
            length = int.from_bytes(header[:4], 'big')
            if length == 1:
                length = int.from_bytes(header[8:], 'big')
            if length < 8:
                return 0
            position += length
        return position


# ---- pipelines ---------------------------------------------------------------------------------------


def steps_for_video_files(steps):
    """The steps of a pipeline, changed where needed to begin with a video file instead of frames on disk."""
    if steps[0]['type'] == 'OpenCVInit':
        return steps
    decoding = [{'type': 'SeekDecode'} if step['type'] == 'RawFrameDecode' else step for step in steps]
    return [{'type': 'OpenCVInit'}, *decoding]


def strict_steps(steps, allow_damaged):
    """The steps of a pipeline with those of this module where they have mmaction2's.

    A RawFrameDecode with arguments (frames in an archive or a database, another decoder) stays mmaction2's, which
    checks less. So do its decoders for video files.
    """
    register_steps()
    strict = []
    for step in steps:
        if dict(step) == {'type': 'RawFrameDecode'}:
            step = {'type': 'FrameDecode', 'allow_damaged': allow_damaged}
        elif step['type'] == 'SeekDecode':
            step = {'type': 'SeekDecode', 'allow_damaged': allow_damaged}
        elif step['type'] in ('OpenCVInit', 'PyAVInit', 'DecordInit') and len(step) == 1:
            strict.append({'type': 'CheckVideoFile', 'allow_damaged': allow_damaged})
        strict.append(step)
    return strict


def register_steps():
    """Let mmaction2's pipelines find the steps of this module by their names."""
    from mmaction.datasets import PIPELINES
    for step in (FrameDecode, CheckVideoFile, SeekDecode):
        PIPELINES.register_module(module=step, force=True)


# mmaction2's own tools import this module for its steps, by custom_imports of a config. Our scripts do without the
# import of mmaction2, which takes a second, until they need it.
if 'mmaction.datasets' in sys.modules:
    register_steps()
