# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Keep what a training run of demo/train.sh is for: the weights alone, and beside them a record of how they came about.

    python demo/record_training.py --work_dir work_dirs/demo_train --seconds 1500 --output demo/r2plus1d_r18_demo.pth

writes demo/r2plus1d_r18_demo.pth (state_dict and a small meta; torch.load reads it with weights_only=True) and
demo/r2plus1d_r18_demo.json (command, versions, seed, machine, time, curves, accuracy on the test split: with three
crops, with the full frame, and with three crops while the frames of every video are shuffled). In the work folder it
needs train_directions/, train/ and train_frame/, what the three runs of mmaction2's tools/train.py left, and the scores
that its tools/test.py wrote: test.json, test_frame.json and shuffled.json.
"""
import argparse
import json
import os
import platform
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

import mmaction
import mmcv
from mmaction.core import mean_class_accuracy, top_k_accuracy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from r2plus1d.environment import cpu_count, cpu_name


def read_curve(path):
    """mmcv's log, JSON lines, as (seed, one entry an epoch: mean training loss and accuracy, validation accuracy)."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    curve = []
    for epoch in sorted({row['epoch'] for row in rows if 'mode' in row}):
        train = [row for row in rows if row.get('epoch') == epoch and row.get('mode') == 'train']
        entry = {'epoch': epoch, 'loss': round(float(np.mean([row['loss'] for row in train])), 4),
                 'train_top1_acc': round(float(np.mean([row['top1_acc'] for row in train])), 4)}
        for row in rows:
            if row.get('epoch') == epoch and row.get('mode') == 'val':
                entry['val_top1_acc'] = round(row['top1_acc'], 4)
        curve.append(entry)
    return rows[0]['seed'], curve


def score(outputs, ann_file):
    """Accuracy, by mmaction2's functions, of the class scores that tools/test.py wrote, in the order of the list."""
    scores = json.loads(outputs.read_text())
    labels = [int(line.split()[-1]) for line in ann_file.read_text().splitlines()]
    top1, top5 = top_k_accuracy(np.array(scores), labels, (1, 5))
    return {'top1_acc': float(top1), 'top5_acc': float(top5),
            'mean_class_accuracy': float(mean_class_accuracy(scores, labels)), 'num_videos': len(labels)}


def machine():
    return {'cpu': cpu_name(), 'cores': cpu_count(), 'arch': platform.machine()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work_dir', type=Path, required=True)
    parser.add_argument('--seconds', type=int, required=True, help='wall time of the training')
    parser.add_argument('--output', type=Path, required=True, help='the .pth to write; the record goes beside it')
    args = parser.parse_args()
    ann_file = args.work_dir / 'data/ucf101/ucf101_val_split_1_rawframes.txt'
    seed, curve = read_curve(max((args.work_dir / 'train').glob('*.log.json')))
    _, curve_directions = read_curve(max((args.work_dir / 'train_directions').glob('*.log.json')))
    _, curve_frame = read_curve(max((args.work_dir / 'train_frame').glob('*.log.json')))
    checkpoint = torch.load(args.work_dir / 'train_frame/latest.pth', map_location='cpu', weights_only=True)
    classes = (args.work_dir / 'data/ucf101/annotations/classInd.txt').read_text().split()[1::2]
    record = {
        'command': 'bash demo/train.sh',
        'seed': seed,
        'epochs': {'directions': len(curve_directions), 'all': len(curve), 'whole_frames': len(curve_frame)},
        'parameters': sum(value.numel() for name, value in checkpoint['state_dict'].items()
                          if 'running_' not in name and 'num_batches' not in name),
        'train_seconds': args.seconds,
        'machine': machine(),
        'versions': {'python': platform.python_version(), 'torch': torch.__version__, 'mmcv': mmcv.__version__,
                     'mmaction2': mmaction.__version__, 'numpy': np.__version__, 'opencv': cv2.__version__},
        'test': score(args.work_dir / 'test.json', ann_file),
        'test_whole_frame': score(args.work_dir / 'test_frame.json', ann_file),
        'test_shuffled_frames': score(args.work_dir / 'shuffled.json', ann_file),
        'curve_directions': curve_directions,
        'curve': curve,
        'curve_whole_frames': curve_frame,
    }
    meta = {'classes': classes, 'seed': seed, 'epoch': len(curve) + len(curve_frame),
            'top1_acc': record['test']['top1_acc']}
    part = args.output.with_name(f'.{args.output.name}.part')
    torch.save({'meta': meta, 'state_dict': checkpoint['state_dict']}, part)
    torch.load(part, weights_only=True)
    os.replace(part, args.output)
    part.write_text(re.sub(r'\{\n +("epoch".*?)\n +\}', lambda m: '{' + re.sub(r'\n +', ' ', m[1]) + '}',
                           json.dumps(record, indent=2), flags=re.S) + '\n')  # one line an epoch
    os.replace(part, args.output.with_suffix('.json'))
    names = 'test', 'test_whole_frame', 'test_shuffled_frames', 'train_seconds'
    print(json.dumps({name: record[name] for name in names}))


if __name__ == '__main__':
    try:
        main()
    except OSError as error:
        sys.exit(f'record_training.py: error: {error}')
