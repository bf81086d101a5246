# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The shape of a sample: how many views of a video, of how many frames, of which size. A mixture is refused.

    [3, 3, 8, 256, 256]    three crops: views, RGB, frames, height, width
    [1, 3, 8, 256, 341]    the whole frame of a 320 x 240 video as one view

The test pipeline of a config decides it. The info.json of the bins, the model's input and the summary of a run note it,
and the outputs have one row a view. No step takes a number of views for granted.
"""
import os

from r2plus1d.bins import is_shape
from r2plus1d.engines import read_onnx_input
from r2plus1d.files import InputError, read_json
from r2plus1d.outputs import find_info, find_info_file

VIEWS_OF_CROPS = {'CenterCrop': 1, 'ThreeCrop': 3, 'TenCrop': 10}  # mmaction2's steps
KEEP_SHAPE = {'Normalize', 'FormatShape', 'Collect', 'ToTensor', 'Flip'}
THREE_CROPS = 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'
KINDS = f'{THREE_CROPS} is of three crops, configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py of the whole frame'


def describe_shape(shape):
    """Text such as "3 views of 8 frames of 256 x 256" (width x height, as of videos) for the shape of a sample."""
    if len(shape) != 5:
        return 'x'.join(map(str, shape))
    views, _, frames, height, width = shape
    return f'{views} view{"" if views == 1 else "s"} of {frames} frames of {width} x {height}'


def check_same_shape(giver, given, taker, taken):
    """Raise InputError unless the shape of the samples that GIVER has is the one that TAKER takes."""
    if list(given) != list(taken):
        raise InputError(f'{giver}: has {describe_shape(given)} a video, and {taker} takes {describe_shape(taken)}; '
                         f'give config, bins and model of one kind ({KINDS})')


# ---- configs and models ------------------------------------------------------------------------------


def shape_of_config(cfg):
    """The shape of a sample by the test pipeline of a config; None where the pipeline alone does not tell it.

    A pipeline without crops takes frames of any size. The frame_size of its config says of which.
    """
    sampling = None
    size = cfg.get('frame_size')  # width, height
    crops = 1
    for step in cfg.data.test.pipeline:
        if step['type'] == 'SampleFrames':
            sampling = step
        elif step['type'] in VIEWS_OF_CROPS:
            crops = VIEWS_OF_CROPS[step['type']]
            size = step['crop_size']
        elif step['type'] not in KEEP_SHAPE and 'Init' not in step['type'] and 'Decode' not in step['type']:
            size = cfg.get('frame_size')  # of the frames after Resize
            crops = 1
    if sampling is None or size is None:
        return None
    width, height = (size, size) if isinstance(size, int) else size
    return [crops * sampling.get('num_clips', 1), 3, sampling['clip_len'], height, width]


def shape_of_om(path):
    """The shape of the samples that an .om takes, by the note that test/pth2om.sh leaves beside it; None without it."""
    if not os.path.isfile(path + '.json'):
        return None
    try:
        _, _, text = read_json(path + '.json')['input_shape'].rpartition(':')
        return [int(number) for number in text.split(',')][1:]
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def input_of_model(path):
    """(shape, dtype) of the samples that a model file takes. Each is None where an .om says it only when it runs."""
    return (shape_of_om(path), None) if path.endswith('.om') else read_onnx_input(path)


# ---- runs --------------------------------------------------------------------------------------------


def views_of_run(summaries, crops=None, cfg=None):
    """How many views of a video the outputs of a run have, by its summary and by the info.json of its bins.

    CROPS: what --crops, or the accuracy JSON, says; None where neither does. CFG: the config that the run is said to be
    of, asked where nothing else tells. Raises InputError where these contradict one another, or where none tells.
    """
    told = {}
    summary = read_json(summaries[0])
    noted = summary.get('sample_shape') if isinstance(summary, dict) else None
    if is_shape(noted):
        told[f'the model of {summaries[0]} takes'] = noted[0]
    info = find_info(summaries)
    if info and 'shape' in info:
        told[f'{find_info_file(summaries)} has bins of'] = info['shape'][0]
    if crops is not None:
        told['--crops, or the accuracy JSON, says'] = crops
    if not told and cfg and shape_of_config(cfg):
        return shape_of_config(cfg)[0]
    if not told:
        raise InputError(f'{summaries[0]}: how many views of a video the outputs have cannot be told, because the '
                         'info.json of its .bin files is not found; give --crops, such as --crops 3')
    if len(set(told.values())) > 1:
        (first, one), (second, other) = list(told.items())[-2:]
        raise InputError(f'{first} {count_views(one)} a video, and {second} {count_views(other)}; '
                         f'the bins and the model must be of one kind')
    return next(iter(told.values()))


def count_views(number):
    return f'{number} view' if number == 1 else f'{number} views'
