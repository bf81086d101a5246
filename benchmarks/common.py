# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the files of the benchmark share: the root of the repository, its configs, the name of the machine, and run().

Importing this module puts the root on sys.path, so that the root's modules can be imported.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.engine_base import cpu_facts, cpu_name
from r2plus1d.run import InputError, one_line

ROOT = sys.path[0]
CONFIG = os.path.join(ROOT, 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
FRAME_CONFIG = os.path.join(ROOT, 'configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py')
VIDEO_CONFIG = os.path.join(ROOT, 'configs/r2plus1d_r34_video_8x8x1_180e_ucf101_rgb2.py')
FRAME_VIDEO_CONFIG = os.path.join(ROOT, 'configs/r2plus1d_r34_fullframe_video_8x8x1_180e_ucf101_rgb2.py')
# The instructions that decide about the speed of f32, bf16 and int8, by Linux's names for them.
INSTRUCTIONS = ('avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'avx_vnni', 'amx_bf16', 'amx_int8')


def machine():
    """For example "AMD EPYC (family 25, model 17), 2 cores, with avx2".

    A name such as "AMD EPYC" stands for CPUs of very different speed; family and model tell them apart. Linux gives
    them, and the instructions, on x86 only; elsewhere they are left out.
    """
    facts = cpu_facts()
    flags = facts.get('flags', '').split()
    known = [name for name in INSTRUCTIONS if name in flags]
    kind = f' (family {facts["cpu family"]}, model {facts["model"]})' if 'cpu family' in facts else ''
    return f'{cpu_name()}{kind}, {os.cpu_count()} cores' + (f', with {", ".join(known)}' if known else '')


def run(*command, cwd=None):
    """Run a command in folder CWD, to its end. Returns its subprocess.CompletedProcess with stdout and stderr as text.

    Raises InputError, with the last line that the command printed, when it fails.
    """
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        printed = (done.stdout + done.stderr).strip() or 'it printed nothing'
        raise InputError(f'{" ".join(words)}: exit status {done.returncode}: {one_line(printed.splitlines()[-1])}')
    return done
