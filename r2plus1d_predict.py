# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Print the five most probable classes of one video.

    python r2plus1d_predict.py --model r2plus1d_sim.onnx \
        --video ./data/ucf101/videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
    python r2plus1d_predict.py --model r2plus1d_int8.onnx --precision int8 \
        --video ./data/ucf101/videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi

The video goes through the config's test pipeline, decoded straight from the file; probabilities are averaged over the
crops, as mmaction2 does it.
"""
# isort: off
import r2plus1d_interruptions  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on

import numpy as np

from r2plus1d_batches import infer_sample
from r2plus1d_classes import class_name, read_classes
from r2plus1d_data import Samples, read_config
from r2plus1d_engines import add_engine_options, make_engines
from r2plus1d_files import DEFAULT_CLASSES, DEFAULT_CONFIG, InputError, make_parser, require_files, script_main
from r2plus1d_frames import check_video_file
from r2plus1d_metrics import average_crops


def predict(args):
    """[(name, probability)] of the five most probable classes, the first the most probable."""
    names = read_classes(args.classes)
    check_video_file(args.video, args.allow_damaged)
    engine, = make_engines(args)
    cfg = read_config(args.config)
    cfg.allow_damaged = args.allow_damaged
    _, sample = Samples.of_files(cfg, [args.video], str(engine.dtype))[0]
    if list(sample.shape) != engine.sample_shape:
        raise InputError(f'{args.config}: gives samples of {list(sample.shape)}, '
                         f'{args.model} takes {engine.sample_shape}')
    engine.prepare(engine.batch_size or 1)
    scores = infer_sample(engine, sample)
    probabilities = average_crops(scores[None], 'prob')[0]
    if len(names) > len(probabilities):
        raise InputError(f'{args.classes}: {len(names)} classes, and {args.model} has {len(probabilities)}')
    best = np.argsort(-probabilities, kind='stable')[:5]
    return [(class_name(names, i), float(probabilities[i])) for i in best]


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--model', '-m', required=True, help='ONNX model, or an .om')
    parser.add_argument('--video', required=True, help='video file that OpenCV can read')
    parser.add_argument('--classes', default=DEFAULT_CLASSES, help='class list, as UCF-101\'s classInd.txt')
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='config of mmaction2, for its test pipeline')
    parser.add_argument('--allow_damaged', action='store_true', help='take a damaged video as the decoder mends it')
    add_engine_options(parser)
    args = parser.parse_args()
    require_files(parser, args, 'model', 'video', 'classes', 'config')
    return args


@script_main
def main():
    for name, probability in predict(parse_args()):
        print(f'{probability:.4f} {name}')


if __name__ == '__main__':
    main()
