# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the files of the benchmark share: root and configs of the repository, the machine, run(), tables, the models.

Importing this module puts the root on sys.path, so that the root's modules can be imported.
"""
import os
import subprocess
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.environment import cpu_count, cpu_facts, cpu_name
from r2plus1d.run import InputError, one_line

ROOT = sys.path[0]
LARGEST_SPREAD = 0.2  # of a figure that is not marked
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
    return f'{cpu_name()}{kind}, {cpu_count()} cores' + (f', with {", ".join(known)}' if known else '')


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


def table(*rows):
    """Lines of Markdown: the first row is the head."""
    lines = ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows]
    return [lines[0], '| ' + ' | '.join('---' for _ in rows[0]) + ' |', *lines[1:]]


def rounded(value, digits):
    """A number as text with so many digits behind the point; nothing for None."""
    return '' if value is None else f'{value:.{digits}f}'


def spread(rounds, digits):
    """"least to largest" of a figure in all rounds, marked where they differ by more than LARGEST_SPREAD of it."""
    least, largest = min(rounds), max(rounds)
    mark = ' **!**' if largest - least > LARGEST_SPREAD * np.median(rounds) else ''
    return f'{least:.{digits}f} to {largest:.{digits}f}{mark}'


# ---- the models: full size, random weights, since speed does not depend on them -----------------------

VIDEOS_TO_CALIBRATE = 8  # of the int8 models: their speed does not depend on the number


def make_models(frames, folder, int8):
    """{name: path} of the files that engines.py and videos.py name, made in FOLDER unless they are there.

    checkpoint, onnx and onnx_frame; int8 and int8_frame only if asked for. frame: one view of the full frame in the
    place of three crops.
    """
    models = {'checkpoint': os.path.join(folder, 'model.pth')}
    if not os.path.exists(models['checkpoint']):
        run(sys.executable, f'{ROOT}/demo/random_weights.py', CONFIG, models['checkpoint'])
    for ending, config in (('', CONFIG), ('_frame', FRAME_CONFIG)):
        models['onnx' + ending] = make_onnx(models, os.path.join(folder, 'onnx' + ending), config)
        if int8:
            models['int8' + ending] = make_int8(frames, folder, models['onnx' + ending], config, ending)
    return models


def make_onnx(models, folder, config):
    path = os.path.join(folder, 'r2plus1d_sim.onnx')
    if not os.path.exists(path):
        run('bash', f'{ROOT}/test/pth2om.sh', '--config', config, '--checkpoint', models['checkpoint'], '--work_dir',
            folder, '--compare_videos', '0')
    return path


def make_int8(frames, folder, model, config, ending):
    """Quantize a model. It is evaluated on one video, and any drop will do: with random weights it says nothing."""
    output = os.path.join(folder, f'int8{ending}.onnx')
    if os.path.exists(output):
        return output
    with open(f'{frames}/data/ucf101/ucf101_val_split_1_rawframes.txt') as f:
        lines = f.readlines()
    options = []
    for part, chosen in (('train', lines[:VIDEOS_TO_CALIBRATE]), ('test', lines[-1:])):
        path = os.path.join(folder, f'{part}.txt')
        with open(path, 'w') as f:
            f.writelines(chosen)
        options.append(f'data.{part}.ann_file={path}')
    run(sys.executable, f'{ROOT}/r2plus1d_optimize.py', '--int8', '--model', model, '--config', config,
        '--max_drop', '1', '--allow_unproven', '--output', output, '--cfg-options', *options, cwd=frames)
    return output
