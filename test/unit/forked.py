# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Python scripts in processes of their own that have PyTorch and mmaction2 imported already, which saves seconds each.

One server process imports them and does nothing else; each script runs in a fork of it. The commands of the READMEs
and of the demo are run as users run them (test_readme.py, test_demo.py), so each script is started whole there, too.
"""
import multiprocessing
import os
import runpy
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from subprocess import CompletedProcess

FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(['torch.onnx', 'mmaction.apis'])


def _main(arguments, cwd, files, env):
    """What the forked process does: run the script ARGUMENTS[0], or the module after -m, with the other arguments.

    It is in a process group of its own, whose number is the process id. FILES: where its two outputs go. ENV: variables
    beside those that it has.
    """
    os.setsid()
    os.environ.update(env)
    for descriptor, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    multiprocessing.set_start_method('fork', force=True)  # as in any script; the server had set another one
    warnings.simplefilter('ignore')
    os.chdir(cwd)
    here = Path(__file__).resolve().parent
    path = [entry for entry in sys.path if Path(entry).resolve() not in (here, *here.parents[:2])]
    path[:0] = filter(None, env.get('PYTHONPATH', '').split(os.pathsep))
    is_module = arguments[0] == '-m'
    sys.argv = arguments[is_module:]
    sys.path = [cwd if is_module else str(Path(arguments[0]).parent), *path]
    try:
        if is_module:
            runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
        else:
            runpy.run_path(arguments[0], run_name='__main__')
    finally:
        threading._shutdown()  # ends pools of processes; a multiprocessing.Process would wait for these before


def start(command, cwd, files, env=()):
    """Start a script, or a module after -m, with arguments: a multiprocessing.Process."""
    process = FORKS.Process(target=_main, args=([str(word) for word in command], str(cwd), files, dict(env)))
    process.start()
    return process


def run(*command, cwd=None, env=()):
    """The subprocess.CompletedProcess, with text, of a script or of a module after -m."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = start(command, cwd or os.getcwd(), files, env)
        process.join()
        return CompletedProcess(command, process.exitcode, *(path.read_text('utf-8') for path in files))
