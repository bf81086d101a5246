# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A lock file beside a file or folder, by which one run knows of another. r2plus1d/store.py says what it is for.

    with Lock('predata_bts1', ['predata_bts1.part']) as lock:  # raises InputError, which names the run that has it
        lock.is_signed                      # whether a run has left predata_bts1.lock, in which it had signed
        lock.sign()
"""
from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import warnings
from typing import NamedTuple, Optional, Sequence

import filelock

from r2plus1d.run import InputError, log

LOCK_ENDING = '.lock'
SIGNATURE = re.compile(r'r2plus1d, process (\d+) on (\S+)\n')
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
# Seconds to wait: a run that only cleans up holds a lock for a moment; processes that a killed run has started hold it
# until they have ended as well.
MOMENT = 0.5
ENDING_PROCESSES = 20


class Holder(NamedTuple):
    """Who has signed a lock file."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f'process {self.pid}' + ('' if self.host == socket.gethostname() else f' on {self.host}')

    def has_ended(self) -> bool:
        """Whether the process is known to have ended."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it belongs to another user
            pass
        return False


class Lock:
    """The lock of PATH. The kernel takes it back when this process and those that it has started have ended.

    Where the file system has no locks, that is said, nothing is written, and nothing counts as ours: another run may be
    at work. At the end the lock file is removed, unless it is signed and one of the files BESIDE it is there, which
    the next run would not know for ours without it.
    """

    def __init__(self, path: str, beside: Sequence[str]) -> None:
        self.path = path
        self.beside = beside
        self.name = path + LOCK_ENDING
        self.lock: Optional[filelock.BaseFileLock] = None
        self.is_signed = False

    def __enter__(self) -> Lock:
        while True:
            before = read_lock(self.name)
            lock = filelock.FileLock(self.name, timeout=ENDING_PROCESSES if before and before.has_ended() else MOMENT)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter('error')  # filelock warns where it would do without the kernel's locks
                    lock.acquire(poll_interval=0.05)
            except filelock.Timeout:
                raise InputError(f'{self.path}: is being written by {read_lock(self.name) or "another run"}; wait for '
                                 'its end, or give another name')
            except (UserWarning, NotImplementedError, OSError) as e:
                if isinstance(e, OSError) and e.errno not in NO_LOCKS:
                    raise
                log(f'{self.path}: this file system has no locks; start no second run with this name')
                return self
            # Old versions of filelock have emptied the file by now.
            self.is_signed = before is not None or read_lock(self.name) is not None
            if os.path.exists(self.name):
                self.lock = lock
                return self
            lock.release()  # it is that of a file which its last holder has removed meanwhile

    def sign(self) -> None:
        """Write into the lock file who has it. From now on what stands beside PATH is ours."""
        if self.lock:
            with open(os.open(self.name, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), 'w') as f:
                f.write(f'r2plus1d, process {os.getpid()} on {socket.gethostname()}\n')
            self.is_signed = True

    def __exit__(self, *_: object) -> None:
        if self.lock:
            if not self.is_signed or not any(map(os.path.lexists, self.beside)):
                with contextlib.suppress(OSError):
                    os.unlink(self.name)
            self.lock.release()


def read_lock(name: str) -> Optional[Holder]:
    """Who has signed a lock file; None where there is none, or nobody has. Raises InputError where it is not ours."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, 'rb') as f:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            text = f.read(1000).decode(errors='replace') if is_file else 'a pipe or the like'
    except FileNotFoundError:
        return None
    except OSError:
        text = 'a link, a folder, or not readable'
    match = SIGNATURE.fullmatch(text)
    if text and not match:
        raise InputError(f'{name}: is no lock file of these scripts; move it away')
    return Holder(int(match[1]), match[2]) if match else None
