# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Subtitles with the best class of each window of a video: one SubRip file a video, in a folder of their own.

    subtitles = Subtitles('subtitles', ['clips'], videos)     # refuses names that collide, and files of others
    subtitles.write(rows)                                     # all rows of a video

A name follows from the path of the video alone, so it stays the same when a run is continued or a folder grows. A file
is ours if the list of digests in the folder has its content; only such a file is replaced.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Dict, List, Sequence, Set

from r2plus1d.rows import Row
from r2plus1d.run import InputError
from r2plus1d.store import PART_ENDING, naming, remove_tree, write_whole
from r2plus1d.videos import Video

LIST = '.r2plus1d_subtitles.jsonl'  # a line for each file before it is written: its name and digest


class Subtitles:
    """GIVEN: what --video was given, by which VIDEOS were found. Raises InputError before anything is written."""

    def __init__(self, folder: str, given: Sequence[str], videos: Sequence[Video]) -> None:
        self.folder = folder
        self.list = os.path.join(folder, LIST)
        folders = [os.path.abspath(one) for one in given if os.path.isdir(one)]
        self.names = {video.path: subtitle_name(video.path, given, folders) for video in videos}
        owners: Dict[str, str] = {}
        for path, name in self.names.items():
            other = owners.setdefault(name, path)
            if other != path:
                raise InputError(f'{other} and {path}: both would have the subtitles {os.path.join(folder, name)}; '
                                 'rename one of them, or give them one by one, each with another --srt')
        self.ours = self.read_list()
        for name in owners:
            self.check_ours(name)

    def read_list(self) -> Dict[str, Set[str]]:
        """The digests of what was written, by name."""
        ours: Dict[str, Set[str]] = {}
        if os.path.isfile(self.list):
            for line in read_file(self.list).splitlines():
                with contextlib.suppress(ValueError, TypeError):  # the last line of a run that was killed
                    name, digest = json.loads(line)
                    ours.setdefault(name, set()).add(digest)
        return ours

    def check_ours(self, name: str) -> None:
        """Raise InputError where there is a file of this name which we did not write."""
        path = os.path.join(self.folder, name)
        if not os.path.lexists(path):
            return
        if os.path.isfile(path) and not os.path.islink(path) and digest_of(read_file(path)) in self.ours.get(name, ()):
            return
        raise InputError(f'{path}: was not written by this script, or was changed since; it is kept: move it away, or '
                         'give another --srt')

    def write(self, rows: Sequence[Row]) -> None:
        """Write the file of the video whose rows these are, unless it is there. A video of errors alone gets none."""
        name = self.names[rows[0].path]
        content = srt_text(rows).encode('utf-8', 'backslashreplace')
        path = os.path.join(self.folder, name)
        if not content or os.path.isfile(path) and read_file(path) == content:
            return
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with naming(self.list), open(self.list, 'a', encoding='utf-8') as f:
            f.write(json.dumps([name, digest_of(content)]) + '\n')
        if name in self.ours:  # a killed run may have left a part of it
            remove_tree(path + PART_ENDING)
        write_whole(path, content)


def subtitle_name(path: str, given: Sequence[str], folders: Sequence[str]) -> str:
    """The place of a video's subtitles in their folder. FOLDERS: the absolute paths of those that were GIVEN.

    A video that was given by its own name has that name; one that was found in a folder has its place in that folder;
    one of a list has the path that it has in the current folder, or its whole path where it lies elsewhere.
    """
    absolute = os.path.abspath(path)
    if path in given:
        relative = os.path.basename(absolute)
    else:
        base = next((one for one in [*folders, os.getcwd()] if os.path.commonpath([one, absolute]) == one), os.sep)
        relative = os.path.relpath(absolute, base)
    return os.path.splitext(relative)[0] + '.srt'


def read_file(path: str) -> bytes:
    with open(path, 'rb') as f:
        return f.read()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def srt_time(seconds: float) -> str:
    """Seconds as SubRip has them: 00:01:02,345."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60000)
    hours, minutes = divmod(minutes, 60)
    return f'{hours:02}:{minutes:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}'


def srt_text(rows: Sequence[Row]) -> str:
    cues: List[str] = []
    for row in rows:
        if row.start_s is not None and row.end_s is not None and row.classes and row.probabilities:
            cues.append(f'{len(cues) + 1}\n{srt_time(row.start_s)} --> {srt_time(row.end_s)}\n'
                        f'{row.classes[0]} {100 * row.probabilities[0]:.0f}%\n\n')
    return ''.join(cues)
