"""Scripts in processes of their own that have PyTorch and mmaction2 imported when they begin: seconds less for each.

They are forked from one process, which does nothing but import. (The READMEs' and the demo's commands are run as users
run them, so that each of their scripts is started whole, too.)
"""
import multiprocessing
import os
import runpy
import sys
import tempfile
import warnings
from pathlib import Path
from subprocess import CompletedProcess

FORKS = multiprocessing.get_context('forkserver')
FORKS.set_forkserver_preload(['torch.onnx', 'mmaction.apis'])


def _main(arguments, cwd, files):
    for i, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY), i)
    multiprocessing.set_start_method('fork', force=True)  # as in any script: this process had another one
    warnings.simplefilter('ignore')
    os.chdir(cwd)
    sys.argv, here = arguments, Path(__file__).resolve().parent
    sys.path = [str(Path(arguments[0]).parent)] + [p for p in sys.path if Path(p).resolve() not in (here, here.parent)]
    runpy.run_path(arguments[0], run_name='__main__')


def run(*command, cwd=None):
    """Run a script with arguments; its subprocess.CompletedProcess, with text."""
    command = [str(c) for c in command]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ('stdout', 'stderr')]
        for path in files:
            path.touch()
        process = FORKS.Process(target=_main, args=(command, cwd or os.getcwd(), files))
        process.start()
        process.join()
        return CompletedProcess(command, process.exitcode, *(path.read_text('utf-8') for path in files))
