# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""An .om model on an Ascend NPU: the installed ais_bench and what it refuses; its InferSession as an engine.

    engine = AisBench('r2plus1d_bs1.om', precision='f32', device=0)
    outputs = engine(batch)

The interface of InferSession that is used here is the same in ais_bench of 2023, 2025 and 2026: InferSession(device_id,
model_path), get_inputs(), infer(feeds). aclruntime, below it, holds Python's global lock while the NPU computes. So the
session lives in a process of its own; the process that uses the engine decodes videos in the meantime. Batches pass
through memory that both processes share.
"""
from __future__ import annotations

import functools
import importlib.metadata
import mmap
import multiprocessing.util
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.json_forms import read_json
from r2plus1d.models import Engine
from r2plus1d.pools import fork_workers
from r2plus1d.run import InputError, one_line

# aclDataType of CANN's acl_base.h; InferSession.get_inputs() gives it as datatype.
ACL_DTYPES = {0: np.float32, 1: np.float16, 2: np.int8, 3: np.int32, 4: np.uint8}

# ---- the client that is installed ----------------------------------------------------------------------


@functools.lru_cache(maxsize=None)  # it is asked for each device
def missing_packages() -> List[str]:
    """Which of the Python packages that run an .om cannot be imported: their names, with the reason of each.

    Each import is tried in a process of its own, because aclruntime loads the libraries of CANN.
    """
    missing = []
    for name in ('ais_bench', 'aclruntime'):
        done = subprocess.run([sys.executable, '-c', f'import {name}'], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, universal_newlines=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ['no message'])[-1]
            if 'libascendcl' in reason:
                reason = 'libascendcl.so is not found: source the set_env.sh of CANN'
            missing.append(f'{name} ({reason})')
    return missing


@functools.lru_cache(maxsize=None)
def help_text() -> str:
    """What ais_bench prints for --help. That of 2026 prints a table, which is cut at the width of the terminal."""
    done = subprocess.run([sys.executable, '-m', 'ais_bench', '--help'], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True,
                          env=dict(os.environ, COLUMNS='300', TERM='dumb', NO_COLOR='1'))
    return done.stdout


def flag(name: str) -> Optional[str]:
    """A flag of ais_bench as the installed one spells it: with underscores until 2025, with dashes since 2026.

    None where it has no such flag. The dashes come first: the help of 2026 has the underscores in its sentences.
    """
    spellings = (f'--{name.replace("_", "-")}', f'--{name}')
    return next((text for text in spellings if re.search(rf'{text}(?![\w-])', help_text())), None)


def divide_input() -> List[str]:
    """The words by which several devices share the input. None for ais_bench of 2023, which does that unasked.

    The flag came in early 2024, as the check of paths did. Since 2026 it takes no value.
    """
    return {'--divide_input': ['--divide_input', '1'], '--divide-input': ['--divide-input']}.get(
        flag('divide_input') or '', [])


def shape_of_om(path: str) -> Optional[List[int]]:
    """The shape of the samples that an .om takes, by the note that test/pth2om.sh leaves beside it; None without it."""
    if not os.path.isfile(path + '.json'):
        return None
    try:
        _, _, text = read_json(path + '.json')['input_shape'].rpartition(':')
        return [int(number) for number in text.split(',')][1:]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


# ---- what ais_bench refuses ----------------------------------------------------------------------------
#
# Since February 2024 ais_bench looks at the model, the input folder, its files and the output folder before it opens
# them (ais_bench/infer/common/path_security_check.py). It judges the absolute path.

ALLOWED_CHARACTERS = re.compile(r'[A-Za-z0-9_/.-]*')
MOST_FILES = 100000


def check_paths(model: str, folder: Optional[str] = None, output: Optional[str] = None) -> None:
    """Raise InputError, with the remedy, where ais_bench would refuse the model, a folder, or a file to be read.

    It looks at all that is in the input folder, info.json too. Root is exempt from none of it.
    """
    paths = [model]
    if folder:
        paths += [folder, *(os.path.join(folder, name) for name in os.listdir(folder))]
    problems = [path_problem(path, 0o022, 'go-w') for path in paths]
    if output and os.path.exists(output):
        problems.append(path_problem(output, 0o027, '750'))
    if len(paths) > MOST_FILES:
        problems.append(f'{folder}: {len(paths)} files, and ais_bench takes {MOST_FILES}; give them a larger --bts')
    found = next(filter(None, problems), None)
    if found and divide_input():  # an older ais_bench does not look
        raise InputError(found)


def path_problem(path: str, forbidden: int, remedy: str) -> Optional[str]:
    """Why ais_bench would refuse this path and what to do, as one line of text; None where it would not.

    FORBIDDEN: the bits of its mode that may not be set. REMEDY: the argument of chmod that takes them away.
    """
    absolute = os.path.abspath(path)
    if not ALLOWED_CHARACTERS.fullmatch(absolute):
        return (f'{absolute}: ais_bench takes only letters of English, digits and _ - / . in a path; '
                'move the work to another folder')
    if os.path.islink(absolute):
        return f'{path}: is a link, which ais_bench refuses; give {os.path.realpath(absolute)} instead'
    status = os.stat(absolute)
    if status.st_uid != os.geteuid() and status.st_gid not in os.getgroups():
        return (f'{path}: belongs to another user and group, which ais_bench refuses; '
                f'copy it, or as root: chown {os.geteuid()} {shlex.quote(path)}')
    if status.st_mode & forbidden:
        return (f'{path}: its mode is {status.st_mode & 0o777:o}, which ais_bench refuses; '
                f'chmod {remedy} {shlex.quote(path)}')
    if not os.access(absolute, os.R_OK):
        return f'{path}: may not be read by user {os.geteuid()}; chmod u+r it, and u+x the folders above it'
    return None


# ---- the engine ----------------------------------------------------------------------------------------


class AisBench(Engine):
    """An .om on one NPU. The batch size is that of the model."""

    name = 'ais_bench InferSession'
    precision = 'as converted'

    def __init__(self, model: str, precision: str, device: int) -> None:
        missing = missing_packages()
        if missing:
            raise InputError(f'{model} needs {" and ".join(missing)}; install the wheels of ais_bench and aclruntime '
                             'into this environment, or run the ONNX model')
        check_paths(model)
        super().__init__(model)
        self.cpu = f'NPU {device}'
        self.memory = os.memfd_create('r2plus1d_batch')
        self.process = fork_workers(1)  # by a fork it has the memory's file descriptor
        self.version, shape, code = self.ask(open_session, model, device, self.memory)
        if code not in ACL_DTYPES:
            raise InputError(f'{model}: its input has the data type {code} of acl_base.h, '
                             f'expected one of {sorted(ACL_DTYPES)}')
        self.dtype = np.dtype(ACL_DTYPES[code])
        self.batch_size, *self.sample_shape = shape
        self.offsets: Dict[int, int] = {}

    def prepare(self, batch_size: int) -> None:
        if batch_size != self.batch_size:
            raise InputError(f'{self.model}: was converted for batch size {self.batch_size}, '
                             f'and {batch_size} is asked for')

    def allocate(self, count: int, batch_size: int) -> List[np.ndarray]:
        """COUNT arrays for batches, in the shared memory: a batch in one of them reaches the session without a copy."""
        shape = [batch_size, *self.sample_shape]
        size = int(np.prod(shape)) * self.dtype.itemsize
        step = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self.memory, max(count * step, os.fstat(self.memory).st_size))  # it never shrinks
        arrays = [shared_array(self.memory, i * step, shape, self.dtype) for i in range(count)]
        self.offsets = {array.ctypes.data: i * step for i, array in enumerate(arrays)}
        return arrays

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        """An array that allocate() has not given is copied."""
        if batch.ctypes.data not in self.offsets:
            own, = self.allocate(1, len(batch))
            np.copyto(own, batch, casting='no')
            batch = own
        outputs: List[np.ndarray] = self.ask(infer, self.offsets[batch.ctypes.data])
        return outputs

    def ask(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What a FUNCTION gives in the process of the device. Raises InputError where it fails or the process ends."""
        try:
            return self.process.submit(function, *arguments).result()
        except BrokenProcessPool:
            raise InputError(f'{self.model}: the process that runs it on {self.cpu} has ended; its messages are above')
        except InputError:
            raise
        except Exception as e:  # InferSession raises RuntimeError, often without a word
            raise InputError(f'{self.model}: {self.cpu}: ais_bench fails: {type(e).__name__}: '
                             f'{one_line(e) or "see its messages above"}')


