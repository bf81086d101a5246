# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The config for one's own classes: what r2plus1d_dataset.py writes, and what it means.

    config_lines(ConfigSettings(base, 'data/mine/videos', 'crops'), classes)    # the text of config.py
    data = own_data(base, 'data/mine/videos', 'crops', mirrored=None)     # a line of it

The config calls own_data() whenever it is read. So the pipelines follow those of the base config, and mmaction2's
training, too, refuses a list that was damaged by hand, before the first epoch.
"""
from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

from r2plus1d.data import read_config
from r2plus1d.lists import check_list, read_names
from r2plus1d.run import FOLDER, InputError
from r2plus1d.video_file import read_clip, read_index

PARTS = ('train', 'val', 'test')
SHAPES = ('crops', 'center', 'stretch')
FRAME_SIZE = (341, 256)  # width and height of all frames for stretch
OPPOSITES = (('left', 'right'), ('counterclockwise', 'clockwise'), ('anticlockwise', 'clockwise'), ('ccw', 'cw'),
             ('左', '右'), ('逆时针', '顺时针'), ('逆時針', '順時針'))

# ---- classes that a mirror exchanges -------------------------------------------------------------------


def mirrored_pairs(classes: Sequence[str]) -> List[Tuple[str, str]]:
    """The pairs of classes whose names differ in left and right, or in another such pair of words."""
    known = {name.casefold(): name for name in classes}
    pairs = []
    for first, second in OPPOSITES:
        for name in classes:
            other = known.get(name.casefold().replace(first, second))
            if first in name.casefold() and other and other != name:
                pairs.append((name, other))
    return pairs


def read_mirrored(text: str, classes: Sequence[str]) -> Dict[int, int]:
    """{label: label in a mirror} of "left=right,up left=up right". Raises ValueError."""
    labels = {name: label for label, name in enumerate(classes)}
    mirrored: Dict[int, int] = {}
    for pair in text.split(','):
        names = [name.strip() for name in pair.split('=')]
        if len(names) != 2 or not set(names) <= set(labels):
            raise ValueError(f'"{pair}" is not CLASS=CLASS with two of the classes {", ".join(classes)}')
        first, second = (labels[name] for name in names)
        if first == second or {first, second} & set(mirrored):
            raise ValueError(f'"{pair}": each class has one other class in a mirror')
        mirrored.update({first: second, second: first})
    return mirrored


# ---- the config ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConfigSettings:
    """What own_data() is given; BASE is the path of a config."""

    base: str
    folder: str
    shape: str
    mirrored: Optional[Dict[int, int]] = None


def config_lines(settings: ConfigSettings, classes: Sequence[str], checkpoint: Optional[str] = None) -> List[str]:
    """The lines of the config of the data set in the folder above SETTINGS.folder. CHECKPOINT: to start from."""
    output = os.path.dirname(settings.folder)

    def path_from_output(path: str) -> str:
        """A path for the config; relative to it where both lie in this repository, which may then be moved."""
        if all(os.path.realpath(name).startswith(FOLDER + os.sep) for name in (output, path + os.sep)):
            return '{{ fileDirname }}/' + os.path.relpath(path, os.path.realpath(output))  # mmcv fills it in
        return os.path.abspath(path)

    lines = [
        f'"""{output}: {len(classes)} classes. Written by r2plus1d_dataset.py; see docs/own_classes.md."""',
        'import sys',
        '',
        f'sys.path.append({path_from_output(FOLDER)!r})',
        'from r2plus1d.own_data import own_data',
        '',
        f'_base_ = [{path_from_output(settings.base)!r}]',
        f'classes = {list(classes)!r}',
        'model = dict(cls_head=dict(num_classes=len(classes)))',
        '# {label: label in a mirror}, or None: training clips are not mirrored',
        f'data = own_data(_base_[0], {settings.folder!r}, {settings.shape!r}, mirrored={settings.mirrored!r})',
        "evaluation = dict(save_best='top1_acc')  # of val.txt",
        f'work_dir = {f"./work_dirs/{os.path.basename(os.path.abspath(output))}"!r}',
    ]
    if checkpoint:
        lines.append(f'load_from = {checkpoint!r}')
    if settings.shape == 'stretch':
        lines.append(f'frame_size = {FRAME_SIZE}  # width, height')
    return [*lines, 'del sys, own_data']


def own_data(base: str, folder: str, shape: str, mirrored: Optional[Dict[int, int]]) -> Dict[str, Any]:
    """The value of "data" in a config: the base config's pipelines for the lists beside FOLDER, which are checked.

    FOLDER: videos, or rawframes, the frames on disk. SHAPE: crops (the base config's), center (one crop) or stretch
    (full frame, of one shape). MIRRORED: {label: label in a mirror}; None: training clips are not mirrored.
    """
    cfg = read_config(base)
    output, name = os.path.split(folder)
    are_frames = name == 'rawframes'
    data = {}
    for part in PARTS:
        steps = [] if are_frames else [dict(type='VideoFileInit')]
        for step in cfg.data[part].pipeline:
            if step['type'].endswith('Decode'):
                steps.append(dict(type='RawFrameDecode' if are_frames else 'VideoFileDecode'))
            elif not step['type'].endswith('Init'):
                steps += changed_step(dict(step), shape, mirrored)
        kind = 'RawframeDataset' if are_frames else 'VideoDataset'
        data[part] = dict(type=kind, ann_file=f'{output}/{part}.txt', data_prefix=folder, pipeline=steps)
    if 'mmaction.datasets' in sys.modules:  # it is one of mmaction2's tools that reads the config
        from mmaction.datasets import PIPELINES
        for module in (VideoFileInit, VideoFileDecode):
            PIPELINES.register_module(module=module, force=True)
    try:
        check_lists(cfg, data, f'{output}/classes.txt')
    except InputError as e:
        raise SystemExit(str(e))  # one line of mmaction2's tools, too
    return data


class VideoFileInit:
    """Step of mmaction2's pipelines: how many frames a video file has."""

    def __call__(self, results: Dict[str, Any]) -> Dict[str, Any]:
        return dict(results, total_frames=len(read_index(results['filename']).times))


class VideoFileDecode:
    """Step of mmaction2's pipelines: the frames of a clip, as the scripts of this repository decode them."""

    def __call__(self, results: Dict[str, Any]) -> Dict[str, Any]:
        numbers = results['frame_inds'].ravel().tolist()
        images = read_clip(results['filename'], lambda index: numbers).images
        shape = images[numbers[0]].shape[:2]
        return dict(results, imgs=[images[number].copy() for number in numbers], original_shape=shape, img_shape=shape)


def changed_step(step: Dict[str, Any], shape: str, mirrored: Optional[Dict[int, int]]) -> List[Dict[str, Any]]:
    """What stands in the place of a step of the base config: one step, or none."""
    kind = step['type']
    if kind == 'Flip':
        return [] if mirrored is None else [dict(step, flip_label_map=mirrored)]
    if kind == 'ThreeCrop' and shape == 'center':
        return [dict(step, type='CenterCrop')]
    if kind == 'Resize' and shape == 'stretch':
        return [dict(type=kind, scale=FRAME_SIZE, keep_ratio=False)] if step.get('keep_ratio', True) else []
    if kind.endswith('Crop') and shape == 'stretch':
        return []
    return [step]


def check_lists(cfg: Any, data: Dict[str, Any], classes: str) -> None:
    """Raise InputError where a list of DATA has a fault, or two have the same video. A missing list is no fault.

    CFG: of the base config, which gets the number of the CLASSES.
    """
    if not os.path.isfile(classes):
        return
    cfg.model.cls_head.num_classes = len(read_names(classes))
    seen: Dict[str, str] = {}
    for part in data.values():
        path = part['ann_file']
        if not os.path.isfile(path):
            continue
        check_list(cfg, part)
        with open(path, encoding='utf-8') as f:
            for number, line in enumerate(f, 1):
                name = line.split()[0]
                if name in seen:
                    raise InputError(f'{path}: line {number}: {name} is in {seen[name]}, too; a video is in one list')
                seen[name] = path
