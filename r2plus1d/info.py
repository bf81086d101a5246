# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""info.json: what r2plus1d_preprocess.py notes beside its bins. ais_bench passes it over.

    info = read_info('predata_bts1')
    check_digest('predata_bts1/bin0-0_7.bin', values, info)
"""
from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import numpy as np
import xxhash

from r2plus1d.bins import INFO, SAMPLE_DTYPES, BinName, check_values
from r2plus1d.forms import COUNT, FLAG, SHAPE, TEXT, Check, Form, field, one_of
from r2plus1d.run import InputError

MAKE_AGAIN = 'make the bins again with r2plus1d_preprocess.py --overwrite'
SHA256 = Check(lambda value: isinstance(value, str) and re.fullmatch('[0-9a-f]{64}', value) is not None, 'a SHA-256')
UNKNOWN_DIGEST = 'unknown'
DIGEST = Check(lambda value: isinstance(value, str) and re.fullmatch('[0-9a-f]{32}|unknown', value) is not None,
               'a digest (XXH3, 128 bits)')
STAMP = Check(lambda value: isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value),
              'size and time')


@dataclass(frozen=True)
class Info(Form):
    """What r2plus1d_preprocess.py notes beside its bins. A field is None where an older version did not note it.

    config, list: absolute paths. config_sha256, list_sha256: of what they say. dtype, shape: of a sample. sources: of
    each video in the list, its size in bytes and the time of its last change in ns. bins: the digest of each file, by
    its name; there are none while a run is unfinished.
    """

    VERSION = 2  # the first one had other digests of bins, and no sources
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
        content = {'allow_damaged': False, **content}
        if isinstance(content.get('bins'), dict):
            content['bins'] = dict.fromkeys(content['bins'], UNKNOWN_DIGEST)
        return content

    def has_old_digests(self) -> bool:
        return UNKNOWN_DIGEST in (self.bins or {}).values()

    def check_bins(self, path: str) -> None:
        """Raise InputError unless the bins that this form, of the file PATH, notes hold each of its videos once."""
        try:
            names = sorted(map(BinName.parse, self.bins or ()))
        except InputError as e:
            raise InputError(f'{path}: {e}')
        expected = 0
        for name in names:
            if name.first != expected or len(name.labels) > (self.bts or 0):
                raise InputError(f'{path}: its bins do not hold the videos from 0 on once each; {MAKE_AGAIN}')
            expected += len(name.labels)
        if names and expected != self.num_videos:
            raise InputError(f'{path}: num_videos is {self.num_videos}, and its bins hold {expected} videos; '
                             f'{MAKE_AGAIN}')


def read_info(folder: str) -> Optional[Info]:
    """The info.json of a folder of bins; None where there is none, as beside bins that something else made."""
    path = os.path.join(folder, INFO)
    if not os.path.isfile(path):
        return None
    info = Info.read(path)
    info.check_bins(path)
    return info


NO_INFO = Info(**{name: None for name in Info.checks()})  # of bins that something else made


def check_digest(path: str, data: np.ndarray, info: Info) -> bool:
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
