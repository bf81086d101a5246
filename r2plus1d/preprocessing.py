# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The folder of bins that r2plus1d_preprocess.py makes.

    bins = Bins(samples, info, sample.nbytes)
    if not bins.are_in('predata_bts1'):
        bins.make('predata_bts1', workers=4)

predata_bts1.part holds the bins that are done, an info.json that says of which run, and the journal: a line with name
and digest for each bin that is done.
"""
from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import re
import shutil
from concurrent.futures.process import BrokenProcessPool
from typing import IO, Any, Dict, Iterable, List, Tuple

import numpy as np
import xxhash
from tqdm import tqdm

from r2plus1d.bins import BIN_NAME, INFO, BinName, BinsInfo, read_info
from r2plus1d.frames import VideoInfo, name_of
from r2plus1d.json_forms import write_json
from r2plus1d.pools import fork_workers, look_ahead
from r2plus1d.run import InputError, log
from r2plus1d.store import PART_ENDING, naming, remove_folder, remove_tree, replace_folder, write_all

JOURNAL = 'done.txt'
JOURNAL_LINE = re.compile(r'(\S+) ([0-9a-f]{32})')


# ---- is it ours, is it there -------------------------------------------------------------------------


def check_folder(path: str, overwrite: bool) -> None:
    """Raise InputError unless PATH is empty, or holds only what r2plus1d_preprocess.py wrote, which may be replaced.

    That is the info.json and the bins that it lists. With OVERWRITE, also bins that no info.json lists.
    """
    if not os.path.isdir(path):
        raise InputError(f'{path}: exists and is no folder; choose another --output_path')
    info = None if overwrite else read_info(path)
    for entry in os.scandir(path):
        is_bin = entry.is_file(follow_symlinks=False) and (entry.name == INFO or BIN_NAME.fullmatch(entry.name))
        if not is_bin:
            raise InputError(f'{path}: holds other files ({entry.name}); choose an empty or a new --output_path')
        is_listed = info is not None and (info.bins is None or entry.name in (INFO, *info.bins))
        if not overwrite and not is_listed:
            raise InputError(f'{path}: holds {entry.name}, which no {INFO} of this script lists; choose another '
                             '--output_path, or replace the files by --overwrite')


def stamp(video: VideoInfo) -> List[int]:
    """[bytes, ns], by which a video is known again: size and time of its file, or the sums over its folder's files.

    [0, 0] where an archive or a database gives the frames.
    """
    with contextlib.suppress(OSError):
        path = name_of(video)
        entries = [entry.stat() for entry in os.scandir(path)] if os.path.isdir(path) else [os.stat(path)]
        return [sum(entry.st_size for entry in entries), sum(entry.st_mtime_ns for entry in entries)]
    return [0, 0]


# ---- making it ---------------------------------------------------------------------------------------


class Bins:
    """The bins of SAMPLES, item i of which is (label, array). INFO: their info.json, without the bins."""

    def __init__(self, samples: Any, info: BinsInfo, sample_size: int) -> None:
        assert info.bts
        self.samples = samples
        self.labels: List[int] = samples.labels
        self.info = info
        self.bts = info.bts
        self.size = info.bts * sample_size  # of a bin, in bytes
        firsts = range(0, len(self.labels), self.bts)
        self.names = [str(BinName(first, tuple(self.labels[first:first + self.bts]))) for first in firsts]

    def videos(self, number: int) -> range:
        """The numbers of the videos in the bin with this NUMBER."""
        return range(number * self.bts, min((number + 1) * self.bts, len(self.labels)))

    def is_whole(self, path: str) -> bool:
        return os.path.isfile(path) and os.path.getsize(path) == self.size

    def are_in(self, path: str) -> bool:
        """Whether the folder PATH holds just these bins, whole. Says why not."""
        found = read_info(path) if os.path.isdir(path) else None
        if found is None:
            return False
        if found.sources is None:
            log(f'{path}: not checked: whether the videos were changed since; its {INFO} is of an older version')
            found = dataclasses.replace(found, sources=self.info.sources)
        other = found.differences(self.info)
        if other:
            words = {'config_sha256': 'config', 'list_sha256': 'list', 'sources': 'the files of the videos'}
            log(f'{path}: is made again; others since: {", ".join(words.get(name, name) for name in other)}')
        return (not other and sorted(os.listdir(path)) == sorted([*self.names, INFO])
                and all(self.is_whole(os.path.join(path, name)) for name in self.names))

    def make(self, path: str, workers: int, overwrite: bool = False) -> None:
        """Make the folder PATH, which appears whole. Without OVERWRITE, PATH.part of a run before is gone on with."""
        part = path + PART_ENDING
        if overwrite:
            remove_tree(part)
        try:
            digests = self.begin_or_go_on(part)
            if digests:
                log(f'{path}: goes on: {len(digests)} of {len(self.names)} files were done')
            make_room(path, self.size * (len(self.names) - len(digests)))
            self.write(path, workers, digests)
            bins = {name: digests[name] for name in self.names}
            write_json(os.path.join(part, INFO), dataclasses.replace(self.info, bins=bins).to_json())
            remove_tree(os.path.join(part, JOURNAL))
            replace_folder(part, path)
        finally:
            if not overwrite and os.path.isdir(part) and not {*os.listdir(part)}.isdisjoint(self.names):
                log(f'{part}: keeps the bins that are done; the same command goes on')
            else:
                remove_tree(part)

    def begin_or_go_on(self, part: str) -> Dict[str, str]:
        """Make the folder PART ready for this run; the digests, by name, of the bins that it has already.

        What a run before of another config, list, dtype, --bts or other videos has left is removed.
        """
        found = None
        with contextlib.suppress(InputError):
            found = read_info(part)
        if not found or found.differences(self.info):
            remove_tree(part)
            os.mkdir(part)
            write_json(os.path.join(part, INFO), self.info.to_json())
            return {}
        noted = found.bins or read_journal(part)
        done = {name: noted[name] for name in self.names
                if name in noted and self.is_whole(os.path.join(part, name))}
        for name in os.listdir(part):
            if name not in done and name not in (INFO, JOURNAL):
                remove_tree(os.path.join(part, name))
        return done

    def write(self, path: str, workers: int, digests: Dict[str, str]) -> None:
        """Have processes write the bins that are not among the DIGESTS into PATH.part; add theirs."""
        todo = [number for number, name in enumerate(self.names) if name not in digests]
        workers = max(1, min(workers, len(todo)))
        done = len(self.labels) - sum(len(self.videos(number)) for number in todo)
        try:
            with fork_workers(workers, start_worker, self, path + PART_ENDING) as pool, \
                    tqdm(total=len(self.labels), initial=done, unit='video', desc=path) as bar:
                for name, digest, count in look_ahead(pool, write_in_worker, todo, 2 * workers):
                    digests[name] = digest
                    bar.update(count)
        except BrokenProcessPool:
            raise InputError(f'{path}: a process that makes the files was ended, by the system or by somebody; if the '
                             'memory was full, give fewer --workers; the same command goes on')


def make_room(path: str, need: int) -> None:
    """Raise InputError unless NEED bytes are free beside PATH. Where only its old bins are in the way, remove them."""
    free = shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if need <= free:
        return  # for the new bins beside the old ones, which stay until the new ones are complete
    old = sum(entry.stat().st_size for entry in os.scandir(path)) if os.path.isdir(path) else 0
    if need > free + old:
        raise InputError(f'{path}: {need / 1e9:.1f} GB are needed and {(free + old) / 1e9:.1f} GB are free; '
                         '--dtype uint8 needs a quarter, r2plus1d_infer.py --config none')
    log(f'{path}: the old files are removed first, because the disk has no room for both')
    remove_folder(path)


# ---- the processes that make bins ----------------------------------------------------------------------

begun: Any = None  # what Bins into which folder, in each of these processes


def start_worker(bins: Bins, part: str) -> None:
    """What a process does first. It inherits BINS as they are; only numbers and names pass between processes."""
    global begun
    begun = bins, part


def write_in_worker(number: int) -> Tuple[str, str, int]:
    """Write the bin with this NUMBER and note it in the journal; its name, its digest, the number of its videos."""
    bins, part = begun
    videos = bins.videos(number)
    name, digest = write_bin(part, videos[0], (bins.samples[index] for index in videos), bins.bts)
    path = os.path.join(part, JOURNAL)
    with naming(path), open(path, 'ab', buffering=0) as f:  # one write, so that processes do not mix their lines
        write_all(f, f'\n{name} {digest}\n'.encode())  # a line before it may have lost its end
    return name, digest, len(videos)


def read_journal(part: str) -> Dict[str, str]:
    """The digests, by name, of the bins that are noted as done. Lines that are not whole are passed over."""
    path = os.path.join(part, JOURNAL)
    if not os.path.isfile(path):
        return {}
    with open(path, encoding='ascii', errors='replace') as f:
        return {match[1]: match[2] for match in map(JOURNAL_LINE.fullmatch, f.read().split('\n')) if match}


def write_past_cache(f: IO[bytes], array: np.ndarray) -> None:
    """Write an array to an unbuffered file, past the page cache (O_DIRECT) where file system and sizes allow that.

    The 71 GB of a test split would push everything else out of the cache and not stay there themselves, and
    taking the pages for them costs more time than all the rest of preprocessing.
    """
    direct = getattr(os, 'O_DIRECT', 0)
    flags = fcntl.fcntl(f, fcntl.F_GETFL) & ~direct
    data = array.data.cast('B')
    while data:
        try:
            fcntl.fcntl(f, fcntl.F_SETFL, flags | direct)
            data = data[f.write(data):]
        except OSError as e:
            if not direct or e.errno != errno.EINVAL:
                raise
            direct = 0  # this file system or this size does not allow it


def write_bin(folder: str, first: int, samples: Iterable[Tuple[int, np.ndarray]], bts: int) -> Tuple[str, str]:
    """Write one bin of BTS samples; return its name and its digest.

    SAMPLES yields (label, array) of at most BTS videos, of which FIRST is the number of the first one. An OSError names
    the file.
    """
    part = os.path.join(folder, f'{first}.part')
    labels: List[int] = []
    digest = xxhash.xxh3_128()
    with naming(part), open(part, 'wb', buffering=0) as f:
        def write(sample: np.ndarray) -> None:
            digest.update(sample.data)
            write_past_cache(f, sample)

        for label, sample in samples:
            labels.append(label)
            write(sample)
        for _ in range(bts - len(labels)):
            write(sample)
    name = str(BinName(first, tuple(labels)))
    os.rename(part, os.path.join(folder, name))
    return name, digest.hexdigest()
