# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Print the shape of a sample that a config makes or a model takes: views, RGB, frames, height and width.

    python test/sample_shape.py configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py    # 1 3 8 256 341
    python test/sample_shape.py r2plus1d_sim.onnx
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.data import shape_of_config
from r2plus1d.engines import input_of_model
from r2plus1d.run import InputError, require_files, script_main


def find_shape(path):
    """The shape, a list. Raises InputError where the file does not tell it."""
    if path.endswith('.py'):
        from r2plus1d.data import read_config
        shape = shape_of_config(read_config(path))
        reason = 'its test pipeline crops nothing, and it has no frame_size (width, height)'
    else:
        shape, _ = input_of_model(path)
        reason = 'has no note of its input shape beside it'
    if not shape or 0 in shape:
        raise InputError(f'{path}: {reason}')
    return shape


@script_main
def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('file', help='a config of mmaction2, an ONNX file or an .om of test/pth2om.sh')
    args = parser.parse_args()
    require_files(parser, args, 'file')
    try:
        shape = find_shape(args.file)
    except ImportError as e:
        raise InputError(f'{args.file}: cannot be read: {e}')
    print(*shape)


if __name__ == '__main__':
    main()
