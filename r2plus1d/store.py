# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole, with one writer each, and whose they are.

    with claim('predata_bts1', check_folder, inputs=[list_file]) as folder:    # a second run is refused, and told who
        ...                                                                    # make predata_bts1.part
        replace_folder(folder)

The names beside a file or folder F: F.lock (who writes it), F.part (what will be F), F.old (what was F). A name says
nothing of whose a file is. That F.part and F.old are ours is said by F.lock, which has our words in it; a killed run
leaves it, and so does one that leaves F.part for the next one to go on with. Whether F is ours is told by its content.
"""
from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import shutil
import stat
import types
from typing import IO, Any, Callable, Iterable, Iterator, Sequence, Tuple

from r2plus1d.locks import LOCK_ENDING, Lock
from r2plus1d.run import InputError

PART_ENDING = '.part'
OLD_ENDING = '.old'
LARGEST_COUNT = 2**53  # whole numbers above it are no floating-point numbers any more


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """An OSError that names no file, as one of writing, is raised again with the file PATH."""
    try:
        yield
    except OSError as e:
        if e.filename is not None or e.errno is None:
            raise
        raise OSError(e.errno, e.strerror, os.fspath(path))


# ---- JSON files ------------------------------------------------------------------------------------


def read_json(path: str, hint: str = 'was the step that writes it interrupted?') -> Any:
    """The content of a JSON file. Raises InputError, with HINT as its last words, where it is missing or damaged."""
    if os.path.exists(path) and not os.path.isfile(path):
        check_regular_file(path)
    try:
        with open(path, encoding='utf-8') as f:
            return json.load(f)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file; {hint}')
    except (ValueError, RecursionError):  # damaged, not text, or nested too deep
        raise InputError(f'{path}: not JSON; {hint}')


def write_json(path: str, content: Any) -> None:
    """Write a JSON file that appears whole or not at all. It goes to the disk in parts: one text would fill memory."""
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        json.dump(content, f)


def write_json_object(path: str, entries: Iterable[Tuple[str, Any]]) -> None:
    """Write a JSON object of (key, value) ENTRIES, a file that appears whole or not at all.

    A value that is a generator of such entries becomes an object, too. Its entries are made while they are written, so
    that an object of many entries takes no memory.
    """
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        write_entries(f, entries)


def write_entries(f: IO[str], entries: Iterable[Tuple[str, Any]]) -> None:
    separator = '{'
    for key, value in entries:
        f.write(f'{separator}{json.dumps(key)}: ')
        if isinstance(value, types.GeneratorType):
            write_entries(f, value)
        else:
            json.dump(value, f)
        separator = ', '
    f.write('}' if separator == ', ' else '{}')


def is_count(value: object) -> bool:
    """Whether a value from a JSON file is a whole number of 1 or more. (True is an int in Python, and no count.)"""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < LARGEST_COUNT


def is_fraction(value: object) -> bool:
    """Whether a value from a JSON file is a finite number from 0 to 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


# ---- plain files -------------------------------------------------------------------------------------


