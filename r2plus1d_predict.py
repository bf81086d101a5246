# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Print the five most probable classes of one video.

    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video clip.avi \
--classes=data/ucf101/annotations/classInd.txt \
--config=./mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py

The video goes through the config's test pipeline, decoded straight from the file; probabilities are averaged over the
crops, as mmaction2 does it.
"""
import argparse

import numpy as np

from r2plus1d_batches import infer_sample
from r2plus1d_data import Samples, read_classes, read_config
from r2plus1d_engines import add_engine_options, make_engines
from r2plus1d_files import InputError, require_files, script_main
from r2plus1d_frames import check_video_file
from r2plus1d_metrics import average_crops
from r2plus1d_views import check_same_shape


def predict(args):
    """[(name, probability)] of the five most probable classes, the first the most probable."""
    names = read_classes(args.classes)
    check_video_file(args.video, args.allow_damaged)
    engine, = make_engines(args)
    cfg = read_config(args.config)
    cfg.allow_damaged = args.allow_damaged
    _, sample = Samples.of_files(cfg, [args.video], str(engine.dtype))[0]
    check_same_shape(args.config, sample.shape, args.model, engine.sample_shape)
    engine.prepare(engine.batch_size or 1)
    scores = infer_sample(engine, sample)
    probabilities = average_crops(scores[None], 'prob')[0]
    if len(names) > len(probabilities):
        raise InputError(f'{args.classes}: {len(names)} classes, and {args.model} has {len(probabilities)}')
    names += [f'(class {i}, not in the list)' for i in range(len(names), len(probabilities))]
    best = np.argsort(-probabilities, kind='stable')[:5]
    return [(names[i], float(probabilities[i])) for i in best]


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', '-m', required=True, help='ONNX model, or an .om')
    parser.add_argument('--video', required=True, help='video file that OpenCV can read')
    parser.add_argument('--classes', required=True, help='class list, as UCF-101\'s classInd.txt')
    parser.add_argument('--config', required=True, help='config of mmaction2, for its test pipeline')
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
