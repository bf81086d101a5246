# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""On what a run ran: the machine, the versions of the packages, the commit of this repository.

    summary['environment'] = dataclasses.asdict(describe_environment())
"""
from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import platform
import resource
import subprocess
from typing import Dict, List, Optional

from r2plus1d.json_forms import COUNT, TEXT, Form, field
from r2plus1d.run import FOLDER

# What decides about scores and speed, by the names that pip knows.
PACKAGES = ('torch', 'mmcv-full', 'mmcv', 'mmaction2', 'numpy', 'opencv-python-headless', 'opencv-python', 'onnx',
            'onnxruntime', 'onnxruntime-cann', 'openvino', 'aclruntime', 'ais-bench')
# What of a CPU decides the speed, by Linux' words for it, of x86-64 and of aarch64.
CPU_FEATURES = {'avx2': 'AVX2', 'avx512f': 'AVX-512', 'avx512_vnni': 'VNNI', 'avx_vnni': 'VNNI', 'avx512_bf16': 'BF16',
                'amx_bf16': 'AMX BF16', 'amx_int8': 'AMX int8', 'asimd': 'NEON', 'sve': 'SVE', 'asimddp': 'dot product',
                'bf16': 'BF16', 'i8mm': 'int8 matrices'}


@dataclasses.dataclass(frozen=True)
class Environment(Form):
    """cores: those that the process may use. memory: bytes of the machine. peak_memory: the most bytes that the process
    has held. commit: of this repository, with "+" where its files were changed since; None where it is no clone.
    cpu_features: what of the CPU decides the speed.
    """

    system: str = field(TEXT)
    cores: int = field(COUNT)
    memory: int = field(COUNT)
    peak_memory: int = field(COUNT)
    python: str = field(TEXT)
    packages: Dict[str, str] = field(TEXT.for_each_name())
    commit: Optional[str] = field(TEXT.or_null())
    cpu_features: Optional[List[str]] = field(TEXT.list_of().or_null())


def describe_environment() -> Environment:
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[name] = importlib.metadata.version(name)
    return Environment(
        system=f'{platform.system()} {platform.release()} {platform.machine()}',
        cores=cpu_count(),
        memory=os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'),
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
        python=platform.python_version(),
        packages=packages,
        commit=repository_commit(),
        cpu_features=cpu_features(),
    )


def repository_commit() -> Optional[str]:
    """The first digits of the commit, and "+" after changes; None where this is no clone or there is no git."""
    if not os.path.exists(os.path.join(FOLDER, '.git')):  # it may lie inside a clone of something else
        return None
    command = ['git', '-C', FOLDER, 'describe', '--always', '--dirty=+', '--abbrev=10', '--exclude=*']
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True,
                              timeout=10, check=True).stdout.strip()
    return None


def cpu_facts() -> Dict[str, str]:
    """The facts of the first core, as Linux names them in /proc/cpuinfo; {} where there is no such file."""
    facts: Dict[str, str] = {}
    with contextlib.suppress(OSError), open('/proc/cpuinfo', errors='replace') as f:
        for line in f:
            name, _, value = line.partition(':')
            facts.setdefault(name.strip(), value.strip())
    return facts


def cpu_features() -> List[str]:
    """Those of CPU_FEATURES that this CPU has, in words."""
    facts = cpu_facts()
    flags = (facts.get('flags') or facts.get('Features') or '').split()
    return list(dict.fromkeys(words for flag, words in CPU_FEATURES.items() if flag in flags))


def cpu_name() -> str:
    """The CPU's name where Linux tells it (not on aarch64), else what Python knows of it."""
    return cpu_facts().get('model name') or platform.processor() or platform.machine()


def cpu_count() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))
