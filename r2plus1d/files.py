# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What all scripts share: messages and exit status, JSON files, plain files.

    @script_main                      # an InputError becomes one line and exit status 1
    def main():
        content = read_json(path)

The hand-overs between the steps stand in modules of their own: r2plus1d/bins.py, r2plus1d/outputs.py and
r2plus1d/results.py. None of these four imports PyTorch or an inference engine.
"""
import argparse
import atexit
import contextlib
import functools
import gc
import hashlib
import json
import os
import stat
import sys
import types
import warnings

from r2plus1d.interruptions import (
    FOLDER,
    Interrupted,
    describe_os_error,
    end_with_shell,
    naming,
    signals_raise,
)

# What --config and --classes are, unless they are given: the config beside the scripts, and UCF-101's class list where
# the README puts it.
DEFAULT_CONFIG = os.path.join(FOLDER, 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
DEFAULT_CLASSES = 'data/ucf101/annotations/classInd.txt'

# mmcv 1.x announces mmcv 2 on every import. All files import this module before mmcv (ruff.toml orders the imports so).
warnings.filterwarnings('ignore', module='mmcv')


# ---- messages and exit status ----------------------------------------------------------------------


class InputError(Exception):
    """Something that the user can mend. The message says what was found, what was expected and what to do."""


def one_line(error, limit=300):
    """The text of an exception on one line of at most LIMIT characters."""
    return ' '.join(str(error).split())[:limit]


def printable(text):
    """A message with names from outside, as one line that a terminal only shows.

    A name may have a newline, a control character that moves the cursor, or bytes that are not UTF-8.
    """
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def log(text):
    print(f'[INFO] {printable(text)}', file=sys.stderr)


def script_main(main):
    """Decorator of a script's main(): an error that is no bug becomes one line on standard error.

    Exit status 1 for an InputError or OSError, 130 after Ctrl-C, 143 after SIGTERM.
    """

    @functools.wraps(main)
    def wrapper():
        # When Python ends, it looks for garbage among all objects, several times. With the objects of PyTorch's modules
        # this takes half a second. Objects that are frozen are left out.
        atexit.register(gc.freeze)
        # Since 2024 ais_bench takes no file that others than its owner may write.
        os.umask(os.umask(0) | 0o022)
        script = os.path.basename(sys.argv[0])
        end_with_shell()
        try:
            with signals_raise():
                main()
        except InputError as e:
            sys.exit(printable(f'{script}: {e}'))
        except OSError as e:
            sys.exit(printable(f'{script}: {describe_os_error(e)}'))
        except Interrupted as e:
            print(f'{script}: {e}', file=sys.stderr)
            sys.exit(128 + e.number)

    return wrapper


# ---- arguments -------------------------------------------------------------------------------------


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of the examples as they are, and adds the default to the help of each option that has one."""

    def _get_help_string(self, action):
        text = action.help
        has_default = action.option_strings and action.default not in (None, False, argparse.SUPPRESS)
        if has_default and '(default:' not in text:
            text += ' (default: %(default)s)'
        return text


def make_parser(doc):
    """An argparse.ArgumentParser whose help is made of DOC, the docstring of a script.

    The first paragraph of the docstring stands above the options. Its indented lines, the examples, stand below them.
    """
    purpose = doc.partition('\n\n')[0]
    return argparse.ArgumentParser(description=purpose, epilog='\n'.join(['examples:', *example_lines(doc)]),
                                   formatter_class=HelpFormatter)


def example_lines(doc):
    """The indented lines of a docstring."""
    return [line for line in doc.split('\n') if line.startswith('    ')]


def positive_int(text):
    """Type of an argparse option: a whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def require_files(parser, args, *options):
    """Exit with status 2 unless each of the OPTIONS (names without dashes) names a file that exists."""
    for option in options:
        path = getattr(args, option)
        if not os.path.isfile(path):
            parser.error(f'--{option} {path}: no such file{explain_missing(path)}')


def explain_missing(path):
    """The end of a message that says that there is no file PATH: where it was looked for, and where it is instead."""
    if os.path.isabs(path) or os.getcwd() == FOLDER:
        return ''
    if os.path.exists(os.path.join(FOLDER, path)):
        return f' in {os.getcwd()}, where this script was started; start it in {FOLDER}, which has one'
    return f' in {os.getcwd()}'


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
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


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
