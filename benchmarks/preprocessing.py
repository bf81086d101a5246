# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the preprocessing: from frames or .avi files to one .bin file a video.

The peers are the original guide's loop (mmaction2's dataloader, numpy.tofile) with several numbers of workers, and the
same loop with mmaction2's own steps for video files, by OpenCV, by PyAV and, where it is installed, by decord.
r2plus1d_preprocess.py runs as a command. The time that it takes for one video, its start, is taken off, since the loops
have none.
"""
import importlib.util
import os
import shutil
import sys
import time
from dataclasses import dataclass

import cv2
import numpy as np
from common import CONFIG, FRAME_CONFIG, FRAME_VIDEO_CONFIG, ROOT, VIDEO_CONFIG, rounded, run, spread, table

WORKERS = (4, 1, 2, 8)  # of mmaction2's dataloader; the first one is what the others are compared with
VIDEO_WORKERS = (2, 4)  # the same for video files
ENLARGED = (1280, 720)
ENLARGED_VIDEOS = 12  # so many different ones: frames of 1280 x 720 take space
LIST = 'data/ucf101/ucf101_val_split_1_{}.txt'
TEST_VIDEOS = 3783  # of UCF-101, test split 1

# ---- the videos --------------------------------------------------------------------------------------


@dataclass
class Videos:
    """Folders in which the configs find data/ucf101: of all videos, and of one alone. SIZE: of their frames."""

    many: str
    one: str
    count: int
    size: tuple


def link_videos(frames, folder, count):
    """Make FOLDER/data/ucf101 with COUNT links to the test videos of FRAMES, from the first again if it has fewer."""
    with open(os.path.join(frames, LIST.format('rawframes'))) as f:
        lines = f.read().splitlines()
    lists = {'rawframes': '', 'videos': ''}
    for form in lists:
        os.makedirs(f'{folder}/data/ucf101/{form}/class')
    for i in range(count):
        name, length, label = lines[i % len(lines)].split()
        link = f'class/v{i:06}'
        os.symlink(os.path.abspath(f'{frames}/data/ucf101/rawframes/{name}'), f'{folder}/data/ucf101/rawframes/{link}')
        os.symlink(os.path.abspath(f'{frames}/data/ucf101/videos/{name}.avi'),
                   f'{folder}/data/ucf101/videos/{link}.avi')
        lists['rawframes'] += f'{link} {length} {label}\n'
        lists['videos'] += f'{link}.avi {label}\n'
    for form, text in lists.items():
        with open(os.path.join(folder, LIST.format(form)), 'w') as f:
            f.write(text)
    return folder


def make_videos(frames, folder, count):
    """The Videos of one size, links in FOLDER."""
    shutil.rmtree(folder, ignore_errors=True)
    videos = Videos(link_videos(frames, f'{folder}/many', count), link_videos(frames, f'{folder}/one', 1), count, ())
    first = cv2.imread(f'{videos.one}/data/ucf101/rawframes/class/v000000/img_00001.jpg')
    videos.size = first.shape[1], first.shape[0]
    return videos


def enlarge_videos(frames, folder, size=ENLARGED, count=ENLARGED_VIDEOS):
    """Make FOLDER/data/ucf101 with COUNT of the test videos in another size, their frames and their list."""
    with open(os.path.join(frames, LIST.format('rawframes'))) as f:
        lines = f.read().splitlines()[:count]
    for line in lines:
        name = f'data/ucf101/videos/{line.split()[0]}.avi'
        os.makedirs(os.path.dirname(f'{folder}/{name}'), exist_ok=True)
        video = cv2.VideoCapture(f'{frames}/{name}')
        writer = cv2.VideoWriter(f'{folder}/{name}', cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'XVID'), 25, size)
        while True:
            ok, frame = video.read()
            if not ok:
                break
            writer.write(cv2.resize(frame, size))
        writer.release()
        video.release()
    run(sys.executable, f'{ROOT}/mmaction2/tools/data/build_rawframes.py', 'data/ucf101/videos/',
        'data/ucf101/rawframes/', '--task', 'rgb', '--level', '2', '--ext', 'avi', '--use-opencv', cwd=folder)
    with open(os.path.join(folder, LIST.format('rawframes')), 'w') as f:
        f.writelines(f'{line}\n' for line in lines)


# ---- the ways ----------------------------------------------------------------------------------------


def preprocess_by_mmaction2(folder, bins, workers, library=None):
    """Seconds of the original guide's loop. LIBRARY (OpenCV, PyAV, Decord): of the same loop from .avi files."""
    import mmcv
    from mmaction.datasets import build_dataloader, build_dataset
    cfg = mmcv.Config.fromfile(CONFIG).data.test
    form = 'videos' if library else 'rawframes'
    cfg.ann_file, cfg.data_prefix = os.path.join(folder, LIST.format(form)), f'{folder}/data/ucf101/{form}'
    if library:
        cfg.type = 'VideoDataset'
        cfg.pipeline = [{'type': library + 'Init'}, *(
            {'type': library + 'Decode'} if step['type'] == 'RawFrameDecode' else step for step in cfg.pipeline)]
    before = time.perf_counter()
    dataset = build_dataset(cfg, dict(test_mode=True))
    loader = build_dataloader(dataset, videos_per_gpu=1, workers_per_gpu=workers, dist=False, shuffle=False)
    for i, batch in enumerate(loader):
        batch['imgs'].numpy().tofile(os.path.join(bins, f'bin{i}-{i}_{int(batch["label"])}.bin'))
    return time.perf_counter() - before


