# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The decoders inside of OpenCV: their threads, and what they report, which OpenCV itself does not hand on.

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
import threading

import cv2

from r2plus1d.files import log

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
