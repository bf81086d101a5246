# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The models that are measured: full size, random weights, since speed does not depend on them."""
import os
import sys

from common import CONFIG, FRAME_CONFIG, ROOT, run

VIDEOS_TO_CALIBRATE = 8  # of the int8 models: their speed does not depend on the number


def make_models(frames, folder, int8):
    """{name: path} of the files that engines.py and videos.py name, made in FOLDER unless they are there.

    checkpoint, onnx and onnx_frame; int8 and int8_frame only if asked for. frame: one view of the whole frame in the
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
