# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What preprocessing hands to inference: bins, their names and values, and the info.json beside them.

    r2plus1d_preprocess.py -> bins, info.json -> r2plus1d_infer.py or ais_bench

A file bin<first>-<last>_<label>_<label>....bin holds a fixed number of samples in C-order, each of crops x 3 x frames x
height x width. Where there are fewer videos than samples, copies of the last sample fill the file up, and the name does
not count them. info.json says what they are, with a digest of each; ais_bench passes it over.

    info = read_info('predata_bts1')
    check_digest('predata_bts1/bin0-0_7.bin', values, info)
"""
from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
import xxhash

from r2plus1d.json_forms import COUNT, FLAG, SHAPE, TEXT, Check, Form, field, json_digest, matching, one_of
from r2plus1d.models import SAMPLE_DTYPES
from r2plus1d.run import InputError, one_line
from r2plus1d.store import check_regular_file, file_digest

BIN_NAME = re.compile(r'bin(\d+)-(\d+)((?:_\d+)+)\.(?:bin|npy)', re.I)
INFO = 'info.json'
THREE_CROPS = 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'
LARGEST_VALUE = 1e6  # of a sample: pixels go to 255, normalized ones to about 3
BLOCK = 32768  # values: half a frame of one channel
MAKE_AGAIN = 'make the bins again with r2plus1d_preprocess.py --overwrite'
UNKNOWN_DIGEST = 'unknown'
SHA256 = matching('[0-9a-f]{64}', 'a SHA-256')
DIGEST = matching('[0-9a-f]{32}|unknown', 'a digest (XXH3, 128 bits)')
STAMP = Check(lambda value: isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value),
              'size and time')


# ---- the name of a bin -------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class BinName:
    """What the name of a bin says: the number of its first video, counted from 0, and the labels of all its videos."""

    first: int
    labels: Tuple[int, ...]

    def __str__(self) -> str:
        return f'bin{self.first}-{self.first + len(self.labels) - 1}_{"_".join(map(str, self.labels))}.bin'

    @classmethod
    def parse(cls, path: str) -> BinName:
        match = BIN_NAME.fullmatch(os.path.basename(path))
        if not match:
            raise InputError(f'{path}: the name has no labels; make the files with r2plus1d_preprocess.py')
        first, last = int(match[1]), int(match[2])
        name = cls(first, tuple(int(label) for label in match[3][1:].split('_')))
        if len(name.labels) != last - first + 1:
            raise InputError(f'{path}: {len(name.labels)} labels for videos {first} to {last}; '
                             'make the files with r2plus1d_preprocess.py')
        return name


# ---- reading -----------------------------------------------------------------------------------------


def list_inputs(spec: str) -> List[str]:
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


def check_one_origin(files: Sequence[str]) -> None:
    """Raise InputError where the FILES lie in several folders with different info.json, or with and without one.

    The numbers of their videos are those of different lists then, and one info.json says nothing of the other files.
    """
    digests: Dict[str, Optional[str]] = {}
    for path in files:
        info = os.path.join(os.path.dirname(path), INFO)
        if info not in digests:
            digests[info] = file_digest(info) if os.path.isfile(info) else None
        if digests[info] != next(iter(digests.values())):
            raise InputError(f'{path}: is not of the same run of r2plus1d_preprocess.py as {files[0]}: the {INFO} of '
                             'their folders differ; give the files of one run')


def input_size(path: str, dtype: np.dtype) -> int:
    """Bytes of data in a .bin or .npy file. Raises InputError where a .npy file holds another DTYPE."""
    size = check_regular_file(path)
    return open_npy(path, dtype).nbytes if path.lower().endswith('.npy') else size


def read_input(path: str, out: np.ndarray) -> None:
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
                    found = f.readinto(out.data)
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e}')
    if found != out.nbytes:
        raise InputError(f'{path}: holds {found} bytes; by the first file and the model it should be {out.nbytes}')


def open_npy(path: str, dtype: np.dtype) -> Any:
    """The array in a .npy file, not yet read. Raises InputError where it is no array, or not of this DTYPE."""
    try:
        data = np.load(path, mmap_mode='r')
    except Exception as e:  # its header is Python text: a damaged one can raise anything
        raise InputError(f'{path}: cannot be read: {one_line(e, 100)}')
    if not isinstance(data, np.memmap):
        raise InputError(f'{path}: holds several arrays (.npz), expected one')
    if data.offset + data.nbytes != os.path.getsize(path):
        raise InputError(f'{path}: its header of {data.offset} bytes and its {data.nbytes} bytes of values are not the '
                         'whole file; make the file again')
    if data.dtype.newbyteorder('=') != dtype:
        raise InputError(f'{path}: holds values of type {one_line(data.dtype, 50)}, expected {dtype}')
    return data



def check_values(path: str, values: np.ndarray, allow_zeros: bool = False) -> None:
    """Raise InputError, which names the first bad one, where the VALUES of a bin can not be those of a video.

    Floating-point values must be finite and of a size that pixels can have. Many zeros in a row are what a crash leaves
    of a file that was not written to the disk yet; a normalized video has none, since no pixel is exactly its mean.
    In whole numbers they are black, so there they are refused only where the file has a hole. Whoever normalizes with
    a mean of 0 has zeros for black and says so by ALLOW_ZEROS.
    """
    is_float = values.dtype.kind == 'f'
    if is_float and not (values.min() >= -LARGEST_VALUE and values.max() <= LARGEST_VALUE):  # or NaN
        position = np.flatnonzero(~(np.abs(values) <= LARGEST_VALUE))[0]
        raise InputError(f'{path}: value {position} is {values[position]:g}; make the file again')
    blocks = values[:values.size // BLOCK * BLOCK].reshape(-1, BLOCK) if values.size >= BLOCK else values[None]
    for number in np.flatnonzero(blocks[:, 0] == 0) if not allow_zeros else ():
        start = int(number) * BLOCK
        if not blocks[number].any() and (is_float or has_hole(path, start * values.itemsize)):
            raise InputError(f'{path}: from value {start} on all are zero for a while, as after a crash; '
                             'make the file again, or take it by --allow_damaged')


def has_hole(path: str, position: int) -> bool:
    """Whether nothing was ever written to a file at this POSITION, in bytes, as far as its file system tells."""
    try:
        with open(path, 'rb') as f:
            return os.lseek(f.fileno(), position, os.SEEK_DATA) > position
    except OSError as e:
        return e.errno == errno.ENXIO  # a hole up to the end


# ---- the shape of a sample ---------------------------------------------------------------------------

KINDS = f'{THREE_CROPS} is of three crops, configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py of the full frame'


def describe_shape(shape: Sequence[int]) -> str:
    """Text such as "3 views of 8 frames of 256 x 256" (width x height, as of videos) for the shape of a sample."""
    if len(shape) != 5:
        return 'x'.join(map(str, shape))
    views, _, frames, height, width = shape
    return f'{count_views(views)} of {frames} frames of {width} x {height}'


def check_same_shape(giver: str, given: Sequence[int], taker: str, taken: Sequence[int]) -> None:
    """Raise InputError unless the shape of the samples that GIVER has is the one that TAKER takes."""
    if list(given) != list(taken):
        raise InputError(f'{giver}: has {describe_shape(given)} a video, and {taker} takes {describe_shape(taken)}; '
                         f'give config, bins and model of one kind ({KINDS})')


def count_views(number: int) -> str:
    return f'{number} view' if number == 1 else f'{number} views'


# ---- info.json ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BinsInfo(Form):
    """What r2plus1d_preprocess.py notes beside its bins. A field is None where an older version did not note it.

    config, list: absolute paths. config_sha256, list_sha256: of what they say. dtype, shape: of a sample. sources: of
    each video in the list, the stamp() of preprocessing.py. bins: the digest of each file, by its name; there are none
    while a run is unfinished.
    """

    VERSION = 3
    REMEDY = MAKE_AGAIN

    config: Optional[str] = field(TEXT)
    config_sha256: Optional[str] = field(SHA256, identity=True)
    list: Optional[str] = field(TEXT)
    list_sha256: Optional[str] = field(SHA256, identity=True)
    dtype: Optional[str] = field(one_of(*SAMPLE_DTYPES), identity=True)
    shape: Optional[List[int]] = field(SHAPE, identity=True)
    bts: Optional[int] = field(COUNT, identity=True)
    num_videos: Optional[int] = field(COUNT, identity=True)
    allow_damaged: Optional[bool] = field(FLAG, identity=True)
    sources: Optional[List[List[int]]] = field(STAMP.list_of(), identity=True)
    bins: Optional[Dict[str, str]] = field(DIGEST.for_each_name())

    @classmethod
    def lift(cls, content: Dict[str, Any]) -> Dict[str, Any]:
        """The first version had other digests of bins, and the second one other stamps of sources."""
        lifted = {'allow_damaged': False, **content}
        if content.get('version', 1) < 3:
            lifted.pop('sources', None)
        if 'version' not in content and isinstance(content.get('bins'), dict):
            lifted['bins'] = dict.fromkeys(content['bins'], UNKNOWN_DIGEST)
        return lifted

    def has_old_digests(self) -> bool:
        return UNKNOWN_DIGEST in (self.bins or {}).values()

    def check_bins(self, path: str) -> None:
        """Raise InputError unless the bins that this form, of the file PATH, notes hold each of its videos once."""
        try:
            names = sorted(map(BinName.parse, self.bins or ()))
        except InputError as e:
            raise InputError(f'{path}: {e}')
        count = 0
        for name in names:
            if name.first != count or len(name.labels) > (self.bts or 0):
                raise InputError(f'{path}: its bins do not hold the videos from 0 on once each; {MAKE_AGAIN}')
            count += len(name.labels)
        if names and count != self.num_videos:
            raise InputError(f'{path}: num_videos is {self.num_videos}, and its bins hold {count} videos; {MAKE_AGAIN}')


def read_info(folder: str) -> Optional[BinsInfo]:
    """The info.json of a folder of bins; None where there is none, as beside bins that something else made."""
    path = os.path.join(folder, INFO)
    if not os.path.isfile(path):
        return None
    info = BinsInfo.read(path)
    info.check_bins(path)
    return info


NO_INFO = BinsInfo(**{name: None for name in BinsInfo.checks()})  # of bins that something else made


def check_digest(path: str, data: np.ndarray, info: BinsInfo) -> bool:
    """Whether INFO notes a digest of the bin PATH, whose values are in the array DATA.

    Raises InputError where it is another digest, or where the bin is not among those that are noted.
    """
    if info.bins is None:
        return False
    noted = info.bins.get(os.path.basename(path))
    if noted is None:
        raise InputError(f'{path}: is not one of the {len(info.bins)} files of {INFO} beside it; {MAKE_AGAIN}')
    if noted == UNKNOWN_DIGEST:
        return False
    if xxhash.xxh3_128_hexdigest(data.data) != noted:
        check_values(path, data)  # it may know more of what has happened
        raise InputError(f'{path}: was changed since r2plus1d_preprocess.py wrote it: {INFO} notes another digest; '
                         f'{MAKE_AGAIN}')
    return True


def config_digest(cfg: Any) -> str:
    """SHA-256, in hexadecimal digits, of what a config says of the test data: list, folder and pipeline."""
    return json_digest(cfg.data.test)
