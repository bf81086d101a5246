# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the client of 2024 and later asks of the paths that it reads and writes. Nobody is exempt, root neither.

Importing it sends the log of the whole process to standard output, as importing the client does.
"""
import logging
import os
import re
import stat
import sys

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='[%(levelname)s] %(message)s')
logger = logging.getLogger('ais_bench')
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OPEN_TO_OTHERS = WRITABLE_BY_OTHERS | stat.S_IROTH | stat.S_IXOTH


class OpenException(Exception):
    pass


def failure(text):
    """The exception of an error that the client explains only in its log."""
    logger.error(text)
    return RuntimeError()


def is_allowed(path, access):
    """Whether the client reads or writes PATH, a file or a folder; ACCESS: read or write. The log says why not.

    Raises OpenException for other characters than A-Z a-z 0-9 _ . / - in the absolute path: the folder in which the
    client was started is a part of it.
    """
    path = os.path.abspath(path)
    if re.search(r'[^A-Za-z0-9_./-]', path):
        logger.error(f'{path}: the path has characters other than A-Z a-z 0-9 _ . / -')
        raise OpenException(path)
    fault = find_fault(path, access)
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
    try:
        good = os.path.isfile(path) and path.endswith('.om') and is_allowed(path, 'read')
    except OpenException:
        raise ValueError('The path string is illegal. Please check.')
    if not good:
        raise ValueError(f'The path:{path} is illegal. Please check the error log for more detail.')


def make_folders(path):
    """Make a folder and its parents with mode 750."""
    if not os.path.isdir(path):
        make_folders(os.path.dirname(os.path.abspath(path)))
        os.mkdir(path, 0o750)


def create_file(path):
    """Open a new file of mode 640 for writing. One of the same name is removed if it is the user's own."""
    if os.path.exists(path):
        if os.path.islink(path) or os.stat(path).st_uid != os.geteuid():
            raise OpenException(f'{path} is a link, or of another user')
        os.remove(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), 'wb')
