# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What every script is wrapped in: messages, exit status, arguments. Nothing here needs a package beside Python.

    with packages_needed():           # a missing one becomes one line, which says where the environment is
        import numpy as np

    @script_main                      # an InputError becomes one line and exit status 1
    def main():
        args = make_parser(__doc__).parse_args()
"""
from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import functools
import gc
import importlib
import os
import signal
import sys
import threading
import warnings
from typing import Any, Callable, Iterator, List, NoReturn, Optional

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What --config and --classes are, unless they are given: the config beside the scripts, and UCF-101's class list where
# the README puts it.
DEFAULT_CONFIG = os.path.join(FOLDER, 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0  # seconds from one of them to the end of a script that does not end by itself
ENDED = threading.Event()  # what another thread says after that is not printed: an engine may still be loading


# ---- messages ----------------------------------------------------------------------------------------


class InputError(Exception):
    """Something that the user can mend. The message says what was found, what was expected and what to do."""


def one_line(error: object, limit: int = 300) -> str:
    """The text of an exception on one line of at most LIMIT characters."""
    return ' '.join(str(error).split())[:limit]


def printable(text: object) -> str:
    """A message as one line that a terminal only shows: names may have newlines, or move the cursor."""
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def log(text: object) -> None:
    if not ENDED.is_set() or threading.current_thread() is threading.main_thread():
        print(f'[INFO] {printable(text)}', file=sys.stderr)


def describe_os_error(error: OSError) -> str:
    """The text of an OSError, with what to do where the disk is full."""
    if error.filename is None:
        return str(error)
    text = f'{error.filename}: {error.strerror}'
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        text += '; make room there and run the same command again'
    return text


# ---- a script from its begin to its end --------------------------------------------------------------


@contextlib.contextmanager
def packages_needed() -> Iterator[None]:
    """Around the imports of a script, which take seconds: a package that is missing, or Ctrl-C, is one line."""
    try:
        with signals_wait():
            yield
    except KeyboardInterrupt as e:
        end_of_signal(e)
    except ImportError as e:
        end_of_import(e)


def script_main(main: Callable[[], None]) -> Callable[[], None]:
    """Decorator of a script's main(): an error that is no bug becomes one line on standard error.

    Exit status 1 for an InputError, OSError or ImportError, 130 after Ctrl-C, 143 after SIGTERM.
    """

    @functools.wraps(main)
    def wrapper() -> None:
        try:
            with signals_raise():
                prepare()
                main()
                flush_output()
        except InputError as e:
            end(e)
        except OSError as e:
            end(describe_os_error(e))
        except ImportError as e:
            end_of_import(e)
        except KeyboardInterrupt as e:
            end_of_signal(e)

    return wrapper


def end(text: object, status: int = 1) -> NoReturn:
    """End this script with a line on standard error, the last one."""
    ENDED.set()
    print(printable(f'{os.path.basename(sys.argv[0])}: {text}'), file=sys.stderr, flush=True)
    sys.exit(status)


def end_of_import(error: ImportError) -> NoReturn:
    """End this script because of its environment, which is to blame, and no file of the user's."""
    if str(error.name).startswith('r2plus1d'):
        raise error
    venv = os.path.join(FOLDER, '.venv')
    remedy = f'make the environment by bash {FOLDER}/setup.sh'
    if os.path.isdir(venv) and sys.prefix != venv:
        remedy = f'activate the environment of the scripts: source {venv}/bin/activate'
    if isinstance(error, ModuleNotFoundError):
        end(f'{sys.executable} has no package {error.name}; {remedy}')
    end(f'{sys.executable} cannot import what the scripts need: {one_line(error)}; {remedy}')


def end_of_signal(interrupt: KeyboardInterrupt) -> NoReturn:
    """End this script, with a line and the exit status that says which signal it was."""
    number = signal.Signals(interrupt.args[0] if interrupt.args else signal.SIGINT)
    cause = 'Ctrl-C' if number == signal.SIGINT else number.name
    end(f'stopped by {cause}; the same command goes on, or begins again', 128 + number)


