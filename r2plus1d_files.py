# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What preprocessing hands to inference: bins and their info.json. And what all scripts share: messages, JSON files.

    r2plus1d_preprocess.py -> bins, info.json -> r2plus1d_infer.py or ais_bench

Each name and each form stands here once, its writer beside its reader. r2plus1d_outputs.py is the same for what
inference hands on. Neither of the two knows mmaction2, PyTorch or an inference engine.
"""
import argparse
import errno
import fcntl
import functools
import hashlib
import json
import os
import re
import sys
import warnings

import numpy as np

# mmcv 1.x announces mmcv 2 on every import. All files import this module before mmcv (ruff.toml orders the imports so).
warnings.filterwarnings('ignore', module='mmcv')


# ---- messages and exit status ----------------------------------------------------------------------


class InputError(Exception):
    """Something that the user can mend. The message says what was found, what was expected and what to do."""


def one_line(error, limit=300):
    """The text of an exception on one line of at most LIMIT characters."""
    return ' '.join(str(error).split())[:limit]


def log(text):
    print(f'[INFO] {text}', file=sys.stderr)


def script_main(main):
    """Decorator of a script's main(): an InputError or OSError becomes one line on standard error and exit status 1."""

    @functools.wraps(main)
    def wrapper():
        # Since 2024 ais_bench takes no file that others than its owner may write.
        os.umask(os.umask(0) | 0o022)
        try:
            main()
        except (InputError, OSError) as e:
            sys.exit(f'{os.path.basename(sys.argv[0])}: {e}')

    return wrapper


def positive_int(text):
    """Type of an argparse option: a whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def require_files(parser, args, *options):
    """Exit with status 2 unless each of the OPTIONS (names without dashes) names a file that exists."""
    for option in options:
        path = getattr(args, option)
        if not os.path.isfile(path):
            parser.error(f'--{option} {path}: no such file')


# ---- JSON files ------------------------------------------------------------------------------------


def read_json(path, hint='was the step that writes it interrupted?'):
    """The content of a JSON file. Raises InputError, with HINT as its last words, where it is missing or damaged."""
    try:
        with open(path, encoding='utf-8') as f:
            return json.load(f)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file; {hint}')
    except (ValueError, RecursionError):  # damaged, not text, or nested too deep
        raise InputError(f'{path}: not JSON; {hint}')


def write_json(path, content):
    """Write a JSON file that appears whole or not at all."""
    part = path + '.part'
    with open(part, 'w', encoding='utf-8') as f:
        json.dump(content, f)
    os.replace(part, path)


# ---- bins: what preprocessing hands to inference ---------------------------------------------------
#
# A file bin<first>-<last>_<label>_<label>....bin holds a fixed number of samples in C-order, each of
# crops x 3 x frames x height x width. The numbers are those of the first and the last video, counted from 0;
# the labels are those of the videos from first to last. Where there are fewer videos than samples, copies of
# the last sample fill the file up, and the name does not count them.

BIN_NAME = re.compile(r'bin(\d+)-(\d+)((?:_\d+)+)\.(?:bin|npy)', re.I)
INFO = 'info.json'
PAGE = 4096  # bytes; writing past the page cache needs memory that begins at a page


def bin_name(first, labels):
    """Name of the file with the videos from number FIRST on, which have these LABELS."""
    return f'bin{first}-{first + len(labels) - 1}_{"_".join(map(str, labels))}.bin'


def read_bin_name(path):
    """(number of the first video, labels of all its videos) from the name of a bin. Raises InputError."""
    match = BIN_NAME.fullmatch(os.path.basename(path))
    if not match:
        raise InputError(f'{path}: the name has no labels; make the files with r2plus1d_preprocess.py')
    first, last = int(match[1]), int(match[2])
    labels = [int(label) for label in match[3][1:].split('_')]
    if len(labels) != last - first + 1:
        raise InputError(f'{path}: {len(labels)} labels for videos {first} to {last}; '
                         'make the files with r2plus1d_preprocess.py')
    return first, labels


def empty_at_page(shape, dtype):
    """np.empty(SHAPE, DTYPE) that begins at a page of memory, as write_past_cache() wants it."""
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + PAGE, np.uint8)
    start = -buffer.ctypes.data % PAGE
    return buffer[start:start + size].view(dtype).reshape(shape)


def write_past_cache(f, array):
    """Write an array to an unbuffered file, past the page cache (O_DIRECT) where file system and sizes allow that.

    The 71 GB of a test split would push everything else out of the cache and not stay there themselves, and
    taking the pages for them costs more time than all the rest of preprocessing.
    """
    direct = getattr(os, 'O_DIRECT', 0)
    flags = fcntl.fcntl(f, fcntl.F_GETFL) & ~direct
    data = memoryview(array).cast('B')
    while data:
        try:
            fcntl.fcntl(f, fcntl.F_SETFL, flags | direct)
            written = f.write(data)
            data = data[written:]
        except OSError as e:
            if not direct or e.errno != errno.EINVAL:
                raise
            direct = 0  # this file system or this size does not allow it


def write_bin(folder, first, samples, bts):
    """Write one bin of BTS samples; return the number of its videos.

    SAMPLES yields (label, array) of at most BTS videos, of which FIRST is the number of the first one.
    """
    part = os.path.join(folder, f'{first}.part')
    labels = []
    with open(part, 'wb', buffering=0) as f:
        for label, sample in samples:
            labels.append(label)
            write_past_cache(f, sample)
        for _ in range(bts - len(labels)):
            write_past_cache(f, sample)
    os.rename(part, os.path.join(folder, bin_name(first, labels)))
    return len(labels)


def write_info(folder, info):
    write_json(os.path.join(folder, INFO), info)


def read_info(folder):
    """The dict that r2plus1d_preprocess.py left beside its bins: config, list, dtype, shape, bts, num_videos.

    None where there is no such file, as beside bins that something else made.
    """
    path = os.path.join(folder, INFO)
    if not os.path.isfile(path):
        return None
    remedy = 'make the bins again with r2plus1d_preprocess.py --overwrite'
    info = read_json(path, remedy)
    if not isinstance(info, dict):
        raise InputError(f'{path}: not what r2plus1d_preprocess.py writes; {remedy}')
    for key in ('num_videos', 'bts'):
        if key in info and not is_count(info[key]):
            found = one_line(info[key], 50)
            raise InputError(f'{path}: {key} is {found}, expected a whole number of 1 or more; {remedy}')
    if info.get('dtype', 'float32') not in ('float32', 'uint8'):
        raise InputError(f'{path}: dtype is {one_line(info["dtype"], 50)}, expected float32 or uint8; {remedy}')
    return info


def is_count(value):
    """Whether a value from a JSON file is a whole number of 1 or more. (True is an int in Python, and no count.)"""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def is_fraction(value):
    """Whether a value from a JSON file is a finite number from 0 to 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def is_bin_folder_entry(name):
    """Whether r2plus1d_preprocess.py writes files of this name into its folder."""
    return name == INFO or BIN_NAME.fullmatch(name) is not None


