# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What preprocessing hands to inference: bins and their info.json. Each form stands here once, writer beside reader.

    r2plus1d_preprocess.py -> bins, info.json -> r2plus1d_infer.py or ais_bench

A file bin<first>-<last>_<label>_<label>....bin holds a fixed number of samples in C-order, each of crops x 3 x frames x
height x width. The numbers are those of the first and the last video, counted from 0; the labels are those of the
videos from first to last. Where there are fewer videos than samples, copies of the last sample fill the file up, and
the name does not count them.
"""
import errno
import fcntl
import hashlib
import os
import re

import numpy as np

from r2plus1d.run import InputError, one_line
from r2plus1d.store import check_regular_file, file_digest, is_count, naming, read_json, write_json

BIN_NAME = re.compile(r'bin(\d+)-(\d+)((?:_\d+)+)\.(?:bin|npy)', re.I)
DIGEST = re.compile(r'[0-9a-f]{32}')  # of a bin, see BinDigest
INFO = 'info.json'
SAMPLE_DTYPES = ('float32', 'uint8')
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
    """Write one bin of BTS samples; return its name and its digest.

    SAMPLES yields (label, array) of at most BTS videos, of which FIRST is the number of the first one. An OSError names
    the file.
    """
    part = os.path.join(folder, f'{first}.part')
    labels = []
    digest = BinDigest()
    with naming(part), open(part, 'wb', buffering=0) as f:
        for label, sample in samples:
            labels.append(label)
            digest.update(sample)
            write_past_cache(f, sample)
        for _ in range(bts - len(labels)):
            digest.update(sample)
            write_past_cache(f, sample)
    name = bin_name(first, labels)
    os.rename(part, os.path.join(folder, name))
    return name, digest.hexdigest()


class BinDigest:
    """A digest of a bin, sample by sample, that costs next to nothing: a hash of the sum of each page's 8-byte words.

    Another video, another pipeline, another order, a lost page, a single wrong byte or bit: each gives another digest.
    What it cannot see are several changes in one page that cancel out, such as two words that have changed places.
    """

    def __init__(self):
        self.digest = hashlib.blake2b(digest_size=16)

    def update(self, sample):
        """Add a sample: any array that is contiguous in memory."""
        data = sample.reshape(-1).view(np.uint8)
        whole = len(data) // PAGE * PAGE
        pages = data[:whole].view('<u8').reshape(-1, PAGE // 8)
        self.digest.update(pages.sum(axis=1, dtype='<u8'))  # modulo 2**64
        self.digest.update(data[whole:])

    def hexdigest(self):
        return self.digest.hexdigest()


def bin_digest(samples):
    """The digest that info.json has of a bin, from its samples: an array whose first axis they are."""
    digest = BinDigest()
    for sample in samples:
        digest.update(sample)
    return digest.hexdigest()


def write_info(folder, info):
    write_json(os.path.join(folder, INFO), info)


def read_info(folder):
    """The dict that r2plus1d_preprocess.py left beside its bins.

    config, list: paths; config_sha256, list_sha256: digests of what they say; dtype, shape: of a sample; bts;
    num_videos; bins: {name: bin_digest() of the file}.

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
    if info.get('dtype', 'float32') not in SAMPLE_DTYPES:
        raise InputError(f'{path}: dtype is {one_line(info["dtype"], 50)}, expected float32 or uint8; {remedy}')
    if 'shape' in info and not is_shape(info['shape']):
        found = one_line(info['shape'], 50)
        raise InputError(f'{path}: shape is {found}, expected whole numbers of 1 or more; {remedy}')
    if 'bins' in info:
        check_noted_bins(path, info, remedy)
    return info


def is_shape(value):
    """Whether a value from a JSON file is the shape of a sample: views, and what one of them is."""
    return isinstance(value, list) and bool(value) and all(map(is_count, value))


