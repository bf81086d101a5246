# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the way from videos to an accuracy: the preprocessing, and all of it from .avi files on.

Preprocessing: the original guide's loop (mmaction2's dataloader, numpy.tofile) against r2plus1d_preprocess.py. From
.avi files to the accuracy: mmaction2's tools against r2plus1d_infer.py --config, which needs no files in between.
"""
import functools
import os
import re
import shutil
import sys
import time

from common import CONFIG, ROOT, VIDEO_CONFIG, run

from r2plus1d_data import Samples, listed_videos, read_config
from r2plus1d_files import InputError, read_json
from r2plus1d_outputs import SUMMARY_ENDING
from r2plus1d_preprocess import JOURNAL, BinWriter, default_workers

TOOLS = f'{ROOT}/mmaction2/tools'

# ---- preprocessing ---------------------------------------------------------------------------------


def repeated_videos(frames, count):
    """(config, mmaction2's dataset of COUNT of its test videos, from the first again where there are fewer).

    FRAMES is the folder in which the config finds data/ucf101.
    """
    cfg = read_config(CONFIG)
    for key in ('ann_file', 'data_prefix'):
        cfg.data.test[key] = os.path.join(frames, cfg.data.test[key])
    dataset = listed_videos(cfg, cfg.data.test, cfg.data.test.pipeline)
    infos = dataset.video_infos
    dataset.video_infos = [infos[i % len(infos)] for i in range(count)]
    return cfg, dataset


def preprocess_by_guide(frames, folder, count):
    """The original guide's way, as its text describes it: mmaction2's dataloader, a file for each batch."""
    from mmaction.datasets import build_dataloader
    _, dataset = repeated_videos(frames, count)
    loader = build_dataloader(dataset, videos_per_gpu=1, workers_per_gpu=4, dist=False, shuffle=False)
    for i, batch in enumerate(loader):
        batch['imgs'].numpy().tofile(os.path.join(folder, f'bin{i}-{i}_{int(batch["label"])}.bin'))


def preprocess_by_us(frames, folder, count, dtype):
    """What r2plus1d_preprocess.py does between its checks."""
    from torch.utils.data import DataLoader
    cfg, dataset = repeated_videos(frames, count)
    writer = BinWriter(Samples(cfg, dtype, dataset), 1)
    writer.folder = folder
    for done in DataLoader(writer, batch_size=None, num_workers=default_workers()):
        if isinstance(done, str):
            raise InputError(done)
    os.remove(os.path.join(folder, JOURNAL))


# (name, a function of the folder with data/ucf101, the folder for the bins, and the number of videos)
PREPROCESSING = [
    ('the guide\'s loop, float32', preprocess_by_guide),
    ('r2plus1d_preprocess.py, float32', functools.partial(preprocess_by_us, dtype='float32')),
    ('r2plus1d_preprocess.py, uint8', functools.partial(preprocess_by_us, dtype='uint8')),
]


def measure_preprocessing(frames, folder, count, rounds):
    """{name: {"rate": videos/s in each round, "bytes": of one video}} of each way in PREPROCESSING."""
    results = {name: {'rate': []} for name, _ in PREPROCESSING}
    bins = os.path.join(folder, 'bins')
    for _ in range(rounds):
        for name, preprocess in PREPROCESSING:
            os.mkdir(bins)
            before = time.perf_counter()
            preprocess(frames, bins, count)
            seconds = time.perf_counter() - before
            files = os.listdir(bins)
            results[name]['rate'].append(len(files) / seconds)
            results[name]['bytes'] = os.path.getsize(os.path.join(bins, files[0]))
            shutil.rmtree(bins)
    return results


# ---- from .avi files to the accuracy ---------------------------------------------------------------


def copy_videos(frames, folder, count):
    """Copy the annotations and COUNT of the test videos, evenly chosen, to FOLDER/data/ucf101. Returns how many."""
    source = os.path.join(frames, 'data', 'ucf101')
    target = os.path.join(folder, 'data', 'ucf101')
    shutil.copytree(f'{source}/annotations', f'{target}/annotations')
    with open(f'{source}/annotations/testlist01.txt') as f:
        names = [line.strip() for line in f if line.strip()]
    names = names[::max(1, len(names) // count)][:count]
    for name in names:
        os.makedirs(os.path.dirname(f'{target}/videos/{name}'), exist_ok=True)
        shutil.copy(f'{source}/videos/{name}', f'{target}/videos/{name}')
    return len(names)


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


def evaluate_by_us(folder, model, precision):
    """(seconds of everything, rate of the whole inference over that of the model with nothing to read or write)."""
    options = ['--model', model, '--precision', precision]
    pure, _ = infer(folder, *options, '--loop', '5')
    before = time.perf_counter()
    list_videos(folder, 'videos')
    _, whole = infer(folder, *options, '--config', VIDEO_CONFIG)
    run(sys.executable, f'{ROOT}/r2plus1d_postprocess.py', '--result_path', 'out/run', cwd=folder)
    return time.perf_counter() - before, whole / pure


def measure_end_to_end(frames, folder, checkpoint, models, count, rounds):
    """Seconds from COUNT .avi files to the accuracy, by mmaction2's tools and by ours.

    MODELS: {precision: ONNX file}. Returns {"videos", "results": {way: {"seconds", "share"}}, "frames_seconds",
    "bytes": [of the .avi files, of the frames]}; see evaluate_by_mmaction2() and evaluate_by_us().
    """
    videos = copy_videos(frames, folder, count)
    theirs = {'seconds': [], 'share': []}
    results = {'mmaction2: build_rawframes.py, build_file_list.py, tools/test.py': theirs}
    frames_seconds = []
    for _ in range(rounds):
        seconds, seconds_of_frames, bytes_of_frames = evaluate_by_mmaction2(folder, checkpoint)
        theirs['seconds'].append(seconds)
        frames_seconds.append(seconds_of_frames)
        for precision, model in models.items():
            ours = results.setdefault(f'r2plus1d_infer.py --config, {precision}', {'seconds': [], 'share': []})
            seconds, share = evaluate_by_us(folder, model, precision)
            ours['seconds'].append(seconds)
            ours['share'].append(share)
    bytes_of_videos = size_of(os.path.join(folder, 'data', 'ucf101', 'videos'))
    return {'videos': videos, 'results': results, 'frames_seconds': frames_seconds,
            'bytes': [bytes_of_videos, bytes_of_frames]}
