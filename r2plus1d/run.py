# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What all scripts share: messages and exit status, JSON files, plain files.

    @script_main                      # an InputError becomes one line and exit status 1
    def main():
        content = read_json(path)

The hand-overs between the steps stand in modules of their own: r2plus1d/bins.py, r2plus1d/outputs.py and
r2plus1d/results.py. None of these four imports PyTorch or an inference engine.

What ends a run early: Ctrl-C, SIGTERM, a full disk, a missing package, the end of the process that started this one.

    with signals_raise():         # Ctrl-C and SIGTERM raise Interrupted
        work()
    with naming(path):            # an OSError without a file name gets this one
        f.write(data)
    with signals_wait():          # Ctrl-C and SIGTERM wait
        import onnx
"""
import argparse
import atexit
import contextlib
import ctypes
import errno
import functools
import gc
import os
import signal
import sys
import threading
import warnings

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
# test/eval_acc_perf.sh sets this variable to its process id. It cannot end its commands when it is killed by SIGKILL.
SHELL_VARIABLE = 'R2PLUS1D_SHELL'


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM. As a KeyboardInterrupt it passes through "except Exception" of PyTorch and mmaction2."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number

    def __str__(self):
        cause = 'Ctrl-C' if self.number == signal.SIGINT else signal.Signals(self.number).name
        return f'stopped by {cause}; the same command goes on, or begins again'


def raise_interrupted(owner, number, _):
    """Handler of a signal in the process OWNER. Further ones are ignored: they would disturb the cleaning up.

    A process that a library has forked inherits this handler. It has nothing to clean up and ends as it would without.
    """
    if os.getpid() != owner:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    let_children_end()
    sys.unraisablehook = functools.partial(raise_again, owner, number)
    raise Interrupted(number)


def raise_again(owner, number, unraisable):
    """The sys.unraisablehook after a signal: what Python would otherwise print and pass over.

    An exception that is raised in a destructor goes no further. Where it is Interrupted, the script would go on, and
    ignore all further signals; so the signal is sent again, when the destructor has ended. Other exceptions there come
    from the ending itself, such as of a temporary file that is deleted twice.
    """
    if isinstance(unraisable.exc_value, Interrupted):
        signal.signal(number, functools.partial(raise_interrupted, owner))
        threading.Timer(0.05, os.kill, (owner, number)).start()


@contextlib.contextmanager
def signals_wait():
    """Within this context Ctrl-C and SIGTERM wait for its end.

    It is for C++ code that calls Python and cannot pass an exception on, as that of onnx does while it is imported: it
    would end the process at once, with a C++ message.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_children_end():
    """Take PyTorch's handler of SIGCHLD away, which raises an error wherever it is when a DataLoader's worker ends."""
    signal.signal(signal.SIGCHLD, lambda *_: None)


@contextlib.contextmanager
def signals_raise():
    """Within this context Ctrl-C and SIGTERM raise Interrupted. A signal that is ignored (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, functools.partial(raise_interrupted, os.getpid()))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_at_once(number, _):
    """Handler of Ctrl-C while a script imports its modules. NumPy would make an ImportError of an exception."""
    print(f'{os.path.basename(sys.argv[0])}: {Interrupted(number)}', file=sys.stderr)
    os._exit(128 + number)


def is_script_of(folder):
    """Whether the Python file that was started lies in FOLDER."""
    started = getattr(sys.modules['__main__'], '__file__', None)
    return started is not None and os.path.dirname(os.path.abspath(started)) == folder


def explain_missing_package(kind, error, traceback):
    """The sys.excepthook of the scripts: a package that is not installed is one line that says what to do."""
    if not issubclass(kind, ModuleNotFoundError) or str(error.name).startswith('r2plus1d'):
        sys.__excepthook__(kind, error, traceback)
        return
    venv = os.path.join(FOLDER, '.venv')
    remedy = f'make the environment by bash {FOLDER}/setup.sh'
    if os.path.isdir(venv) and sys.prefix != venv:
        remedy = f'activate the environment of the scripts: source {venv}/bin/activate'
    print(f'{os.path.basename(sys.argv[0])}: {sys.executable} has no package {error.name}; {remedy}', file=sys.stderr)


if is_script_of(FOLDER) or is_script_of(os.path.join(FOLDER, 'test')):
    sys.excepthook = explain_missing_package
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)


def end_with_parent(parent, number=signal.SIGKILL):
    """Have the kernel send this process a signal when the process PARENT, which started it, ends in whatever way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:  # it ended before
        os.kill(os.getpid(), number)


def end_with_shell():
    """End, by SIGTERM, when the shell script ends that started this process and says so in its environment."""
    shell = os.environ.get(SHELL_VARIABLE, '')
    if shell == str(os.getppid()):
        end_with_parent(int(shell), signal.SIGTERM)


def start_worker(parent):
    """What a worker of a DataLoader does first: Ctrl-C is for PARENT, which ends its workers, and they end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)


def describe_os_error(error):
    """The text of an OSError, with what to do where the disk is full."""
    if error.filename is None:
        return str(error)
    text = f'{error.filename}: {error.strerror}'
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        text += '; make room there and run the same command again'
    return text

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
