# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Whether the memory of preprocessing, inference and postprocessing grows with the number of videos.

    python benchmarks/memory.py                        # 400 and 4,000 videos, a few minutes
    python benchmarks/memory.py --videos 40 400

The videos are links to one of small frames, and the model is a small one of three operators, so that the memory of a
sample does not hide that of a list. Printed is the peak of the resident memory of the largest process of each step.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from common import CONFIG, ROOT

from r2plus1d.run import InputError, positive_int, script_main

# isort: split
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 16  # pixels of a frame's side
CLASSES = 101
SHAPE = [3, 3, 8, SIZE, SIZE]  # of a sample
SMALL = """_base_ = ['{base}']
data = dict(test=dict(pipeline=[
    dict(type='SampleFrames', clip_len=8, frame_interval=1, num_clips=1, test_mode=True),
    dict(type='RawFrameDecode'), dict(type='Resize', scale=(-1, {size})), dict(type='ThreeCrop', crop_size={size}),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])]))
"""


def make_dataset(folder, num_videos):
    """A list of links to one video of eight frames, in the folder's data/ucf101, and a config of small samples."""
    rng = np.random.default_rng(0)
    data = os.path.join(folder, 'data/ucf101')
    frames = os.path.join(folder, 'frames')
    os.makedirs(frames)
    for i in range(1, 9):
        image = rng.integers(0, 256, (SIZE, SIZE + 4, 3), dtype=np.uint8)
        cv2.imwrite(os.path.join(frames, f'img_{i:05}.jpg'), image)
    os.makedirs(os.path.join(data, 'rawframes/class'))
    with open(os.path.join(data, 'ucf101_val_split_1_rawframes.txt'), 'w') as f:
        for i in range(num_videos):
            name = f'class/v_class_g{i:05}'
            os.symlink(frames, os.path.join(data, 'rawframes', name))
            f.write(f'{name} 8 {i % CLASSES}\n')
    with open(os.path.join(folder, 'config.py'), 'w') as f:
        f.write(SMALL.format(base=CONFIG, size=SIZE))


def make_model(path):
    """An ONNX model with the input and output of R(2+1)D, which takes next to no time."""
    weights = np.random.default_rng(0).standard_normal((3, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node('ReduceMean', ['0'], ['mean'], axes=[3, 4, 5], keepdims=0),
        helper.make_node('Reshape', ['mean', 'shape'], ['rows']),
        helper.make_node('MatMul', ['rows', 'weights'], ['scores']),
    ]
    constants = [numpy_helper.from_array(weights, 'weights'), numpy_helper.from_array(np.array([-1, 3]), 'shape')]
    batch = helper.make_tensor_value_info('0', TensorProto.FLOAT, ['-1', *SHAPE])
    scores = helper.make_tensor_value_info('scores', TensorProto.FLOAT, ['rows', CLASSES])
    graph = helper.make_graph(nodes, 'small', [batch], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)])
    model.ir_version = 6
    onnx.save(model, path)


def peak_memory(folder, script, *options):
    """MiB of the largest of the processes of a script of the root, at its peak."""
    command = [sys.executable, os.path.join(ROOT, script), *options]
    with open(os.path.join(folder, 'log'), 'w+') as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        if status:
            raise InputError(f'{script}: failed: {log.read().splitlines()[-1]}')
    return usage.ru_maxrss / 1024


def measure(num_videos):
    """{script: MiB} for a data set of this size."""
    with tempfile.TemporaryDirectory() as folder:
        make_dataset(folder, num_videos)
        make_model(os.path.join(folder, 'm.onnx'))
        steps = [
            ('r2plus1d_preprocess.py', '--config', 'config.py', '--output_path', 'bins'),
            ('r2plus1d_infer.py', '--model', 'm.onnx', '--input', 'bins', '--output', 'out', '--outfmt', 'TXT',
             '--backend', 'onnxruntime'),
            ('r2plus1d_postprocess.py', '--result_path', 'out'),
        ]
        return {step[0]: peak_memory(folder, *step) for step in steps}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--videos', type=positive_int, nargs=2, default=[400, 4000],
                        help='two sizes of a data set (default: 400 4000)')
    return parser.parse_args()


@script_main
def main():
    args = parse_args()
    few, many = (measure(num_videos) for num_videos in args.videos)
    print(json.dumps({
        script: {
            **{f'MiB for {num_videos} videos': round(peaks[script], 1)
               for num_videos, peaks in zip(args.videos, (few, many))},
            'growth': round(many[script] / few[script] - 1, 4),
        } for script in few
    }, indent=2))


if __name__ == '__main__':
    main()
