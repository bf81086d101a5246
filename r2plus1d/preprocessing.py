# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The folder of bins that r2plus1d_preprocess.py makes: is it there already, what has a run before left, making it.

    bins = Bins(samples, info, sample.nbytes)
    with claim('predata_bts1', check_folder) as path:
        if not bins.are_in(path):
            bins.make(path, workers=4)

<path>.part holds the bins that are done, an info.json that says of which run, without the digests of the bins, and the
journal: a line with name and digest for each bin that is done.
"""
from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import re
import shutil
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Dict, List, Optional, Tuple

import cv2
from tqdm import tqdm

from r2plus1d.bins import BIN_NAME, INFO, BinName, Info, read_info, write_bin
from r2plus1d.data import Videos
from r2plus1d.forms import write_json
from r2plus1d.frames import name_of
from r2plus1d.inference import look_ahead
from r2plus1d.run import InputError, end_with_parent, log
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
        if not overwrite and info is None:
            raise InputError(f'{path}: holds .bin files without the {INFO} that this script writes; '
                             'choose another --output_path, or replace them by --overwrite')
        if info and info.bins is not None and entry.name not in (INFO, *info.bins):
            raise InputError(f'{path}: holds {entry.name}, which its {INFO} does not list; choose another '
                             '--output_path, or replace the files by --overwrite')


def stamps(videos: Videos) -> List[List[int]]:
    """[size in bytes, time of change in ns] of each video, by which it is known again.

    A folder of frames is known by its own time and by its first frame: whatever adds, removes or renames a frame
    changes the one, and a tool that writes all frames anew changes the other.
    """
    found = []
    for video in videos.infos:
        size = time = 0  # where an archive or a database gives the frames
        with contextlib.suppress(OSError, KeyError):
            status = os.stat(name_of(video))
            size, time = status.st_size, status.st_mtime_ns
            first = os.stat(os.path.join(video['frame_dir'], video['filename_tmpl'].format(video['start_index'])))
            size, time = first.st_size, max(time, first.st_mtime_ns)
        found.append([size, time])
    return found


# ---- making it ---------------------------------------------------------------------------------------


class Bins:
    """The bins of SAMPLES, item i of which is (label, array). INFO: their info.json, without the bins."""

    def __init__(self, samples: Any, info: Info, sample_size: int) -> None:
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
            if done_bins(part) and not overwrite:
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
        noted = done_bins(part)
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
            with ProcessPoolExecutor(workers, multiprocessing.get_context('fork'), start_worker,
                                     (self, path + PART_ENDING)) as pool, \
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

write_one: Optional[Callable[[int], Tuple[str, str, int]]] = None  # set in each of these processes


def start_worker(bins: Bins, part: str) -> None:
    """What a process does first. It inherits BINS as they are; only numbers and names pass between processes."""
    global write_one
    end_with_parent()
    cv2.setNumThreads(0)  # the processes are the parallelism

    def write(number: int) -> Tuple[str, str, int]:
        videos = bins.videos(number)
        name, digest = write_bin(part, videos[0], (bins.samples[index] for index in videos), bins.bts)
        add_to_journal(part, name, digest)
        return name, digest, len(videos)

    write_one = write


def write_in_worker(number: int) -> Tuple[str, str, int]:
    """Write the bin with this NUMBER; its name, its digest, the number of its videos."""
    assert write_one
    return write_one(number)


def add_to_journal(part: str, name: str, digest: str) -> None:
    """Note a bin that is done. The line is one write, so that processes do not mix theirs."""
    path = os.path.join(part, JOURNAL)
    with naming(path), open(path, 'ab', buffering=0) as f:
        write_all(f, f'\n{name} {digest}\n'.encode())  # a line before it may have lost its end


def done_bins(part: str) -> Dict[str, str]:
    """The digests, by name, of the bins that are noted as done. Lines that are not whole are passed over.

    When all are done, the info.json notes them.
    """
    with contextlib.suppress(OSError), open(os.path.join(part, JOURNAL), encoding='ascii', errors='replace') as f:
        lines = [JOURNAL_LINE.fullmatch(line) for line in f.read().split('\n')]
        return {match[1]: match[2] for match in lines if match}
    with contextlib.suppress(InputError):
        info = read_info(part)
        return (info.bins if info else None) or {}
    return {}