def shared_array(memory: int, offset: int, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """The array that lies OFFSET bytes (a multiple of the page size) behind the begin of a memory file."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(mmap.mmap(memory, size, offset=offset), dtype).reshape(shape)


# ---- in the process of a device ------------------------------------------------------------------------


class Session(NamedTuple):
    """What is open in this process, which opens one only. batch: the array that lies at an offset of the memory."""

    session: Any
    batch: Callable[[int], np.ndarray]


SESSIONS: List[Session] = []


def open_session(model: str, device: int, memory: int) -> Tuple[str, List[int], int]:
    """(version of ais_bench, shape of a batch, an aclDataType). MEMORY: the file descriptor of the batches."""
    os.dup2(2, 1)  # aclruntime prints its messages to standard output, which is for the results of the script
    from ais_bench.infer.interface import InferSession
    session = InferSession(device, model)
    if hasattr(session, 'free_resource'):  # ais_bench of 2023 does not have it
        multiprocessing.util.Finalize(None, session.free_resource, exitpriority=0)
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise InputError(f'{model}: has {len(inputs)} inputs, expected one')
    shape, code = list(inputs[0].shape), int(inputs[0].datatype)

    @functools.lru_cache(maxsize=None)  # to map the memory anew would cost a tenth of a batch's time
    def batch(offset: int) -> np.ndarray:
        return shared_array(memory, offset, shape, ACL_DTYPES[code])

    SESSIONS.append(Session(session, batch))
    try:
        version = importlib.metadata.version('ais_bench')
    except importlib.metadata.PackageNotFoundError:
        version = 'of unknown version'
    return version, shape, code


def infer(offset: int) -> List[np.ndarray]:
    """The outputs for the batch that lies at an OFFSET of the memory."""
    session, batch = SESSIONS[-1]
    return [np.array(output, np.float32) for output in session.infer([batch(offset)])]
