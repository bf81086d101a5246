# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the client of 2024 and later asks of the paths that it reads and writes. Nobody is exempt, root neither."""
import os
import re
import stat
import time

from ais_bench.stand_in.log import logger

MAX_PATH = 4096
MAX_NAME = 255
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OPEN_TO_OTHERS = WRITABLE_BY_OTHERS | stat.S_IROTH | stat.S_IXOTH


class OpenException(Exception):
    pass


def check_string(path):
    """The absolute path. Raises OpenException for one that is too long or has other characters than A-Z a-z 0-9 _ . / -

    The folder in which the client was started is a part of it.
    """
    path = os.path.abspath(path)
    problem = None
    if len(path) > MAX_PATH or any(len(name) > MAX_NAME for name in path.split('/')):
        problem = 'the path is too long'
    elif re.search(r'[^A-Za-z0-9_./-]', path):
        problem = 'the path has characters other than A-Z a-z 0-9 _ . / -'
    if problem:
        logger.error(f'{path}: {problem}')
        raise OpenException(f'{path}: {problem}')
    return path


def is_allowed(path, access):
    """Whether the client reads or writes PATH, a file or a folder; ACCESS: read or write. The log says why not."""
    fault = find_fault(check_string(path), access)
    if fault:
        logger.error(f'{path}: {fault}')
    return not fault


def find_fault(path, access):
    """What forbids to read or write an absolute path, in the order in which the client asks; None if nothing does.

    Links among the parent folders are followed. A link to nothing counts as a path that does not exist.
    """
    if not os.path.exists(path):
        return 'it does not exist' if access == 'read' else None
    if os.path.islink(path):
        return 'it is a link'
    info = os.stat(path)
    if info.st_uid != os.geteuid() and info.st_gid not in os.getgroups():
        return 'it belongs neither to the user nor to a group of the user'
    if access == 'read':
        if info.st_mode & WRITABLE_BY_OTHERS:
            return f'group or others can write it (mode {stat.S_IMODE(info.st_mode):o}, at most 755)'
        if not os.access(path, os.R_OK) or not info.st_mode & stat.S_IRUSR:
            return 'the user cannot read it'
    else:
        if info.st_mode & OPEN_TO_OTHERS:
            return f'it is open to others (mode {stat.S_IMODE(info.st_mode):o}, at most 750)'
        if not os.access(path, os.W_OK):
            return 'the user cannot write it'
    return None


def check_model(path):
    """Raise ValueError unless PATH is an .om that InferSession loads."""
    check_readable(path, os.path.isfile, 'file')
    if os.path.splitext(path)[1] != '.om':
        raise ValueError(f'{path} is no .om')


def check_output_folder(path):
    """Raise ValueError unless a folder that is there already can take outputs."""
    check_readable(path, os.path.isdir, 'directory')


def check_readable(path, is_kind, name):
    try:
        whole = check_string(path)
    except OpenException:
        raise ValueError('The path string is illegal. Please check.')
    if not is_kind(whole):
        raise ValueError(f'The path:{path} is not a {name}.')
    if not is_allowed(whole, 'read'):
        raise ValueError(f'The path:{path} is illegal. Please check the error log for more detail.')


def make_folders(path):
    """Make a folder and its parents with mode 750.

    Several devices do this at the same time, and the one that finds a folder made between its look and its mkdir()
    fails, now and then. With STAND_IN_RACE=1 all but the first fail every time.
    """
    parents = [os.path.abspath(path)]
    while os.path.dirname(parents[-1]) != parents[-1]:
        parents.append(os.path.dirname(parents[-1]))
    for folder in reversed(parents):
        if os.path.exists(folder):
            continue
        if os.environ.get('STAND_IN_RACE') == '1':
            time.sleep(0.3)
        try:
            os.mkdir(folder, 0o750)
        except OSError as e:
            raise RuntimeError(f'can not make dir: {folder}') from e


def read_file(path):
    """The bytes of an input file."""
    whole = check_string(path)
    if not os.path.isfile(whole) or os.path.islink(whole):
        raise OpenException(f'{path} is a folder, a link or not there')
    with open(path, 'rb') as f:
        return f.read()


def create_file(path):
    """Open a new file of mode 640 for writing. One of the same name is removed if it is the user's own.

    The path is opened as it was given: below a folder that is not there, `..` leads nowhere.
    """
    whole = check_string(path)
    if os.path.exists(whole):
        if os.path.isdir(whole) or os.path.islink(whole):
            raise OpenException(f'{path} is a folder or a link')
        if os.stat(whole).st_uid != os.geteuid():
            raise OpenException(f'{path} is of another user')
        os.remove(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), 'wb')
