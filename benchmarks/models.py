# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The models that are measured: full size, random weights, since speed does not depend on them."""
import os
import sys

from common import CONFIG, ROOT, VIDEO_CONFIG, run
from engines import CROPS, FRAME

from r2plus1d_data import read_config

VIDEOS_TO_CALIBRATE = 8  # of the int8 models: their speed does not depend on the number


def make_models(frames, folder, int8):
    """{name: path} of the files that engines.py and videos.py name, made in FOLDER unless they are there.

    checkpoint, onnx and onnx_frame; int8 and int8_frame only if asked for. frame: one view of the whole frame in the
    place of three crops. config, config_frame, video_config_frame: of the samples that these models take.
    """
    models = {
        'checkpoint': os.path.join(folder, 'model.pth'),
        'config': CONFIG,
        'config_frame': os.path.join(folder, 'full_frame.py'),
        'video_config_frame': os.path.join(folder, 'full_frame_video.py'),
    }
    write_full_frame_config(CONFIG, models['config_frame'])
    write_full_frame_config(VIDEO_CONFIG, models['video_config_frame'])
    if not os.path.exists(models['checkpoint']):
        run(sys.executable, f'{ROOT}/demo/random_weights.py', CONFIG, models['checkpoint'])
    for ending, shape in (('', CROPS), ('_frame', FRAME)):
        models['onnx' + ending] = make_onnx(models, os.path.join(folder, 'onnx' + ending), shape)
        if int8:
            models['int8' + ending] = make_int8(frames, folder, models, ending)
    return models


def write_full_frame_config(source, path):
    """Write a config whose test pipeline is that of the config SOURCE without the crops."""
    cfg = read_config(source)
    cfg.data.test.pipeline = [step for step in cfg.data.test.pipeline if step['type'] != 'ThreeCrop']
    cfg.dump(path)


def make_onnx(models, folder, shape):
    path = os.path.join(folder, 'r2plus1d_sim.onnx')
    if not os.path.exists(path):
        run('bash', f'{ROOT}/test/pth2om.sh', '--config', CONFIG, '--checkpoint', models['checkpoint'], '--work_dir',
            folder, '--shape', ' '.join(map(str, shape)), '--compare_videos', '0')
    return path


def make_int8(frames, folder, models, ending):
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
    run(sys.executable, f'{ROOT}/r2plus1d_optimize.py', '--int8', '--model', models['onnx' + ending], '--config',
        models['config' + ending], '--max_drop', '1', '--output', output, '--cfg-options', *options, cwd=frames)
    return output