def check_regular_file(path: str) -> int:
    """The size of a file in bytes. Raises InputError unless it is a plain file with something in it.

    Nothing is opened: opening a named pipe waits for whoever writes into it, maybe forever.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise InputError(f'{path}: {"is a link to nowhere" if os.path.islink(path) else "no such file"}')
    except OSError as e:
        raise InputError(f'{path}: cannot be read: {e.strerror}')
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFIFO: 'a named pipe', stat.S_IFDIR: 'a folder', stat.S_IFSOCK: 'a socket'}
        raise InputError(f'{path}: is {kinds.get(stat.S_IFMT(status.st_mode), "a device")}, expected a file')
    if not status.st_size:
        raise InputError(f'{path}: is empty')
    return status.st_size


def file_digest(path: str) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def write_whole(path: str, data: bytes) -> None:
    """Write a file of bytes that appears whole or not at all."""
    with whole_file(path) as part, open(part, 'wb', buffering=0) as f:
        write_all(f, data)


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """The path of a new, empty file that gets the name PATH at the end, or is removed after an error.

    An OSError names PATH. What a killed run has left under the name of the new file is removed by those who claim()
    PATH or its folder; here nothing is overwritten.
    """
    part = path + PART_ENDING
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        raise InputError(f'{part}: is in the way; move it away')
    try:
        with naming(path):
            yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def write_all(f: IO[bytes], data: bytes) -> None:
    """Write bytes to an unbuffered file, which may take them in parts."""
    view = memoryview(data)
    while view:
        view = view[f.write(view):]


# ---- whose a file or folder is -----------------------------------------------------------------------


@contextlib.contextmanager
def claim(path: str, check: Callable[[str], None] = lambda path: None, inputs: Iterable[str] = (),
          endings: Sequence[str] = (PART_ENDING, OLD_ENDING)) -> Iterator[str]:
    """Within this context the file or folder PATH is this run's alone, as are PATH + each of the ENDINGS.

    Gives the path to write to, which is where a link leads. CHECK(path) is called where there is something already: it
    raises InputError unless these scripts made it, told by its content. Nothing is changed before all of this is known:
    that PATH is no input, in none and around none; that it can be replaced by a rename; that no other run writes it;
    that what stands beside it was left by such a run.
    """
    real = os.path.realpath(path)
    path = os.path.normpath(path) if real == os.path.abspath(path) else real
    check_place(path, inputs)
    os.makedirs(os.path.dirname(real), exist_ok=True)
    beside = [path + ending for ending in endings]
    with Lock(path, beside) as lock:
        for other in filter(os.path.lexists, beside):
            if not lock.is_signed:
                raise InputError(f'{other}: is in the way, and no {path}{LOCK_ENDING} says that a run of these scripts '
                                 'has left it; move it away')
        if os.path.lexists(path):
            check(path)
        lock.sign()
        yield path


def check_place(path: str, inputs: Iterable[str]) -> None:
    """Raise InputError where PATH can not become an output without harm."""
    real = os.path.realpath(path)
    for given in inputs:
        other = os.path.realpath(given)
        if is_within(real, other) or is_within(other, real):
            relation = 'is' if real == other else 'lies in' if is_within(real, other) else 'contains'
            raise InputError(f'{path}: {relation} {given}, which is an input; choose another output')
    if os.path.ismount(real):
        raise InputError(f'{path}: a file system is mounted there, so it cannot be replaced; choose a folder in it')
    if is_within(os.path.realpath(os.curdir), real):
        raise InputError(f'{path}: is the folder in which this script was started, or above it; choose a folder in it')


def is_within(path: str, folder: str) -> bool:
    """Whether a path without links is FOLDER, or lies in it."""
    return os.path.join(path, '').startswith(os.path.join(folder, ''))


# ---- whole folders -----------------------------------------------------------------------------------


def replace_folder(new: str, folder: str) -> None:
    """Put the folder NEW in the place of FOLDER, by renames only. What was there is deleted last.

    Between the two renames there is no FOLDER. At no moment is there a part of one.
    """
    if os.path.lexists(folder):
        os.rename(folder, folder + OLD_ENDING)
    os.rename(new, folder)
    remove_tree(folder + OLD_ENDING)


def remove_folder(folder: str) -> None:
    """Remove a folder so that no part of it is ever found under its name."""
    if os.path.lexists(folder):
        os.rename(folder, folder + OLD_ENDING)
        remove_tree(folder + OLD_ENDING)


def remove_tree(path: str) -> None:
    """Remove a folder, or a file, and what of it cannot be removed stays: nobody reads it."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)


def remove_leftovers(parent: str, pattern: str, endings: Sequence[str]) -> None:
    """Remove what killed runs have left in PARENT beside names like PATTERN: the name + each of the ENDINGS."""
    for name in glob.glob(f'{glob.escape(parent)}/{pattern}{LOCK_ENDING}'):
        path = name[:-len(LOCK_ENDING)]
        with contextlib.suppress(InputError, OSError), claim(path, endings=endings) as claimed:
            for ending in endings:
                remove_tree(claimed + ending)