def check_noted_bins(path, info, remedy):
    """Raise InputError unless the bins that INFO, the content of the file PATH, notes hold each of its videos once."""
    bins = info['bins']
    if not isinstance(bins, dict) or not all(map(is_digest, bins.values())):
        raise InputError(f'{path}: its bins are not names with a digest each; {remedy}')
    try:
        videos = sorted(read_bin_name(name) for name in bins)
    except InputError as e:
        raise InputError(f'{path}: {e}')
    expected = 0
    for first, labels in videos:
        if first != expected or len(labels) > info.get('bts', 0):
            raise InputError(f'{path}: its bins do not hold the videos from 0 on once each; {remedy}')
        expected += len(labels)
    if expected != info.get('num_videos'):
        raise InputError(f'{path}: num_videos is {info.get("num_videos")}, and its bins hold {expected} videos; '
                         f'{remedy}')


def is_digest(value):
    return isinstance(value, str) and DIGEST.fullmatch(value) is not None


def check_digest(path, data, info):
    """Whether INFO (info.json) notes a digest of the bin PATH, whose values are in the array DATA.

    Raises InputError where it is another digest, or where the bin is not among those that are noted. An info.json of
    an older r2plus1d_preprocess.py notes none.
    """
    digests = info.get('bins')
    if digests is None:
        return False
    bts = info['bts']
    remedy = 'make the bins again with r2plus1d_preprocess.py --overwrite'
    if os.path.basename(path) not in digests:
        raise InputError(f'{path}: is not one of the {len(digests)} files of {INFO} beside it; {remedy}')
    if data.size % bts or bin_digest(data.reshape(bts, -1)) != digests[os.path.basename(path)]:
        check_values(path, data)  # it may know more of what has happened
        raise InputError(f'{path}: was changed since r2plus1d_preprocess.py wrote it: {INFO} notes another digest; '
                         f'{remedy}')
    return True


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
        if not os.path.lexists(path):
            raise InputError(f'{path}: no such file or folder')
        check_regular_file(path)
    return files


def check_one_origin(files):
    """Raise InputError where the FILES lie in several folders with different info.json, or with and without one.

    The numbers of their videos are those of different lists then, and one info.json says nothing of the other files.
    """
    digests = {}
    for path in files:
        info = os.path.join(os.path.dirname(path), INFO)
        if info not in digests:
            digests[info] = file_digest(info) if os.path.isfile(info) else None
        if digests[info] != next(iter(digests.values())):
            raise InputError(f'{path}: is not of the same run of r2plus1d_preprocess.py as {files[0]}: the {INFO} of '
                             'their folders differ; give the files of one run')


LARGEST_VALUE = 1e6  # of a sample: pixels go to 255, normalized ones to about 3
ROW = 8192  # values that are looked at together; for so few BLAS takes one thread and leaves the others to the model
SUSPICIOUS_SUM = 1e11  # of the squares of a row: far over that of pixels, far under that of one value too large
ZERO_ROWS = 8  # 65,536 values: a frame of one channel


def input_size(path, dtype):
    """Bytes of data in a .bin or .npy file. Raises InputError where a .npy file holds another DTYPE."""
    size = check_regular_file(path)
    return open_npy(path, dtype).nbytes if path.lower().endswith('.npy') else size


def read_input(path, out):
    """Fill the array OUT with the values of a .bin or .npy file.

    Raises InputError where their number, or in a .npy file their type, differs. The values are not looked at.
    """
    check_regular_file(path)
    try:
        if path.lower().endswith('.npy'):
            data = open_npy(path, out.dtype)
            found = data.nbytes
            if found == out.nbytes:
                out.reshape(-1)[:] = data.reshape(-1)
        else:
            with open(path, 'rb') as f:
                found = os.fstat(f.fileno()).st_size
                if found == out.nbytes:
                    found = f.readinto(out)
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e}')
    if found != out.nbytes:
        raise InputError(f'{path}: holds {found} bytes; by the first file and the model it should be {out.nbytes}')


