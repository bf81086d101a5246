# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""On what a run ran: the machine, the versions of the packages, the commit of this repository.

    summary['environment'] = dataclasses.asdict(describe_environment())

r2plus1d_infer.py notes it in the summary of a run, and r2plus1d_report.py shows it. The standard library is enough for
all of it, so that this module starts nothing and imports quickly.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import resource
import subprocess
from typing import Dict, List, Optional

from r2plus1d.forms import COUNT, TEXT, Form, field

# What decides about scores and speed, by the names that pip knows.
PACKAGES = ('torch', 'mmcv-full', 'mmcv', 'mmaction2', 'numpy', 'opencv-python-headless', 'opencv-python', 'onnx',
            'onnxruntime', 'onnxruntime-cann', 'openvino', 'aclruntime', 'ais-bench')
# What of a CPU decides the speed, by Linux' words for it, of x86-64 and of aarch64.
CPU_FEATURES = {'avx2': 'AVX2', 'avx512f': 'AVX-512', 'avx512_vnni': 'VNNI', 'avx_vnni': 'VNNI', 'avx512_bf16': 'BF16',
                'amx_bf16': 'AMX BF16', 'amx_int8': 'AMX int8', 'asimd': 'NEON', 'sve': 'SVE', 'asimddp': 'dot product',
                'bf16': 'BF16', 'i8mm': 'int8 matrices'}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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
    return Environment(
        system=f'{platform.system()} {platform.release()} {platform.machine()}',
        cores=len(os.sched_getaffinity(0)),
        memory=os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'),
        peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,  # Linux counts in KiB
        python=platform.python_version(),
        packages=package_versions(),
        commit=repository_commit(),
        cpu_features=cpu_features(),
    )


def package_versions() -> Dict[str, str]:
    """{name: version} of those of the PACKAGES that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def repository_commit() -> Optional[str]:
    """The first digits of the commit, and "+" after changes; None where this is no clone or there is no git."""
    command = ['git', '-C', ROOT, 'describe', '--always', '--dirty=+', '--abbrev=10', '--exclude=*']
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True,
                              timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # A copy without .git may lie inside a clone of something else, whose commit says nothing about these files.
    is_clone = os.path.exists(os.path.join(ROOT, '.git'))
    return done.stdout.strip() if is_clone and done.returncode == 0 else None


# ---- the machine ---------------------------------------------------------------------------------------


def cpu_facts() -> Dict[str, str]:
    """The facts of the first core, as Linux names them in /proc/cpuinfo; {} where there is no such file."""
    facts: Dict[str, str] = {}
    if os.path.exists('/proc/cpuinfo'):
        with open('/proc/cpuinfo', errors='replace') as f:
            for line in f:
                name, colon, value = line.partition(':')
                if colon:
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
