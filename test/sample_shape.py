# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Print the shape of a sample that a config makes or a model takes: views, RGB, frames, height and width.

    python test/sample_shape.py configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py    # 1 3 8 256 341
    python test/sample_shape.py r2plus1d_sim.onnx --batchsize 16    # and whether such batches fit into the memory
    python test/sample_shape.py r2plus1d_sim.onnx --convert "1 16"  # and whether ATC can convert it for such batches
"""
import os
import sys
from typing import List

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.run import InputError, explain_missing, make_parser, packages_needed, positive_int, script_main

with packages_needed():
    from r2plus1d.data import read_config, shape_of_config
    from r2plus1d.engines import input_of_model
    from r2plus1d.models import check_memory, load_onnx


def find_shape(path: str, batch_size: int) -> List[int]:
    """Raises InputError where the file does not tell it, or where a batch of BATCH_SIZE is larger than the memory."""
    if path.endswith('.py'):
        shape = shape_of_config(read_config(path))
        reason = 'its test pipeline crops nothing, and it has no frame_size (width, height)'
    else:
        shape, dtype = input_of_model(path)
        reason = 'has no note of its input shape beside it'
        if shape and dtype and batch_size:
            check_memory(batch_size, shape, dtype)
    if not shape or 0 in shape:
        raise InputError(f'{path}: {reason}; --shape is needed: views, RGB, frames, height, width')
    return list(shape)


def check_batch_sizes(path: str, batch_sizes: List[str]) -> None:
    """Raise InputError for an ONNX file whose batch size is fixed to another one."""
    graph = load_onnx(path).graph
    weights = {weight.name for weight in graph.initializer}
    value = next(value for value in graph.input if value.name not in weights)
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    others = [size for size in batch_sizes if fixed not in (0, int(size))]
    if others:
        raise InputError(f'{path}: its batch size is fixed to {fixed}, so ATC cannot convert it for {" ".join(others)} '
                         '(E10018). onnxsim fixes it with --input-shape, as the original guide has it: simplify the '
                         f'exported model with --test-input-shape, or give --batch_sizes {fixed}')


@script_main
def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument('file', help='A config of mmaction2, an ONNX file or an .om of test/pth2om.sh.')
    parser.add_argument('--batchsize', type=positive_int, default=0, help='The size of a batch of a model.')
    parser.add_argument('--convert', default='', metavar='"N N"',
                        help='The batch sizes for which ATC is to convert an ONNX file.')
    args = parser.parse_args()
    if not os.path.isfile(args.file):
        parser.error(f'{args.file}: no such file{explain_missing(args.file)}')
    shape = find_shape(args.file, args.batchsize)
    if args.convert and not args.file.endswith('.py'):
        check_batch_sizes(args.file, args.convert.split())
    print(*shape)


if __name__ == '__main__':
    main()