def open_npy(path, dtype):
    """The array in a .npy file, not yet read. Raises InputError where it is no array, or not of this DTYPE."""
    try:
        data = np.load(path, mmap_mode='r')
    except Exception as e:  # its header is Python text: a damaged one can raise anything
        raise InputError(f'{path}: cannot be read: {one_line(e, 100)}')
    if not isinstance(data, np.ndarray):
        raise InputError(f'{path}: holds several arrays (.npz), expected one')
    if data.offset + data.nbytes != os.path.getsize(path):
        raise InputError(f'{path}: its header of {data.offset} bytes and its {data.nbytes} bytes of values are not the '
                         'whole file; make the file again')
    if data.dtype.newbyteorder('=') != dtype:
        raise InputError(f'{path}: holds values of type {one_line(data.dtype, 50)}, expected {dtype}')
    return data


def check_values(path, values, allow_zeros=False):
    """Raise InputError, which names the first bad one, where the VALUES of a bin can not be those of a video.

    Floating-point values must be finite and of a size that pixels can have. Many zeros in a row are what a crash leaves
    of a file that was not written to the disk yet; a normalized video has none, since no pixel is exactly its mean.
    In whole numbers they are black, so there they are refused only where the file has a hole. Whoever normalizes with
    a mean of 0 has zeros for black and says so by ALLOW_ZEROS.
    """
    rows = values[:values.size // ROW * ROW].reshape(-1, ROW)
    rest = values[rows.size:]
    if values.dtype.kind == 'f':
        with np.errstate(all='ignore'):
            sums = np.append(np.matmul(rows[:, None], rows[:, :, None]), np.dot(rest, rest))  # of squares
        for row in np.flatnonzero(~(sums <= SUSPICIOUS_SUM)):  # or NaN
            check_row(path, values, row * ROW)
        is_zero = sums == 0
    else:
        is_zero = np.array([not row[0] and not row.any() for row in rows] + [not rest.any()])
    if not rest.size:
        is_zero = is_zero[:-1]
    if not allow_zeros and is_zero.any():
        check_zeros(path, is_zero, values)


def check_row(path, values, start):
    """Raise InputError where one of the ROW values from START on is not finite or too large."""
    bad = np.flatnonzero(~(np.abs(values[start:start + ROW]) <= LARGEST_VALUE))
    if bad.size:
        position = start + bad[0]
        raise InputError(f'{path}: value {position} is {values[position]:g}; make the file again')


def check_zeros(path, is_zero, values):
    """Raise InputError where ZERO_ROWS rows one after the other are zero, or all of a small file is."""
    length = min(ZERO_ROWS, len(is_zero))
    in_a_row = np.convolve(is_zero, np.ones(length, int), 'valid')
    for row in np.flatnonzero(in_a_row == length):
        start = row * ROW
        if values.dtype.kind == 'f' or has_hole(path, start * values.itemsize):
            raise InputError(f'{path}: from value {start} on all are zero for a while, as after a crash; '
                             'make the file again, or take it by --allow_damaged')


def has_hole(path, position):
    """Whether nothing was ever written to a file at this POSITION, in bytes, as far as its file system tells."""
    try:
        with open(path, 'rb') as f:
            return os.lseek(f.fileno(), position, os.SEEK_DATA) > position
    except OSError as e:
        return e.errno == errno.ENXIO  # a hole up to the end
THREE_CROPS = 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'
KINDS = f'{THREE_CROPS} is of three crops, configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py of the whole frame'


def describe_shape(shape):
    """Text such as "3 views of 8 frames of 256 x 256" (width x height, as of videos) for the shape of a sample."""
    if len(shape) != 5:
        return 'x'.join(map(str, shape))
    views, _, frames, height, width = shape
    return f'{views} view{"" if views == 1 else "s"} of {frames} frames of {width} x {height}'


def check_same_shape(giver, given, taker, taken):
    """Raise InputError unless the shape of the samples that GIVER has is the one that TAKER takes."""
    if list(given) != list(taken):
        raise InputError(f'{giver}: has {describe_shape(given)} a video, and {taker} takes {describe_shape(taken)}; '
                         f'give config, bins and model of one kind ({KINDS})')


def count_views(number):
    return f'{number} view' if number == 1 else f'{number} views'
