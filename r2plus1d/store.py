# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""One writer a folder, and folders that appear whole.

    with locked('predata_bts1'):                   # a second run is refused, and told the first one
        ...                                        # make predata_bts1.part
        replace_folder('predata_bts1.part', 'predata_bts1')

The names beside a folder F: F.lock (who writes it), F.part (what will be F), F.old (what was F). All three may be left
behind by a run that was killed. Whoever has the lock next removes them.
"""
import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import socket
import stat
import time
import types

from r2plus1d.run import InputError, log


@contextlib.contextmanager
def naming(path):
    """An OSError that names no file, as one of writing, is raised again with the file PATH."""
    try:
        yield
    except OSError as e:
        if e.filename is not None or e.errno is None:
            raise
        raise OSError(e.errno, e.strerror, os.fspath(path))


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
    """Write a JSON file that appears whole or not at all. It goes to the disk in parts: one text would fill memory."""
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        json.dump(content, f)


def write_json_object(path, entries):
    """Write a JSON object of (key, value) ENTRIES, a file that appears whole or not at all.

    A value that is a generator of such entries becomes an object, too. Its entries are made while they are written, so
    that an object of many entries takes no memory.
    """
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        write_entries(f, entries)


def write_entries(f, entries):
    separator = '{'
    for key, value in entries:
        f.write(f'{separator}{json.dumps(key)}: ')
        if isinstance(value, types.GeneratorType):
            write_entries(f, value)
        else:
            json.dump(value, f)
        separator = ', '
    f.write('}' if separator == ', ' else '{}')


def write_whole(path, data):
    """Write a file of bytes that appears whole or not at all."""
    with whole_file(path) as part, open(part, 'wb', buffering=0) as f:
        write_all(f, data)


@contextlib.contextmanager
def whole_file(path):
    """The path of a file that gets the name PATH at the end, or is removed after an error. An OSError names PATH."""
    part = path + '.part'
    try:
        with naming(path):
            yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def write_all(f, data):
    """Write bytes to an unbuffered file, which may take them in parts."""
    data = memoryview(data)
    while data:
        data = data[f.write(data):]


def is_count(value):
    """Whether a value from a JSON file is a whole number of 1 or more. (True is an int in Python, and no count.)"""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**53


def is_fraction(value):
    """Whether a value from a JSON file is a finite number from 0 to 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


# ---- plain files -------------------------------------------------------------------------------------


def check_regular_file(path):
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


def file_digest(path):
    """SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()

LOCK_ENDING = '.lock'
PART_ENDING = '.part'
OLD_ENDING = '.old'
# Seconds to wait for a lock: another run that only cleans up holds it for a moment; processes that a killed run has
# started hold it until they have ended as well.
MOMENT = 0.5
ENDING_PROCESSES = 20


# ---- the lock ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder):
    """Within this context no other run writes FOLDER. Raises InputError, which names the other one, if one does.

    The lock is an flock() on F.lock: the kernel takes it back when this process and those that it has started have
    ended, in whatever way.
    """
    path = folder + LOCK_ENDING
    f = take_lock(path)
    try:
        yield
    finally:
        release_lock(f, path)


def take_lock(path):
    """The locked file PATH, open. Raises InputError where another run has it."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    started = time.monotonic()
    while True:
        f = try_lock(path)
        if f:
            return f
        holder = read_holder(path)
        waited = time.monotonic() - started
        if waited > (ENDING_PROCESSES if has_ended(holder) else MOMENT):
            raise InputError(f'{path[:-len(LOCK_ENDING)]}: is being written by {describe_holder(holder)}; '
                             'wait for its end, or give another folder')
        time.sleep(0.05)


def try_lock(path):
    """The locked file PATH, open; None where another process has it."""
    f = open(path, 'a+')
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        f.close()
        return None
    except OSError as e:
        if e.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            f.close()
            raise
        log(f'{path}: this file system has no locks; start no second run with this folder')
    try:
        is_current = os.path.samestat(os.fstat(f.fileno()), os.stat(path))
    except FileNotFoundError:
        is_current = False
    if not is_current:  # it was removed by its last holder after it was opened here
        f.close()
        return None
    f.truncate(0)
    f.write(f'{os.getpid()} {socket.gethostname()}')
    f.flush()
    return f


def release_lock(f, path):
    """Remove the lock file while it is still locked: whoever opened it before sees that it is gone and tries again."""
    with contextlib.suppress(OSError):
        os.unlink(path)
    f.close()


def read_holder(path):
    """(process id, host name) in a lock file; (None, '') where it is gone, or empty since it was just taken."""
    try:
        with open(path) as f:
            pid, host = f.read().split()
        return int(pid), host
    except (OSError, ValueError):
        return None, ''


def has_ended(holder):
    """Whether the process that took a lock is known to have ended."""
    pid, host = holder
    if pid is None or host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it belongs to another user
        pass
    return False


def describe_holder(holder):
    pid, host = holder
    if pid is None:
        return 'another run'
    return f'process {pid}' + ('' if host == socket.gethostname() else f' on {host}')


# ---- whole folders -----------------------------------------------------------------------------------


def replace_folder(new, folder):
    """Put the folder NEW in the place of FOLDER, by renames only. What was there is deleted last.

    Between the two renames there is no FOLDER. At no moment is there a part of one.
    """
    if os.path.lexists(folder):
        os.rename(folder, folder + OLD_ENDING)
    os.rename(new, folder)
    remove_tree(folder + OLD_ENDING)


def remove_folder(folder):
    """Remove a folder so that no part of it is ever found under its name."""
    if os.path.lexists(folder):
        os.rename(folder, folder + OLD_ENDING)
        remove_tree(folder + OLD_ENDING)


def remove_tree(path):
    """Remove a folder, or a file, and what of it cannot be removed stays: nobody reads it."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(path)


def remove_leftovers(parent, pattern, endings):
    """Remove what killed runs have left in PARENT of folders with names like PATTERN, where nobody holds the lock.

    ENDINGS are what the names of the leftovers add to that of the folder.
    """
    for path in glob.glob(f'{glob.escape(parent)}/{pattern}{LOCK_ENDING}'):
        f = None
        with contextlib.suppress(OSError):  # it belongs to another user
            f = try_lock(path)
        if f:
            for ending in endings:
                remove_tree(path[:-len(LOCK_ENDING)] + ending)
            release_lock(f, path)
