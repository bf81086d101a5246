# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the whole way from .avi files to the accuracy: mmaction2's tools, and two ways of this repository.

These are r2plus1d_infer.py --config with r2plus1d_postprocess.py, and r2plus1d_predict.py, which does both at once.

The way with one video alone is measured as well: it is the start-up, which does not grow with the number of videos. So
is the time that r2plus1d_predict.py takes to predict the classes of one video.
"""
import collections
import functools
import json
import os
import re
import shutil
import sys
import time

import numpy as np
from common import CONFIG, FRAME_VIDEO_CONFIG, ROOT, VIDEO_CONFIG, rounded, run, spread, table

from r2plus1d.json_forms import read_json
from r2plus1d.precision import PRECISIONS
from r2plus1d.run import InputError
from r2plus1d.summary import SUMMARY_ENDING

TOOLS = f'{ROOT}/mmaction2/tools'
PURE_BATCHES = 20  # of the model alone: with 5 of them, one slow second of the machine made the model alone the slower
MMACTION2 = 'mmaction2: build_rawframes.py, build_file_list.py, tools/test.py'
OURS = 'r2plus1d_infer.py --config'
PREDICT = 'r2plus1d_predict.py'
IMPORT = 'import torch'


def copy_videos(frames, folder, count):
    """Copy the annotations and COUNT of the test videos, evenly chosen, to FOLDER/data/ucf101.

    Returns the paths of the copies.
    """
    source = os.path.join(frames, 'data', 'ucf101')
    target = os.path.join(folder, 'data', 'ucf101')
    shutil.copytree(f'{source}/annotations', f'{target}/annotations')
    with open(f'{source}/annotations/testlist01.txt') as f:
        names = [line.strip() for line in f if line.strip()]
    names = names[::max(1, len(names) // count)][:count]
    for name in names:
        os.makedirs(os.path.dirname(f'{target}/videos/{name}'), exist_ok=True)
        shutil.copy(f'{source}/videos/{name}', f'{target}/videos/{name}')
    return [f'{target}/videos/{name}' for name in names]


def size_of(folder):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


def list_videos(folder, form):
    """Run mmaction2's build_file_list.py for FORM: rawframes or videos."""
    run(sys.executable, f'{TOOLS}/data/build_file_list.py', 'ucf101', f'data/ucf101/{form}/', '--level', '2',
        '--format', form, cwd=folder)


def infer(folder, *options):
    """Run r2plus1d_infer.py in a folder. Returns (samples/s of the model alone, samples/s with reading and writing).

    The outputs are then in out/run, which is for --result_path of r2plus1d_postprocess.py.
    """
    done = run(sys.executable, f'{ROOT}/r2plus1d_infer.py', *options, '--output', 'out', '--output_dirname', 'run',
               cwd=folder)
    summary = read_json(os.path.join(folder, 'out', 'run' + SUMMARY_ENDING))
    return summary['throughput'], read_whole_rate(done.stderr)


def read_whole_rate(log):
    """The samples/s with reading and writing, from the log of r2plus1d_infer.py. The summary does not have them."""
    return float(re.search(r'with reading and writing: (\S+) samples/s', log)[1])


def evaluate_by_mmaction2(folder, checkpoint):
    """(seconds of everything, seconds of making the frames, bytes of the frames)."""
    before = time.perf_counter()
    run(sys.executable, f'{TOOLS}/data/build_rawframes.py', 'data/ucf101/videos/', 'data/ucf101/rawframes/',
        '--task', 'rgb', '--level', '2', '--ext', 'avi', '--use-opencv', cwd=folder)
    frames_seconds = time.perf_counter() - before
    list_videos(folder, 'rawframes')
    run(sys.executable, f'{TOOLS}/test.py', CONFIG, checkpoint, '--eval', 'top_k_accuracy', cwd=folder)
    seconds = time.perf_counter() - before
    rawframes = os.path.join(folder, 'data', 'ucf101', 'rawframes')
    size = size_of(rawframes)
    shutil.rmtree(rawframes)
    return seconds, frames_seconds, size


