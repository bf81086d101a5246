# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure the preprocessing: from frames or .avi files to one .bin file a video.

The peers are the original guide's loop (mmaction2's dataloader, numpy.tofile) with several numbers of workers, and the
same loop with mmaction2's own steps for video files, by PyAV where it is installed (pip install av) and by OpenCV.
"""
import functools
import importlib.util
import os
import shutil
import sys
import time

import cv2
from common import CONFIG, FRAME_CONFIG, ROOT, run

from r2plus1d.data import Samples, VideoFiles, listed_videos, read_config
from r2plus1d.run import InputError
from r2plus1d_preprocess import JOURNAL, BinWriter, default_workers

from mmaction.datasets import build_dataloader
from mmaction.datasets.pipelines import Compose

WORKERS = (1, 2, 4, 8)  # of mmaction2's dataloader
VIDEO_WORKERS = (2, 4)  # the same for video files
ENLARGED = (1280, 720)
ENLARGED_VIDEOS = 12  # so many different ones: frames of 1280 x 720 take space

# ---- the videos --------------------------------------------------------------------------------------


def repeated_videos(frames, count, full_frame=False):
    """(config, mmaction2's dataset of COUNT of its test videos, from the first again where there are fewer).

    FRAMES is the folder in which the config finds data/ucf101.
    """
    cfg = read_config(FRAME_CONFIG if full_frame else CONFIG)
    for key in ('ann_file', 'data_prefix'):
        cfg.data.test[key] = os.path.join(frames, cfg.data.test[key])
    cfg.pop('frame_size', None)  # here videos may have any, as long as all have the same
    dataset = listed_videos(cfg, cfg.data.test, cfg.data.test.pipeline)
    infos = dataset.video_infos
    dataset.video_infos = [infos[i % len(infos)] for i in range(count)]
    return cfg, dataset


def video_files(dataset):
    """The .avi files of the videos of repeated_videos(), whose frames lie in rawframes/."""
    return [info['frame_dir'].replace('/rawframes/', '/videos/') + '.avi' for info in dataset.video_infos]


def enlarge_videos(frames, folder, size=ENLARGED, count=ENLARGED_VIDEOS):
    """Make FOLDER/data/ucf101 with COUNT of the test videos in another size, their frames and their list."""
    _, dataset = repeated_videos(frames, count)
    for source in video_files(dataset):
        target = os.path.join(folder, source[source.index('data/ucf101/videos/'):])
        os.makedirs(os.path.dirname(target), exist_ok=True)
        video = cv2.VideoCapture(source)
        writer = cv2.VideoWriter(target, cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'XVID'), 25, size)
        while True:
            ok, frame = video.read()
            if not ok:
                break
            writer.write(cv2.resize(frame, size))
        writer.release()
        video.release()
    shutil.copytree(f'{frames}/data/ucf101/annotations', f'{folder}/data/ucf101/annotations')
    tools = f'{ROOT}/mmaction2/tools/data'
    run(sys.executable, f'{tools}/build_rawframes.py', 'data/ucf101/videos/', 'data/ucf101/rawframes/', '--task',
        'rgb', '--level', '2', '--ext', 'avi', '--use-opencv', cwd=folder)
    run(sys.executable, f'{tools}/build_file_list.py', 'ucf101', 'data/ucf101/rawframes/', '--level', '2',
        '--format', 'rawframes', cwd=folder)


# ---- the ways ----------------------------------------------------------------------------------------


def write_bins(loader, folder):
    for i, batch in enumerate(loader):
        batch['imgs'].numpy().tofile(os.path.join(folder, f'bin{i}-{i}_{int(batch["label"])}.bin'))


def preprocess_by_guide(frames, folder, count, workers):
    """The original guide's way, as its text describes it: mmaction2's dataloader, a file for each batch."""
    _, dataset = repeated_videos(frames, count)
    loader = build_dataloader(dataset, videos_per_gpu=1, workers_per_gpu=workers, dist=False, shuffle=False)
    write_bins(loader, folder)


class MMActionVideos:
    """What mmaction2's VideoDataset is without its list: video files through mmaction2's steps for them."""

    def __init__(self, dataset, steps, library):
        decoding = {'SampleFrames': [{'type': library + 'Init'}], 'RawFrameDecode': []}
        pipeline = []
        for step in steps:
            pipeline += decoding.get(step['type'], [])
            pipeline.append({'type': library + 'Decode'} if step['type'] == 'RawFrameDecode' else step)
        self.pipeline = Compose(pipeline)
        self.videos = [dict(filename=path, label=info['label'], start_index=0, modality='RGB')
                       for path, info in zip(video_files(dataset), dataset.video_infos)]

    def __len__(self):
        return len(self.videos)

    def __getitem__(self, index):
        return self.pipeline(dict(self.videos[index]))


def preprocess_videos_by_mmaction2(frames, folder, count, workers, library):
    """LIBRARY: OpenCV or PyAV."""
    cfg, dataset = repeated_videos(frames, count)
    videos = MMActionVideos(dataset, cfg.data.test.pipeline, library)
    loader = build_dataloader(videos, videos_per_gpu=1, workers_per_gpu=workers, dist=False, shuffle=False)
    write_bins(loader, folder)


def preprocess_by_us(frames, folder, count, dtype, full_frame=False, videos=False):
    """What r2plus1d_preprocess.py does between its checks. VIDEOS: from the .avi files, not from frames."""
    from torch.utils.data import DataLoader
    cfg, dataset = repeated_videos(frames, count, full_frame)
    if videos:
        infos = dataset.video_infos
        dataset = VideoFiles(video_files(dataset), cfg.data.test.pipeline)
        for video, info in zip(dataset.video_infos, infos):
            video['label'] = info['label']
    writer = BinWriter(Samples(cfg, dtype, dataset), 1)
    writer.folder = folder
    for done in DataLoader(writer, batch_size=None, num_workers=default_workers()):
        if isinstance(done, str):
            raise InputError(done)
    os.remove(os.path.join(folder, JOURNAL))


def choose_ways():
    """[(name, a function of the folder with data/ucf101, the folder for the bins, and the number of videos)]

    The first one is what the others are compared with.
    """
    ways = [('frames: the guide\'s loop (4 workers), float32', functools.partial(preprocess_by_guide, workers=4))]
    for workers in WORKERS:
        if workers != 4:
            ways.append((f'frames: the same with {workers} worker{"s" if workers > 1 else ""}',
                         functools.partial(preprocess_by_guide, workers=workers)))
    ways += [
        ('frames: r2plus1d_preprocess.py, float32', functools.partial(preprocess_by_us, dtype='float32')),
        ('frames: r2plus1d_preprocess.py, uint8', functools.partial(preprocess_by_us, dtype='uint8')),
        ('frames: r2plus1d_preprocess.py, uint8, full frame',
         functools.partial(preprocess_by_us, dtype='uint8', full_frame=True)),
    ]
    libraries = ['OpenCV'] + (['PyAV'] if importlib.util.find_spec('av') else [])
    for library in libraries:
        for workers in VIDEO_WORKERS:
            way = functools.partial(preprocess_videos_by_mmaction2, workers=workers, library=library)
            ways.append((f'.avi: mmaction2 with {library}, {workers} workers, float32', way))
    ways += [
        ('.avi: r2plus1d_preprocess.py, float32', functools.partial(preprocess_by_us, dtype='float32', videos=True)),
        ('.avi: r2plus1d_preprocess.py, uint8, full frame',
         functools.partial(preprocess_by_us, dtype='uint8', full_frame=True, videos=True)),
    ]
    return ways


def measure_preprocessing(frames, folder, count, rounds):
    """{name: {"rate": videos/s in each round, "bytes": of one video}} of each way of choose_ways()."""
    ways = choose_ways()
    results = {name: {'rate': []} for name, _ in ways}
    bins = os.path.join(folder, 'bins')
    for number in range(1, rounds + 1):
        for name, preprocess in ways:
            shutil.rmtree(bins, ignore_errors=True)
            os.mkdir(bins)
            before = time.perf_counter()
            preprocess(frames, bins, count)
            seconds = time.perf_counter() - before
            files = os.listdir(bins)
            results[name]['rate'].append(len(files) / seconds)
            results[name]['bytes'] = os.path.getsize(os.path.join(bins, files[0]))
            shutil.rmtree(bins)
            print(f'round {number}: {name}: {len(files) / seconds:.1f} videos/s', flush=True)
    return results


def measure_sizes(frames, folder, count, rounds):
    """{"320 x 240": what measure_preprocessing() gives, "1280 x 720": the same of a quarter as many larger videos}."""
    enlarged = os.path.join(folder, 'enlarged')
    shutil.rmtree(enlarged, ignore_errors=True)
    os.makedirs(enlarged)
    enlarge_videos(frames, enlarged)
    width, height = ENLARGED
    results = {
        '320 x 240': measure_preprocessing(frames, folder, count, rounds),
        f'{width} x {height}': measure_preprocessing(enlarged, folder, max(1, count // 4), rounds),
    }
    shutil.rmtree(enlarged)
    return results