def list_inputs(spec):
    """The .bin and .npy files of --input, which is a folder or file names with commas between, in natural order.

    Natural order, ais_bench's own: bin2 comes before bin10.
    """
    if os.path.isdir(spec):
        names = [name for name in os.listdir(spec) if name.lower().endswith(('.bin', '.npy'))]
        if not names:
            raise InputError(f'{spec}: no .bin or .npy file in this folder')
        names.sort()
        names.sort(key=lambda name: [int(t) if t.isdigit() else t.lower() for t in re.split(r'(\d+)', name)])
        return [os.path.join(spec, name) for name in names]
    files = spec.split(',')
    for path in files:
        if not os.path.isfile(path):
            raise InputError(f'{path}: no such file or folder')
    return files


def input_size(path):
    """Bytes of data in a .bin or .npy file."""
    if path.lower().endswith('.npy'):
        return np.load(path, mmap_mode='r').nbytes
    return os.path.getsize(path)


def read_input(path, out):
    """Fill the array OUT with the bytes of a .bin or .npy file. Raises InputError where their number differs."""
    try:
        if path.lower().endswith('.npy'):
            data = np.load(path)
            found = data.nbytes
            if found == out.nbytes:
                out.reshape(-1).view(np.uint8)[:] = data.reshape(-1).view(np.uint8)
        else:
            with open(path, 'rb') as f:
                found = os.fstat(f.fileno()).st_size
                if found == out.nbytes:
                    found = f.readinto(out)
    except (OSError, ValueError) as e:
        raise InputError(f'{path}: cannot be read: {e}')
    if found != out.nbytes:
        raise InputError(f'{path}: holds {found} bytes; by the first file and the model it should be {out.nbytes}')


def file_digest(path):
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