def evaluate_by_us(folder, model, precision, config):
    """(seconds of everything, rate of the whole inference over that of the model with nothing to read or write)."""
    options = ['--model', model, '--precision', precision]
    pure, _ = infer(folder, *options, '--loop', PURE_BATCHES)
    before = time.perf_counter()
    list_videos(folder, 'videos')
    _, whole = infer(folder, *options, '--config', config)
    run(sys.executable, f'{ROOT}/r2plus1d_postprocess.py', '--result_path', 'out/run', cwd=folder)
    return time.perf_counter() - before, whole / pure


def evaluate_by_predict(folder, model, precision, config):
    """Seconds of everything, by r2plus1d_predict.py, which prints the accuracy where the videos have labels."""
    predictions = os.path.join(folder, 'predictions')
    shutil.rmtree(predictions, ignore_errors=True)  # else it would only continue what is there
    os.mkdir(predictions)
    before = time.perf_counter()
    list_videos(folder, 'videos')
    done = run(sys.executable, f'{ROOT}/{PREDICT}', '--model', model, '--precision', precision, '--config', config,
               '--output', 'predictions/rows.jsonl', cwd=folder)
    seconds = time.perf_counter() - before
    if 'top1_acc' not in json.loads(done.stdout or '{}'):
        raise InputError(f'{PREDICT}: printed no accuracy')
    return seconds


def predict_one(video, model, precision, config):
    """Seconds that r2plus1d_predict.py takes for a video, from its start to its end."""
    return seconds_of(f'{ROOT}/{PREDICT}', '--video', video, '--model', model, '--precision', precision,
                      '--config', config)


def seconds_of(*arguments):
    """Seconds of a Python with the arguments, from its start to its end."""
    before = time.perf_counter()
    run(sys.executable, *arguments)
    return time.perf_counter() - before


def measure_end_to_end(frames, folder, ways, checkpoint, counts, rounds):
    """Seconds from .avi files to the accuracy, by mmaction2's tools and by ours, for each number of videos in COUNTS.

    WAYS: of choose_ways(); CHECKPOINT: for mmaction2's tools. Returns a list, one entry a number: {"videos", "results":
    {way: {"seconds", "share"}}, "frames_seconds", "bytes": [of the .avi files, of the frames]}; see
    evaluate_by_mmaction2(), evaluate_by_us() and evaluate_by_predict(). Only evaluate_by_us() has shares.
    """
    entries = []
    for count in counts:
        place = os.path.join(folder, f'videos{count}')
        shutil.rmtree(place, ignore_errors=True)  # of a run that was interrupted
        entries.append(measure_videos(frames, place, ways, checkpoint, count, rounds))
        shutil.rmtree(place)
    return entries


def measure_first_prediction(frames, folder, ways, rounds):
    """{way: seconds of r2plus1d_predict.py for one video, in each round}. The round before the first is not counted.

    The import of PyTorch alone is among them, to compare with: r2plus1d_predict.py does without it.
    """
    place = os.path.join(folder, 'first_prediction')
    shutil.rmtree(place, ignore_errors=True)
    video, = copy_videos(frames, place, 1)
    commands = {name: functools.partial(predict_one, video, *way) for name, way in ways.items()}
    commands[IMPORT] = functools.partial(seconds_of, '-c', 'import torch')
    results = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            seconds = command()
            if number:  # the files were read before
                results[name].append(seconds)
                print(f'round {number}: first prediction, {name}: {seconds:.2f} s', flush=True)
    shutil.rmtree(place)
    return results


