# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Files and folders that appear whole, with one writer each, and whose they are.

    with claim('predata_bts1', check_folder, inputs=[list_file]) as folder:    # a second run is refused, and told who
        ...                                                                    # make predata_bts1.part
        replace_folder(f'{folder}.part', folder)

The names beside a file or folder F: F.lock (who writes it), F.part (what will be F), F.old (what was F). A name says
nothing of whose a file is. That F.part and F.old are ours is said by F.lock, which has our words in it; a killed run
leaves it, and so does one that leaves F.part for the next one to go on with. Whether F is ours is told by its content.
"""
from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import re
import shutil
import socket
import stat
import warnings
from typing import IO, Callable, Iterable, Iterator, Optional, Sequence

import filelock

from r2plus1d.run import InputError, log

LOCK_ENDING = '.lock'
PART_ENDING = '.part'
OLD_ENDING = '.old'
SIGNATURE = re.compile(r'r2plus1d, (process \d+ on \S+)\n')
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
MOMENT = 3  # seconds: processes that a killed run has started hold its lock until they have ended as well


# ---- plain files -------------------------------------------------------------------------------------


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """An OSError that names no file, as one of writing, is raised again with the file PATH."""
    try:
        yield
    except OSError as e:
        if e.filename is not None or e.errno is None:
            raise
        raise OSError(e.errno, e.strerror, os.fspath(path))


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
    name = path + LOCK_ENDING
    beside = [path + ending for ending in endings]
    was_signed = read_lock(name) is not None  # asked before, too, since old versions of filelock empty the file
    with locked(path) as has_lock:
        is_signed = has_lock and (was_signed or read_lock(name) is not None)
        try:
            for other in filter(os.path.lexists, beside):
                if not is_signed:
                    raise InputError(f'{other}: is in the way, and no {name} says that a run of these scripts has left '
                                     'it; move it away')
            if os.path.lexists(path):
                check(path)
            if has_lock:
                with open(os.open(name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), 'w') as f:
                    f.write(f'r2plus1d, process {os.getpid()} on {socket.gethostname()}\n')
                is_signed = True
            yield path
        finally:
            # What stands beside it would not be known for ours without the lock file.
            if has_lock and not (is_signed and any(map(os.path.lexists, beside))):
                with contextlib.suppress(OSError):
                    os.unlink(name)


@contextlib.contextmanager
def locked(path: str) -> Iterator[bool]:
    """Within this context PATH is locked by this process and those that it starts: by the kernel, in a file beside it.

    Gives False where the file system has no locks. That is said: another run may be at work.
    """
    name = path + LOCK_ENDING
    lock = filelock.FileLock(name, timeout=MOMENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('error')  # filelock warns where it would do without the kernel's locks
            lock.acquire(poll_interval=0.05)
            while not os.path.exists(name):  # its last holder has removed it meanwhile
                lock.release()
                lock.acquire(poll_interval=0.05)
    except filelock.Timeout:
        raise InputError(f'{path}: is being written by {read_lock(name) or "another run"}; wait for its end, or give '
                         'another name')
    except (UserWarning, NotImplementedError, OSError) as e:
        if isinstance(e, OSError) and e.errno not in NO_LOCKS:
            raise
        log(f'{path}: this file system has no locks; start no second run with this name')
    try:
        yield lock.is_locked
    finally:
        lock.release()


def read_lock(name: str) -> Optional[str]:
    """Who has signed a lock file; None where there is none, or nobody has. Raises InputError where it is not ours."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, 'rb') as f:
            text = f.read(1000).decode(errors='replace') if stat.S_ISREG(os.fstat(descriptor).st_mode) else 'no file'
    except FileNotFoundError:
        return None
    except OSError:
        text = 'a link, a folder, or not readable'
    match = SIGNATURE.fullmatch(text)
    if text and not match:
        raise InputError(f'{name}: is no lock file of these scripts; move it away')
    return match[1].replace(f' on {socket.gethostname()}', '') if match else None


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
    """Put the folder NEW in the place of FOLDER, by renames only. At no moment is there a part of a FOLDER."""
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
