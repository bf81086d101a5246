# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Evaluate the trained full-size model in several ways on the same videos; evaluate.sh makes the models and calls it.

    bash benchmarks/full_size/evaluate.sh --videos 252

writes results_frame.json and results_frame.md beside this file. The ways are three crops, their middle one alone and
the full frame as one view; f32, bf16 where the CPU has it, and int8. The scores of each way are kept in the folder
scores: what is there is not computed again. Speed is measured in turns, so that a change of the machine's load meets
all ways.
"""
import argparse
import collections
import os
import time
from pathlib import Path

import numpy as np
from common import table
from record_training import machine, read_curve
from tqdm import tqdm

from r2plus1d.data import Samples, read_config
from r2plus1d.engines import make_engine
from r2plus1d.inference import infer_sample
from r2plus1d.json_forms import write_json
from r2plus1d.metrics import loss_bound, mcnemar_p_value, predicted_classes
from r2plus1d.models import no_telemetry
from r2plus1d.run import InputError, positive_int, script_main
from r2plus1d.store import write_whole

HERE = os.path.dirname(os.path.abspath(__file__))

# config: of the samples. model: the ONNX file. precision: of the arithmetic. view: the one whose scores are taken, None
# for the mean of all views.
Way = collections.namedtuple('Way', 'name config model precision view')

MIDDLE = 2  # ThreeCrop of mmaction2 gives the left, the right and the middle crop
CROPS = ('r2plus1d_r34_made.py', 'three_crops')
FRAME = ('r2plus1d_r34_made_fullframe.py', 'full_frame')
WAYS = [
    Way('three crops, f32', CROPS[0], f'{CROPS[1]}/r2plus1d_sim.onnx', 'f32', None),
    Way('centre crop, f32', CROPS[0], f'{CROPS[1]}/r2plus1d_sim.onnx', 'f32', MIDDLE),
    Way('three crops, bf16', CROPS[0], f'{CROPS[1]}/r2plus1d_sim.onnx', 'bf16', None),
    Way('three crops, int8', CROPS[0], f'{CROPS[1]}/r2plus1d_int8.onnx', 'int8', None),
    Way('full frame, f32', FRAME[0], f'{FRAME[1]}/r2plus1d_sim.onnx', 'f32', None),
    Way('full frame, bf16', FRAME[0], f'{FRAME[1]}/r2plus1d_sim.onnx', 'bf16', None),
    Way('full frame, int8', FRAME[0], f'{FRAME[1]}/r2plus1d_int8.onnx', 'int8', None),
]
# Which way is to stand in for which: (first, second).
PAIRS = [
    ('three crops, f32', 'centre crop, f32'),
    ('three crops, f32', 'full frame, f32'),
    ('three crops, f32', 'three crops, bf16'),
    ('three crops, f32', 'three crops, int8'),
    ('three crops, f32', 'full frame, bf16'),
    ('three crops, f32', 'full frame, int8'),
    ('full frame, f32', 'full frame, bf16'),
    ('full frame, f32', 'full frame, int8'),
]
SPEED_ROUNDS = 7
STAGES = ['directions', 'small', 'medium', 'full', 'frame']

# ---- scores and speed --------------------------------------------------------------------------------


def choose_ways():
    """The ways, without those in bf16 where this CPU has none."""
    no_telemetry()
    import openvino
    has_bf16 = 'BF16' in openvino.Core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    return [way for way in WAYS if has_bf16 or way.precision != 'bf16']


def choose_videos(count, total):
    """COUNT numbers of videos at equal distances. The list is ordered by class, so each class has as many."""
    return [i * total // count for i in range(count)]


def score(way, indices):
    """(labels, scores: float32, videos x views x classes) of the videos with these INDICES, kept in scores/."""
    path = f'scores/{os.path.dirname(way.model)}_{way.precision}_{len(indices)}.npz'
    if not os.path.exists(path):
        samples = Samples(read_config(os.path.join(HERE, way.config)))
        engine = make_engine(way.model, 'openvino', way.precision)
        engine.prepare(1)
        labels = []
        rows = []
        for i in tqdm(indices, unit='video', desc=way.name):
            label, sample = samples[i]
            labels.append(label)
            rows.append(infer_sample(engine, sample))
        os.makedirs('scores', exist_ok=True)
        np.savez('scores/part.npz', labels=labels, scores=rows)
        os.replace('scores/part.npz', path)
    with np.load(path) as kept:
        return kept['labels'], kept['scores']


def measure_speed(ways):
    """{name: seconds of one video in each of SPEED_ROUNDS rounds}, the ways in turns."""
    engines = {}
    for way in ways:
        if way.view is None:
            engines[way.name] = make_engine(way.model, 'openvino', way.precision)
            engines[way.name].prepare(1)
    times = {name: [] for name in engines}
    for number in range(SPEED_ROUNDS + 1):
        for name, engine in engines.items():
            batch = engine.allocate(1, 1)[0]
            batch[:] = 0.5
            before = time.perf_counter()
            engine(batch)
            if number > 0:  # the first one is slower
                times[name].append(time.perf_counter() - before)
    return times


# ---- figures -----------------------------------------------------------------------------------------


def compare(labels, first, second):
    """How the predictions SECOND compare with the predictions FIRST, as a dict. Int arrays, one item a video."""
    only_first = int(((first == labels) & (second != labels)).sum())
    only_second = int(((second == labels) & (first != labels)).sum())
    return {
        'top1_drop': (only_first - only_second) / len(labels),
        'agreement': float((first == second).mean()),
        'only_first_right': only_first,
        'only_second_right': only_second,
        'p_value': mcnemar_p_value(only_first, only_second),
        'loss_bound': loss_bound(only_first, len(labels)),
    }


def evaluate(args):
    """The content of results.json."""
    ways = choose_ways()
    total = len(Samples(read_config(os.path.join(HERE, CROPS[0]))))
    indices = choose_videos(min(args.videos, total), total)
    predictions = {}
    entries = {}
    for way in ways:
        labels, scores = score(way, indices)
        views = scores if way.view is None else scores[:, way.view:way.view + 1]
        predictions[way.name] = predicted_classes(views)
        entries[way.name] = {
            'views': views.shape[1],
            'top1_acc': float((predictions[way.name] == labels).mean()),
        }
    for name, times in measure_speed(ways).items():
        entries[name]['seconds'] = times
    pairs = []
    for first, second in PAIRS:
        if first in predictions and second in predictions:
            row = {'first': first, 'second': second}
            row.update(compare(labels, predictions[first], predictions[second]))
            pairs.append(row)
    return {
        'command': f'bash benchmarks/full_size/train.sh; bash benchmarks/full_size/evaluate.sh --stage {args.stage}',
        'machine': machine(),
        'date': time.strftime('%Y-%m-%d'),
        'training': read_training(args.stage),
        'num_videos': len(indices),
        'num_test_videos': total,
        'ways': entries,
        'pairs': pairs,
    }


def read_training(last):
    """[{stage, curve}] of the stages of train.sh up to the LAST one; see read_curve() for the curve."""
    stages = []
    for stage in STAGES[:STAGES.index(last) + 1]:
        folder = f'train_{stage}'
        logs = sorted(name for name in os.listdir(folder) if name.endswith('.log.json'))
        curve = {}
        for name in logs:  # a stage that was continued has several
            with open(os.path.join(folder, name)) as f:
                if '"mode"' not in f.read():
                    continue  # it ended before the first line
            _, entries = read_curve(Path(folder, name))
            curve.update({entry['epoch']: entry for entry in entries})
        stages.append({'stage': stage, 'curve': [curve[epoch] for epoch in sorted(curve)]})
    return stages


# ---- results.md --------------------------------------------------------------------------------------


def markdown(results):
    """The text of results.md."""
    entries = results['ways']
    slowest = np.median(entries['three crops, f32']['seconds'])
    rows = [('way', 'views', 'top-1', 'median s a video', 'min to max s', 'ratio')]
    for name, entry in entries.items():
        speed = ('', '', '')
        if 'seconds' in entry:
            median = np.median(entry['seconds'])
            spread = f'{min(entry["seconds"]):.3f} to {max(entry["seconds"]):.3f}'
            speed = (f'{median:.3f}', spread, f'{slowest / median:.2f}')
        rows.append((name, entry['views'], f'{entry["top1_acc"]:.4f}', *speed))
    pairs = [('first', 'second', 'top-1 drop', 'same answer', 'right in the first only', 'in the second only', 'p',
              'lost at most')]
    for row in results['pairs']:
        pairs.append((row['first'], row['second'], f'{row["top1_drop"]:.4f}', f'{row["agreement"]:.4f}',
                      row['only_first_right'], row['only_second_right'], f'{row["p_value"]:.3g}',
                      f'{row["loss_bound"]:.4f}'))
    epochs = ', '.join(f'{stage["stage"]} {len(stage["curve"])}' for stage in results['training'])
    lines = [
        f'`{results["command"]}`', '',
        f'Machine: {results["machine"]["cpu"]}, {results["machine"]["cores"]} cores; {results["date"]}.', '',
        'R(2+1)D-34 in full size, trained on the made data set of demo/make_dataset.py (12 classes); epochs of the '
        f'stages: {epochs}. On {results["num_videos"]} of its {results["num_test_videos"]} test videos:', '',
        *table(*rows), '',
        'p is that of McNemar\'s exact test; lost at most: the share of all such videos, at 95% confidence.', '',
        *table(*pairs), '',
    ]
    for precision in ('f32', 'bf16', 'int8'):
        names = [f'{way}, {precision}' for way in ('three crops', 'full frame')]
        if all(name in entries for name in names):
            crops, frame = (np.median(entries[name]['seconds']) for name in names)
            lines.append(f'Full frame is {crops / frame:.2f} times as fast as three crops in {precision}.  ')
    return '\n'.join(lines) + '\n'


@script_main
def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--stage', default='frame', choices=STAGES, help='of train.sh, for its record (default: frame)')
    parser.add_argument('--videos', type=positive_int, default=252, help='of the test split (default: 252)')
    parser.add_argument('--output', required=True, help='the files to write, without .json and .md')
    args = parser.parse_args()
    if not os.path.exists('data/ucf101'):
        raise InputError('data/ucf101: not here; start evaluate.sh, which works in the folder of train.sh')
    results = evaluate(args)
    write_json(args.output + '.json', results)
    text = markdown(results)
    write_whole(args.output + '.md', text.encode())
    print(text)


if __name__ == '__main__':
    main()