@contextlib.contextmanager
def signals_call(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Within this context signals that end a script call HANDLER; one that is ignored (nohup) stays ignored."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number, old in before.items():
        if old != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Within this context signals that end a script wait; the first of them comes at its end.

    For what cannot bear that a handler raises: a fork, whose errors Python prints and forgets, and the import of a
    library in C++, which aborts. To block signals would not do, since any thread may take them, one of a library too.
    """
    if threading.current_thread() is not threading.main_thread():  # no other thread calls handlers
        yield
        return
    came: List[int] = []
    with signals_call(lambda number, _: came.append(number)):
        yield
    for number in came[:1]:
        signal.raise_signal(number)


def import_library(name: str) -> Any:
    """A package with parts in C++, imported where it is used; see signals_wait()."""
    with signals_wait():
        return importlib.import_module(name)


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Within this context SIGTERM ends like Ctrl-C."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer)
    has_ended = threading.Event()
    threading.Thread(target=end_by_force, args=[reader, has_ended], daemon=True).start()
    try:
        with signals_call(functools.partial(interrupt, os.getpid())):
            yield
    finally:
        has_ended.set()
        signal.set_wakeup_fd(wakeup)
        os.close(writer)


def end_by_force(reader: int, has_ended: threading.Event) -> None:
    """In a thread: unless main() HAS_ENDED, the process ends PATIENCE seconds after a signal, which READER gives.

    Python calls no handler while it waits for a call of a library, such as the inference of a model that never ends.
    """
    with open(reader, 'rb', buffering=0) as f:  # it stays open: Python would complain of a second signal
        number = f.read(1)
        if number and not has_ended.wait(PATIENCE):
            try:
                end_of_signal(KeyboardInterrupt(number[0]))
            finally:
                os._exit(128 + number[0])


def interrupt(owner: int, number: int, _: object) -> None:
    """Handler of a signal in the process OWNER; its forks end as without it. A second one ends the process at once."""
    for other in ENDING_SIGNALS:
        signal.signal(other, signal.SIG_DFL)
    if os.getpid() == owner:
        raise KeyboardInterrupt(number)
    os.kill(os.getpid(), number)


def prepare() -> None:
    """What holds for all scripts. Raises InputError where there is no place to work or to print."""
    ENDED.clear()
    # When Python ends, it looks for garbage among all objects: with PyTorch's this takes half a second.
    atexit.register(gc.freeze)
    # Since 2024 ais_bench takes no file that others than its owner may write.
    os.umask(os.umask(0) | 0o022)
    warnings.filterwarnings('ignore', module='mmcv')  # mmcv 1.x announces mmcv 2 on every import
    if sys.stdout is None:  # the next file that is opened would take its place
        raise InputError('standard output is closed; send it to a file or to /dev/null')
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')  # for names that the terminal's encoding does not have
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError('the folder in which this script was started is gone; start it in one that is there')


def flush_output() -> None:
    """Print what waits. An error is raised here and now; Python would say it at its end, with a traceback."""
    try:
        sys.stdout.flush()
    except OSError as e:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes again when it ends
        raise OSError(e.errno, e.strerror, 'standard output')


# ---- arguments ---------------------------------------------------------------------------------------


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Leaves the lines of the examples as they are, and adds the default to the help of each option that has one."""

    def _get_help_string(self, action: argparse.Action) -> Optional[str]:
        text = action.help
        has_default = action.option_strings and action.default not in (None, False, argparse.SUPPRESS)
        if text and has_default and '(default:' not in text:
            text += ' (default: %(default)s)'
        return text


class Parser(argparse.ArgumentParser):

    def error(self, message: str) -> NoReturn:
        if '--' in sys.argv[1:-1]:  # the original guide has "-- output_path=DIR"
            message += f'; without the space: --{sys.argv[sys.argv.index("--") + 1]}'
        super().error(message)


def make_parser(doc: Optional[str]) -> argparse.ArgumentParser:
    """A Parser whose help is made of DOC, the docstring of a script (None under PYTHONOPTIMIZE=2).

    The first paragraph of the docstring stands above the options. Its indented lines, the examples, stand below them.
    """
    doc = doc or ''
    return Parser(description=doc.partition('\n\n')[0], formatter_class=HelpFormatter,
                  epilog='\n'.join(['examples:', *example_lines(doc)]) if doc else None)


def example_lines(doc: str) -> List[str]:
    """The indented lines of a docstring."""
    return [line for line in doc.split('\n') if line.startswith('    ')]


def positive_int(text: str) -> int:
    """Type of an argparse option: a whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not 1 or more')
    return value


def require_files(parser: argparse.ArgumentParser, args: argparse.Namespace, *options: str) -> None:
    """Exit with status 2 unless each of the OPTIONS (names without dashes) names a file that exists."""
    for option in options:
        path = getattr(args, option)
        if not os.path.isfile(path):
            parser.error(f'--{option} {path}: no such file{explain_missing(path)}')


def explain_missing(path: str) -> str:
    """The end of a message that says that there is no file PATH: where it was looked for, and where it is instead."""
    if os.path.isabs(path) or os.getcwd() == FOLDER:
        return ''
    if os.path.exists(os.path.join(FOLDER, path)):
        return f' in {os.getcwd()}, where this script was started; start it in {FOLDER}, which has one'
    return f' in {os.getcwd()}'
