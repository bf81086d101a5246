"""Turn the test videos of a config into .bin files for ais_bench or r2plus1d_infer.py.

    python r2plus1d_preprocess.py --config=./mmaction2/configs/recognition/r2plus1d/\
r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py --bts=1 --output_path=./predata_bts1/

A file bin<first>-<last>_<label>_<label>….bin holds --bts samples, C-order, each of crops x 3 x frames x
H x W. The last file is filled up with copies of its last sample; its name has only the real ones. Beside
them, info.json says what they are (dtype, shape of a sample, number of videos); ais_bench passes it over.
"""
import argparse
import errno
import fcntl
import json
import math
import os
import re
import shutil
import sys
import warnings

import cv2
import numpy as np

warnings.filterwarnings('ignore', module='mmcv')  # its announcements of mmcv 2
import mmcv  # noqa: E402
from mmaction.datasets import PIPELINES, build_dataset  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402
from tqdm import tqdm  # noqa: E402

from r2plus1d_engines import InputError, positive  # noqa: E402

BIN_NAME = re.compile(r'bin\d+-\d+_[\d_]+\.bin')


@PIPELINES.register_module()
class SeekDecode:
    """A pipeline step: only the frames of the clip, from a video file, by OpenCV, as RGB.

    In place of mmaction2's OpenCVDecode, which seeks anew for each frame. MPEG-4 frames depend on those before
    them: from the first frame that is needed to the last, all are decoded once, and only the needed ones are
    converted. Frames that cannot be read are an error; OpenCVDecode takes another frame for them.
    """

    def __call__(self, results):
        video, wanted = results['video_reader'].vcap, np.unique(results['frame_inds'])
        position, frames = int(wanted[0]), {}
        if position and not (video.set(cv2.CAP_PROP_POS_FRAMES, position)
                             and int(video.get(cv2.CAP_PROP_POS_FRAMES)) == position):
            raise OSError(f'cannot seek to frame {position}')
        for index in wanted:
            while position < index and video.grab():
                position += 1
            ok, frame = video.read()
            if not ok:
                raise OSError(f'frame {index} of {results["total_frames"]} cannot be read')
            position += 1
            frames[index] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        results['video_reader'] = None
        results['imgs'] = [frames[index].copy() for index in results['frame_inds'].ravel()]
        results['original_shape'] = results['img_shape'] = results['imgs'][0].shape[:2]
        return results


def read_config(path, options=None):
    """A config of mmaction2 with a test pipeline, changed by --cfg-options. Raises InputError."""
    try:
        cfg = mmcv.Config.fromfile(path)
        cfg.merge_from_dict(options or {})
        assert cfg.data.test.pipeline, 'no pipeline'
        return cfg
    except Exception as e:  # a config is Python code
        raise InputError(f'{path}: not a config with data.test: {type(e).__name__}: {" ".join(str(e).split())[:300]}')