def preprocess_by_us(folder, bins, config, dtype, size):
    """Seconds of the command. SIZE: of the frames, which a config with the full frame has to name."""
    width = int(size[0] * 256 / size[1] + 0.5)
    before = time.perf_counter()
    run(sys.executable, f'{ROOT}/r2plus1d_preprocess.py', '--config', config, '--dtype', dtype, '--output_path', bins,
        '--cfg-options', f'frame_size=({width},256)' if 'fullframe' in config else 'log_level=INFO', cwd=folder)
    return time.perf_counter() - before


def rate_of_us(videos, bins, config, dtype):
    start = preprocess_by_us(videos.one, bins, config, dtype, videos.size)
    shutil.rmtree(bins)
    seconds = preprocess_by_us(videos.many, bins, config, dtype, videos.size)
    return (videos.count - 1) / max(seconds - start, 1e-9)


def choose_ways():
    """{name: a function of Videos and a new folder for the .bin files, which gives videos/s}"""

    def mmaction2(*options):
        return lambda videos, bins: videos.count / preprocess_by_mmaction2(videos.many, bins, *options)

    def ours(*options):
        return lambda videos, bins: rate_of_us(videos, bins, *options)

    ways = {}
    for workers in WORKERS:
        name = f'the same with {workers} worker{"s" if workers > 1 else ""}' if ways else \
            f'the guide\'s loop ({workers} workers), float32'
        ways[f'frames: {name}'] = mmaction2(workers)
    ways['frames: r2plus1d_preprocess.py, float32'] = ours(CONFIG, 'float32')
    ways['frames: r2plus1d_preprocess.py, uint8'] = ours(CONFIG, 'uint8')
    ways['frames: r2plus1d_preprocess.py, uint8, full frame'] = ours(FRAME_CONFIG, 'uint8')
    for library in ('OpenCV', 'PyAV', *(['Decord'] if importlib.util.find_spec('decord') else [])):
        for workers in VIDEO_WORKERS:
            ways[f'.avi: mmaction2 with {library}, {workers} workers, float32'] = mmaction2(workers, library)
    ways['.avi: r2plus1d_preprocess.py, float32'] = ours(VIDEO_CONFIG, 'float32')
    ways['.avi: r2plus1d_preprocess.py, uint8, full frame'] = ours(FRAME_VIDEO_CONFIG, 'uint8')
    return ways


def measure_preprocessing(videos, bins, rounds):
    """{name: {"rate": videos/s in each round, "bytes": of one video}} of each way of choose_ways()."""
    results = {name: {'rate': []} for name in choose_ways()}
    for number in range(1, rounds + 1):
        for name, preprocess in choose_ways().items():
            os.mkdir(bins)
            results[name]['rate'].append(preprocess(videos, bins))
            first = next(path for path in os.scandir(bins) if path.name.endswith('.bin'))
            results[name]['bytes'] = first.stat().st_size
            shutil.rmtree(bins)
            print(f'round {number}: {name}: {results[name]["rate"][-1]:.1f} videos/s', flush=True)
    return results


def measure_sizes(frames, folder, count, rounds):
    """{"320 x 240": what measure_preprocessing() gives, "1280 x 720": the same of a quarter as many larger videos}."""
    enlarged = os.path.join(folder, 'enlarged')
    shutil.rmtree(enlarged, ignore_errors=True)
    enlarge_videos(frames, enlarged)
    results = {}
    for name, source, number in (('320 x 240', frames, count),
                                 ('{} x {}'.format(*ENLARGED), enlarged, max(2, count // 4))):
        results[name] = measure_preprocessing(make_videos(source, f'{folder}/links', number), f'{folder}/bins', rounds)
    return results


def preprocessing_lines(size, ways):
    rows = [('preprocessing', 'videos/s', 'ratio', 'rounds: videos/s', 'MB a video',
             f'GB of the test split ({TEST_VIDEOS:,})')]
    rates = {name: np.median(row['rate']) for name, row in ways.items()}
    guide = next(iter(rates.values()))
    for name, row in ways.items():
        rows.append((
            name,
            rounded(rates[name], 1),
            rounded(rates[name] / guide, 2),
            spread(row['rate'], 1),
            rounded(row['bytes'] / 1e6, 1),
            rounded(row['bytes'] * TEST_VIDEOS / 1e9, 1),
        ))
    return [f'Videos of {size}, from frames or .avi files to .bin files:', '', *table(*rows)]