def choose_ways(models, precisions, pattern=''):
    """{name: (model, precision, config)} of our ways whose names match a regular expression."""
    ways = {}
    for precision in precisions:
        kind = 'int8' if PRECISIONS[precision].needs_quantized else 'onnx'
        ways[f'{OURS}, {precision}'] = models[kind], precision, VIDEO_CONFIG
        ways[f'{OURS}, {precision}, full frame'] = models[kind + '_frame'], precision, FRAME_VIDEO_CONFIG
    return {name: way for name, way in ways.items() if re.search(pattern, name)}


def measure_videos(frames, folder, ways, checkpoint, count, rounds):
    """An entry of measure_end_to_end()."""
    videos = len(copy_videos(frames, folder, count))
    results = collections.defaultdict(lambda: {'seconds': [], 'share': []})
    frames_seconds = []
    for number in range(1, rounds + 1):
        seconds, seconds_of_frames, bytes_of_frames = evaluate_by_mmaction2(folder, checkpoint)
        results[MMACTION2]['seconds'].append(seconds)
        frames_seconds.append(seconds_of_frames)
        for name, way in ways.items():
            seconds, share = evaluate_by_us(folder, *way)
            results[name]['seconds'].append(seconds)
            results[name]['share'].append(share)
            results[name.replace(OURS, PREDICT)]['seconds'].append(evaluate_by_predict(folder, *way))
        for name, row in results.items():
            print(f'round {number}: {videos} videos, {name}: {row["seconds"][-1]:.1f} s', flush=True)
    bytes_of_videos = size_of(os.path.join(folder, 'data', 'ucf101', 'videos'))
    return {'videos': videos, 'results': results, 'frames_seconds': frames_seconds,
            'bytes': [bytes_of_videos, bytes_of_frames]}


# ---- tables --------------------------------------------------------------------------------------------


def end_to_end_lines(entries):
    """A table with a column of seconds for each number of videos.

    The rate without start-up is that of the first and the last of these numbers: so many more videos take so much
    longer.
    """
    last = entries[-1]
    seconds = [{name: np.median(row['seconds']) for name, row in entry['results'].items()} for entry in entries]
    first = next(iter(last['results']))
    rows = [('way', *(f'{entry["videos"]} videos: s' for entry in entries), 'ratio', 'rounds: s', 'of pure inference',
             'videos/s without start-up')]
    for name, row in last['results'].items():
        share = np.median(row['share']) if row['share'] else None
        rate = None
        if len(entries) > 1:
            rate = (last['videos'] - entries[0]['videos']) / (seconds[-1][name] - seconds[0][name])
        rows.append((
            name,
            *(rounded(found[name], 1) for found in seconds),
            rounded(seconds[-1][first] / seconds[-1][name], 2),
            spread(row['seconds'], 1),
            rounded(share, 2),
            rounded(rate, 2),
        ))
    videos_mb, frames_mb = (size / last['videos'] / 1e6 for size in last['bytes'])
    frames_seconds = np.median(last['frames_seconds'])
    return ['From .avi files to the accuracy, start-up included; full-size model, batch 1. Ratio, rounds and share are '
            f'of {last["videos"]} videos; the rate without start-up is that of the difference to '
            f'{entries[0]["videos"]}.', '',
            *table(*rows), '',
            f'The frames: build_rawframes.py took {frames_seconds:.1f} s of the first way; '
            f'{frames_mb:.1f} MB of JPEGs a video, from {videos_mb:.2f} MB of .avi.']


def first_prediction_lines(results):
    """RESULTS: of measure_first_prediction(); those of older ones have no import of PyTorch to compare with."""
    rows = [('model', 'seconds', 'rounds: s', *(['of the import of PyTorch'] if IMPORT in results else []))]
    for name, seconds in results.items():
        median = np.median(seconds)
        share = [rounded(median / np.median(results[IMPORT]), 2)] if IMPORT in results else []
        rows.append((name.replace(OURS, PREDICT), rounded(median, 2), spread(seconds, 2), *share))
    return ['One video by r2plus1d_predict.py, full-size model, from the start of the command to its end:', '',
            *table(*rows)]