class Samples(Dataset):
    """The test videos of a config, as mmaction2's test pipeline makes them.

    An item is (label, array of crops x 3 x frames x H x W). With dtype float32 the array is byte for byte
    what the pipeline gives; with uint8 it is what the pipeline has before Normalize, in the same layout,
    for a model that normalizes (r2plus1d_optimize.py --uint8_input).

    The steps of the pipeline up to the crops are run as they are. Normalize and FormatShape, which take
    longer than decoding does, are one table look-up from byte to float32 straight into the result: the
    table is what mmcv.imnormalize makes of the 256 values.
    """

    def __init__(self, config, dtype='float32', options=None):
        cfg = read_config(config, options)
        steps = cfg.data.test.pipeline
        try:
            self.dataset = build_dataset(cfg.data.test, dict(test_mode=True))
        except Exception as e:  # mmaction2 checks little
            raise InputError(f'{config}: no test data set: {type(e).__name__}: {" ".join(str(e).split())[:300]}')
        tail = [step['type'] for step in steps[-4:]]
        self.tables = None
        if (tail == ['Normalize', 'FormatShape', 'Collect', 'ToTensor'] and steps[-3]['input_format'] == 'NCTHW'
                and not steps[-4].get('to_bgr')):
            self.dataset.pipeline.transforms = self.dataset.pipeline.transforms[:-4]
            values = np.repeat(np.arange(256, dtype=dtype)[:, None, None], 3, axis=2)
            if dtype == 'float32':
                mean, std = (np.array(steps[-4][key], np.float32) for key in ('mean', 'std'))
                mmcv.imnormalize_(values, mean, std, to_rgb=False)
            self.tables = [np.ascontiguousarray(values[:, :, c].T) for c in range(3)]
        elif dtype == 'uint8':
            raise InputError(f'{config}: --dtype uint8 needs a test pipeline that ends with Normalize, '
                             f'FormatShape (NCTHW), Collect, ToTensor; this one ends with {", ".join(tail)}')
        self.dtype = np.dtype(dtype)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        try:
            results = self.dataset[index]
        except Exception as e:
            info = self.dataset.video_infos[index]
            name = info.get('frame_dir', info.get('filename'))
            raise InputError(f'{name}: no clip can be made of this video: {" ".join(str(e).split())[:300]}')
        if self.tables is None:
            return int(results['label']), np.ascontiguousarray(results['imgs'], self.dtype)
        images, frames = results['imgs'], results['clip_len']
        height, width = images[0].shape[:2]
        sample = empty((len(images) // frames, 3, frames, height, width), self.dtype)
        for i, image in enumerate(images):
            planes = sample[i // frames, :, i % frames]
            for plane, channel, table in zip(planes, cv2.split(image), self.tables):
                cv2.LUT(channel, table, plane)
        return int(results['label']), sample


class BinWriter(Dataset):
    """Item i writes the i-th file and is the number of samples in it, or the text of an error.

    As a Dataset it is run by the workers of a DataLoader: no sample is sent from process to process.
    """

    def __init__(self, samples, bts, folder):
        self.samples, self.bts, self.folder = samples, bts, folder

    def __len__(self):
        return math.ceil(len(self.samples) / self.bts)

    def __getitem__(self, i):
        cv2.setNumThreads(0)  # the workers are the parallelism
        first = i * self.bts
        last = min(first + self.bts, len(self.samples)) - 1
        part = os.path.join(self.folder, f'{i}.part')
        labels = []
        try:
            with open(part, 'wb', buffering=0) as f:
                for index in range(first, last + 1):
                    label, sample = self.samples[index]
                    labels.append(label)
                    write(f, sample)
                for _ in range(self.bts - len(labels)):
                    write(f, sample)
            name = f'bin{first}-{last}_{"_".join(map(str, labels))}.bin'
            os.rename(part, os.path.join(self.folder, name))
        except InputError as e:
            return str(e)
        except OSError as e:
            return f'{self.folder}: {e.strerror}'
        return len(labels)


def empty(shape, dtype, page=4096):
    """np.empty that begins at a page, as write() wants it."""
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.empty(size + page, np.uint8)
    start = -buffer.ctypes.data % page
    return buffer[start:start + size].view(dtype).reshape(shape)


def write(f, array):
    """Write to the disk past the page cache (O_DIRECT), where file system and sizes allow that.

    71 GB would push everything else out of the cache and not stay there themselves; and to take the pages for them
    cost more than all the rest of the work.
    """
    direct = getattr(os, 'O_DIRECT', 0)
    data, flags = memoryview(array).cast('B'), fcntl.fcntl(f, fcntl.F_GETFL) & ~direct
    while data:
        try:
            fcntl.fcntl(f, fcntl.F_SETFL, flags | direct)
            data = data[f.write(data):]
        except OSError as e:
            if not direct or e.errno != errno.EINVAL:
                raise
            direct = 0  # not here


def check_output(path):
    """Raise if PATH holds anything but what this script wrote; it is replaced when all is done."""
    if os.path.exists(path):
        if not os.path.isdir(path):
            raise InputError(f'{path}: exists and is no folder; choose another --output_path')
        other = [f for f in os.listdir(path) if f != 'info.json' and not BIN_NAME.fullmatch(f)]
        if other:
            raise InputError(f'{path}: holds other files ({other[0]}); choose an empty or a new --output_path')


def preprocess(args):
    path = args.output_path.rstrip('/') or '/'
    check_output(path)
    samples = Samples(args.config, args.dtype, args.cfg_options)
    if not len(samples):
        raise InputError(f'{samples.dataset.ann_file}: lists no video')
    digits = max(len(str(info['label'])) for info in samples.dataset.video_infos)
    if 30 + args.bts * (digits + 1) > 255:
        raise InputError(f'--bts {args.bts}: so many labels make a file name longer than file systems allow; '
                         'use a smaller one (ais_bench puts several files into a batch)')
    _, sample = samples[0]
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    count = math.ceil(len(samples) / args.bts)
    need, free = count * args.bts * sample.nbytes, shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free
    if need > free:
        raise InputError(f'{path}: {need / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; '
                         '--dtype uint8 needs a quarter, r2plus1d_infer.py --config none')

    part = path + '.part'
    shutil.rmtree(part, ignore_errors=True)
    os.mkdir(part)
    try:
        loader = DataLoader(BinWriter(samples, args.bts, part), batch_size=None, num_workers=args.workers)
        with tqdm(total=len(samples), unit='video', desc=path) as bar:
            for done in loader:
                if isinstance(done, str):
                    raise InputError(done)
                bar.update(done)
        with open(os.path.join(part, 'info.json'), 'w') as f:
            json.dump(
                dict(config=args.config, dtype=args.dtype, shape=sample.shape, bts=args.bts,
                     num_videos=len(samples)), f)
        shutil.rmtree(path, ignore_errors=True)
        os.rename(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--config', required=True, help='config file of mmaction2, for its data.test')
    parser.add_argument('--bts', type=positive, default=1, help='samples in a file (default: 1)')
    parser.add_argument('--output_path', required=True, help='folder for the files')
    parser.add_argument('--dtype', choices=['float32', 'uint8'], default='float32',
                        help='uint8: not normalized, a quarter of the size, for a model made with '
                        'r2plus1d_optimize.py --uint8_input (default: float32)')
    parser.add_argument('--workers', type=positive, default=min(2 * (os.cpu_count() or 1), 64),
                        help='processes (default: two a core, since they wait for the disk; at most 64)')
    parser.add_argument('--cfg-options', nargs='+', action=mmcv.DictAction, help='as of mmaction2\'s tools')
    args = parser.parse_args(argv)
    if not os.path.isfile(args.config):
        parser.error(f'--config {args.config}: no such file')
    return args


def main():
    args = parse_args()
    try:
        preprocess(args)
    except (InputError, OSError) as e:
        sys.exit(f'r2plus1d_preprocess.py: {e}')


if __name__ == '__main__':
    main()
