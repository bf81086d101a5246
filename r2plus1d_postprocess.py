"""Turn the outputs of ais_bench or r2plus1d_infer.py into an accuracy JSON on standard output.

    python r2plus1d_postprocess.py --result_path=./predata_bts1_om_out > result_bs1.json

Labels come from the names of the .bin files (see r2plus1d_preprocess.py), which the summary JSON lists;
metrics come from mmaction2. Nothing is printed unless every video of the dataset was found exactly once.
"""
import argparse
import glob
import json
import os
import re
import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings('ignore', module='mmcv')  # its announcements of mmcv 2
from mmaction.core import mean_class_accuracy, top_k_accuracy  # noqa: E402

from r2plus1d_engines import InputError  # noqa: E402

BIN_NAME = re.compile(r'bin(\d+)-(\d+)((?:_\d+)+)\.(?:bin|npy)', re.I)


def find_summaries(path):
    """The summary files of one run: of the newest in a folder, of a run's folder, or the file itself.

    ais_bench writes <folder>/<time>/ and <folder>/<time>_summary.json, and with several devices
    <folder>/<time>/device<n>/ and <folder>/<time>/device<n>_summary.json.
    """
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such file or folder')
    path = path.rstrip('/')
    for pattern in (path + '_summary.json', path + '/device*_summary.json'):
        if glob.glob(glob.escape(path) + pattern[len(path):]):
            return sorted(glob.glob(glob.escape(path) + pattern[len(path):]))
    runs = glob.glob(glob.escape(path) + '/*_summary.json') + glob.glob(glob.escape(path) + '/*/device*_summary.json')
    if not runs:
        raise InputError(f'{path}: no *_summary.json in it; did the inference finish?')
    newest = max(runs, key=lambda f: (os.path.getmtime(f), f))
    if os.path.basename(newest).startswith('device'):
        return sorted(glob.glob(glob.escape(os.path.dirname(newest)) + '/device*_summary.json'))
    return [newest]


def read_output(path, crops, num_classes):
    """The scores in a TXT, NPY or BIN file: float32, (samples * crops) x classes."""
    try:
        if path.endswith('.npy'):
            scores = np.load(path)
        elif path.endswith('.txt'):
            scores = np.loadtxt(path, dtype=np.float32, ndmin=2)
        else:
            scores = np.fromfile(path, np.float32)
            if scores.size % num_classes:
                raise InputError(f'{path}: {scores.size} values are not rows of {num_classes}; give --num_classes')
            scores = scores.reshape(-1, num_classes)
    except (OSError, ValueError) as e:
        raise InputError(f'{path}: cannot be read: {e}')
    if scores.ndim != 2 or not scores.size or len(scores) % crops:
        raise InputError(f'{path}: found an array of {"x".join(map(str, scores.shape))}, '
                         f'expected {crops} rows (crops) for each video')
    if not np.isfinite(scores).all():
        raise InputError(f'{path}: holds values that are not finite')
    return scores.astype(np.float32)


def read_run(summaries, crops, num_classes):
    """(scores: videos x crops x classes, labels: list of int), in the order of the dataset."""
    found = {}
    for summary in summaries:
        try:
            with open(summary) as f:
                filesinfo = json.load(f)['filesinfo']
        except (ValueError, KeyError, TypeError):
            raise InputError(f'{summary}: not a summary of ais_bench')
        folder = summary[:-len('_summary.json')]
        for info in filesinfo.values():
            bin_file = info['infiles'][0]
            match = BIN_NAME.fullmatch(os.path.basename(bin_file))
            if not match:
                raise InputError(f'{bin_file}: the name has no labels; make the files with r2plus1d_preprocess.py')
            first, last = int(match[1]), int(match[2])
            labels = [int(label) for label in match[3][1:].split('_')]
            # Beside the summary, wherever the two were moved since they were written.
            output = os.path.join(folder, os.path.basename(info['outfiles'][0]))
            scores = read_output(output, crops, num_classes)
            scores = scores.reshape(-1, crops, scores.shape[1])
            if len(labels) != last - first + 1 or len(scores) < len(labels):
                raise InputError(f'{output}: {len(scores)} samples for {len(labels)} labels of '
                                 f'videos {first} to {last}')
            if max(labels) >= scores.shape[2]:
                raise InputError(f'{bin_file}: label {max(labels)}, and the model has {scores.shape[2]} classes')
            for i, label in enumerate(labels):
                if first + i in found:
                    raise InputError(f'{summary}: video {first + i} is there twice; was {os.path.dirname(bin_file)} '
                                     'made anew between two runs?')
                found[first + i] = scores[i], label
    if not found:
        raise InputError(f'{summaries[0]}: lists no file')
    expected = expected_videos(os.path.dirname(bin_file), max(found) + 1)
    missing = sorted(set(range(expected)) - set(found))
    if missing:
        raise InputError(f'{summaries[0]}: {len(missing)} of {expected} videos are missing, the first is '
                         f'number {missing[0]}; run the inference on all files')
    order = sorted(found)
    return np.stack([found[i][0] for i in order]), [found[i][1] for i in order]


def expected_videos(bin_folder, default):
    """The number of videos that r2plus1d_preprocess.py noted beside the files, if it is still there."""
    try:
        with open(os.path.join(bin_folder, 'info.json')) as f:
            return max(json.load(f)['num_videos'], default)
    except (OSError, ValueError, KeyError, TypeError):
        return default


def average(scores, average_clips):
    """Videos x crops x classes to videos x classes, as mmaction2's test_cfg.average_clips does it."""
    scores = torch.from_numpy(scores)
    if average_clips == 'prob':
        scores = torch.softmax(scores, dim=2)
    return scores.mean(dim=1).numpy()


def read_classes(path):
    """The names in lines like "1 ApplyEyeMakeup", by label: line 1 is label 0."""
    try:
        with open(path, encoding='utf-8-sig') as f:
            lines = [line.split(None, 1) for line in f.read().split('\n') if line.strip()]
    except UnicodeDecodeError:
        raise InputError(f'{path}: not UTF-8; save it as UTF-8')
    for i, line in enumerate(lines, 1):
        if len(line) != 2 or line[0] != str(i):
            raise InputError(f'{path}: line {i} is "{" ".join(line).strip()}", expected "{i} <class name>"')
    return [' '.join(name.split()) for _, name in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--result_path', required=True, help='the --output of the inference (its newest run is '
                        'taken), the folder of one run, or its _summary.json')
    parser.add_argument('--average_clips', choices=['score', 'prob'], default='score',
                        help='average of the crops: of scores as in the original guide, or of probabilities as '
                        'in mmaction2 (default: score)')
    parser.add_argument('--crops', type=int, default=3, help='crops of a video (default: 3)')
    parser.add_argument('--num_classes', type=int, default=400, help='of BIN files, which have no shape (default: 400)')
    args = parser.parse_args()
    if args.crops < 1 or args.num_classes < 1:
        parser.error('--crops and --num_classes are 1 or more')
    try:
        scores, labels = read_run(find_summaries(args.result_path), args.crops, args.num_classes)
    except (InputError, OSError) as e:
        sys.exit(f'r2plus1d_postprocess.py: {e}')
    scores = average(scores, args.average_clips)
    top1, top5 = top_k_accuracy(scores, labels, (1, 5))
    print(json.dumps({
        'top1_acc': float(top1),
        'top5_acc': float(top5),
        'mean_class_accuracy': float(mean_class_accuracy(scores, labels)),
        'num_videos': len(labels),
        'average_clips': args.average_clips
    }))


if __name__ == '__main__':
    main()
