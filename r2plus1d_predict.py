"""Print the five most probable classes of one video.

    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video clip.avi \
--classes=data/ucf101/annotations/classInd.txt \
--config=./mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py

The video goes through the config's test pipeline, decoded straight from the file; probabilities are averaged
over the crops, as mmaction2 does it.
"""
import argparse
import json
import os
import sys
import tempfile

import cv2
import numpy as np

from r2plus1d_engines import InputError, add_engine_options, make_engine, read_input_spec
from r2plus1d_postprocess import average, read_classes
from r2plus1d_preprocess import Samples, read_config


def read_video(config, video, dtype):
    """The sample of a video file, crops x 3 x frames x H x W, by the test pipeline of a config."""
    if cv2.VideoCapture(video).get(cv2.CAP_PROP_FRAME_COUNT) < 1:
        raise InputError(f'{video}: not a video that OpenCV can read')
    steps = read_config(config).data.test.pipeline
    if steps[0]['type'] != 'OpenCVInit':  # frames on disk
        steps = [{'type': 'SeekDecode'} if step['type'] == 'RawFrameDecode' else step for step in steps]
        steps.insert(0, {'type': 'OpenCVInit'})
    with tempfile.TemporaryDirectory() as folder:
        listed = os.path.join(folder, 'video.json')  # a text list would not do with spaces in the name
        with open(listed, 'w') as f:
            json.dump([{'filename': os.path.abspath(video), 'label': [0]}], f)
        test = {'type': 'VideoDataset', 'ann_file': listed, 'data_prefix': None, 'pipeline': steps}
        return Samples(config, dtype, {f'data.test.{key}': value for key, value in test.items()})[0][1]


def predict(args):
    """[(name, probability)] of the five most probable classes, the first the most probable."""
    names = read_classes(args.classes)
    shape, dtype = read_input_spec(args.model)
    sample = read_video(args.config, args.video, str(dtype))
    if list(sample.shape) != shape:
        raise InputError(f'{args.config}: gives samples of {list(sample.shape)}, {args.model} takes {shape}')
    scores = make_engine(args, [1] + shape)(sample[None])[0]
    probabilities = average(np.asarray(scores, np.float32)[None], 'prob')[0]
    if len(names) > len(probabilities):
        raise InputError(f'{args.classes}: {len(names)} classes, and {args.model} has {len(probabilities)}')
    best = np.argsort(-probabilities, kind='stable')[:5]
    return [(names[i] if i < len(names) else f'(class {i}, not in the list)', float(probabilities[i])) for i in best]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', '-m', required=True, help='ONNX model')
    parser.add_argument('--video', required=True, help='video file that OpenCV can read')
    parser.add_argument('--classes', required=True, help='class list, as UCF-101\'s classInd.txt')
    parser.add_argument('--config', required=True, help='config of mmaction2, for its test pipeline')
    add_engine_options(parser)
    args = parser.parse_args()
    for name in ('model', 'video', 'classes', 'config'):
        if not os.path.isfile(getattr(args, name)):
            parser.error(f'--{name} {getattr(args, name)}: no such file')
    try:
        for name, probability in predict(args):
            print(f'{probability:.4f} {name}')
    except (InputError, OSError) as e:
        sys.exit(f'r2plus1d_predict.py: {e}')


if __name__ == '__main__':
    main()
