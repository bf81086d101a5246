# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What an engine is: the interface of all that run a model file, and what they say of themselves."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from typing import Dict, List, Optional, Sequence, Union

import numpy as np

from r2plus1d.environment import cpu_name
from r2plus1d.onnx_files import ModelInput, read_onnx_input
from r2plus1d.run import InputError


@dataclasses.dataclass(frozen=True)
class EngineDescription:
    """What runs, for the summary of a run.

    precision: what the compiled model computes in. cpu: the name of the CPU, or of the NPU. threads: None before
    prepare(), and where the engine does not say how many it uses.
    """

    name: str
    version: str
    precision: str
    cpu: str
    threads: Optional[int] = None

    def to_json(self) -> Dict[str, Union[str, int, None]]:
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return f'{self.name} {self.version}, {self.precision}, {self.cpu}'


class Engine:
    """What all engines have in common.

    batch_size: where the model has a fixed one; None where it takes any. num_classes: None where the model says it only
    when it runs. for_throughput: set it before prepare() where many batches wait to be computed; see side_by_side().
    """

    name = ''
    version = ''
    batch_size: Optional[int] = None
    num_classes: Optional[int] = None
    threads: Optional[int] = None
    for_throughput = False

    def __init__(self, model: str, precision: str) -> None:
        self.model = model
        self.precision = precision
        self.sample_shape, self.dtype = self.read_input(model)

    def read_input(self, model: str) -> ModelInput:
        """What a model file takes. Raises InputError."""
        return read_onnx_input(model)

    def prepare(self, batch_size: int) -> None:
        """Get ready for batches of this size, so that the first call takes no longer than the others."""

    def side_by_side(self) -> Sequence[Engine]:
        """Engines, this one among them, that compute at the same time on the same device, each in a thread of its own.

        Several, after prepare() with for_throughput, where the device then computes more batches a second. A single
        batch takes longer that way.
        """
        return [self]

    def allocate(self, count: int, batch_size: int) -> List[np.ndarray]:
        """COUNT arrays for batches of this size."""
        return [np.empty([batch_size, *self.sample_shape], self.dtype) for _ in range(count)]

    def __call__(self, batch: np.ndarray) -> List[np.ndarray]:
        """Outputs, a list of float32 arrays, of a batch: C-contiguous, batch size x sample_shape, of dtype."""
        raise NotImplementedError

    def describe(self) -> EngineDescription:
        return EngineDescription(self.name, self.version, self.precision, cpu_name(), self.threads)


def no_telemetry() -> None:
    """To be called before an import of OpenVINO or NNCF: each reports that to Google Analytics by openvino_telemetry.

    That also starts a process and writes to the user's home. Both packages do without it where it is not installed.
    """
    sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]  # an import of it now raises


def check_memory(batch_size: int, sample_shape: Sequence[int], dtype: np.dtype) -> None:
    """Raise InputError where two batches, one that is computed and one that is read, are more than the memory."""
    needed = 2 * batch_size * math.prod(sample_shape) * dtype.itemsize
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    if needed > memory:
        raise InputError(f'--batchsize {batch_size}: two batches take {needed / 1e9:.0f} GB, and this machine has '
                         f'{memory / 1e9:.0f} GB; give a smaller batch size')


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of an engine says that the memory was not enough. Each engine has its own."""
    words = ('bad_alloc', 'allocate memory', 'out of memory')
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
