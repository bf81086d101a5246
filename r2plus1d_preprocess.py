# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Turn the test videos of a config into .bin files for ais_bench or r2plus1d_infer.py.

    python r2plus1d_preprocess.py --config=./mmaction2/configs/recognition/r2plus1d/\
r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py --bts=1 --output_path=./predata_bts1/

A file bin<first>-<last>_<label>_<label>....bin holds --bts samples, C-order, each of crops x 3 x frames x H x W. The
last file is filled up with copies of its last sample; its name has only the real ones. Beside them, info.json says
what they are and of which config and list; ais_bench passes it over. Files that are there already, of the same config,
list, dtype and --bts, are kept.
"""
import argparse
import math
import os
import shutil

import cv2
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from r2plus1d_data import Samples, config_digest, read_config
from r2plus1d_files import (
    INFO,
    InputError,
    bin_name,
    file_digest,
    is_bin_folder_entry,
    log,
    positive_int,
    read_info,
    require_files,
    script_main,
    write_bin,
    write_info,
)

LONGEST_FILE_NAME = 255  # characters, on Linux' file systems
NAME_WITHOUT_LABELS = 30  # characters, for "bin<first>-<last>" of any data set, and the ending


class BinWriter(Dataset):
    """Item i writes the i-th bin and is the number of its videos, or the text of an error.

    As a Dataset it is run by the workers of a DataLoader: no sample is sent from process to process.
    """

    def __init__(self, samples, bts, folder):
        self.samples = samples
        self.bts = bts
        self.folder = folder

    def __len__(self):
        return math.ceil(len(self.samples) / self.bts)

    def names(self):
        """The names of all bins, in order."""
        labels = self.samples.labels
        return [bin_name(first, labels[first:first + self.bts]) for first in range(0, len(labels), self.bts)]

    def __getitem__(self, i):
        cv2.setNumThreads(0)  # the workers are the parallelism
        first = i * self.bts
        last = min(first + self.bts, len(self.samples))
        try:
            return write_bin(self.folder, first, (self.samples[index] for index in range(first, last)), self.bts)
        except InputError as e:
            return str(e)
        except OSError as e:
            return f'{self.folder}: {e.strerror}'


# ---- the folder of bins ------------------------------------------------------------------------------


def check_folder(path, overwrite):
    """Raise InputError unless PATH is new, empty, or holds only what this script wrote, which may be replaced."""
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        raise InputError(f'{path}: exists and is no folder; choose another --output_path')
    entries = os.listdir(path)
    other = [name for name in entries if not is_bin_folder_entry(name)]
    if other:
        raise InputError(f'{path}: holds other files ({other[0]}); choose an empty or a new --output_path')
    if entries and INFO not in entries and not overwrite:
        raise InputError(f'{path}: holds .bin files without the {INFO} that this script writes; '
                         'choose another --output_path, or replace them by --overwrite')


def check_name_length(labels, bts):
    """Raise InputError if the labels of BTS videos would not fit into a file name."""
    digits = max(len(str(label)) for label in labels)
    if NAME_WITHOUT_LABELS + bts * (digits + 1) > LONGEST_FILE_NAME:
        raise InputError(f'--bts {bts}: so many labels make a file name longer than file systems allow; '
                         'use a smaller one (ais_bench puts several files into a batch)')


def holds(path, info, names, size):
    """Whether the folder PATH holds just these bins, whole, as INFO describes them."""
    if not os.path.isdir(path) or sorted(os.listdir(path)) != sorted([*names, INFO]):
        return False
    found = read_info(path)
    if any(found.get(key) != value for key, value in info.items() if key != 'config'):  # its digest is compared
        return False
    return all(os.path.getsize(os.path.join(path, name)) == size for name in names)


def make_room(path, need):
    """Raise InputError unless NEED bytes are free beside PATH. Where only its old bins are in the way, remove them."""
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if need <= free:
        return  # for the new bins beside the old ones, which stay until the new ones are complete
    old = 0
    if os.path.isdir(path):
        old = sum(os.path.getsize(os.path.join(path, name)) for name in os.listdir(path))
    if need > free + old:
        raise InputError(f'{path}: {need / 1e9:.1f} GB are needed and {(free + old) / 1e9:.1f} GB are free; '
                         '--dtype uint8 needs a quarter, r2plus1d_infer.py --config none')
    log(f'{path}: the old files are removed first, because the disk has no room for both')
    remove_folder(path)


def remove_folder(path):
    """Remove a folder so that no part of it is ever found under its name."""
    if os.path.exists(path):
        os.rename(path, path + '.old')
        shutil.rmtree(path + '.old')


def write_folder(path, writer, workers, info):
    """Write all bins and info.json into a folder beside PATH, which then takes its place."""
    part = path + '.part'
    os.mkdir(part)
    writer.folder = part
    try:
        loader = DataLoader(writer, batch_size=None, num_workers=workers)
        with tqdm(total=len(writer.samples), unit='video', desc=path) as bar:
            for done in loader:
                if isinstance(done, str):
                    raise InputError(done)
                bar.update(done)
        write_info(part, info)
        remove_folder(path)
        os.rename(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


# ---- the script --------------------------------------------------------------------------------------


def preprocess(args):
    path = args.output_path.rstrip('/') or '/'
    check_folder(path, args.overwrite)
    cfg = read_config(args.config, args.cfg_options)
    cfg.allow_outside = args.allow_outside
    samples = Samples(cfg, args.dtype)
    if not len(samples):
        raise InputError(f'{samples.list_file}: lists no video')
    writer = BinWriter(samples, args.bts, path)
    check_name_length(samples.labels, args.bts)
    names = writer.names()
    _, sample = samples[0]
    info = {
        'config': args.config,
        'config_sha256': config_digest(cfg),
        'list': samples.list_file,
        'list_sha256': file_digest(samples.list_file),
        'dtype': args.dtype,
        'shape': list(sample.shape),
        'bts': args.bts,
        'num_videos': len(samples),
    }
    size = args.bts * sample.nbytes
    if not args.overwrite and holds(path, info, names, size):
        log(f'{path}: kept: it has these {len(names)} files already; --overwrite makes them again')
        return
    for leftover in (path + '.part', path + '.old'):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    make_room(path, size * len(names))
    write_folder(path, writer, args.workers, info)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--config', required=True, help='config file of mmaction2, for its data.test')
    parser.add_argument('--bts', type=positive_int, default=1, help='samples in a file (default: 1)')
    parser.add_argument('--output_path', required=True, help='folder for the files')
    parser.add_argument('--dtype', choices=['float32', 'uint8'], default='float32',
                        help='uint8: not normalized, a quarter of the size, for a model made with '
                        'r2plus1d_optimize.py --uint8_input (default: float32)')
    parser.add_argument('--overwrite', action='store_true', help='make files again that are there already, for '
                        'instance because the frames have changed; replace .bin files of another origin')
    parser.add_argument('--workers', type=positive_int, default=default_workers(),
                        help='processes (default: two a core, since they wait for the disk; at most 64)')
    parser.add_argument('--allow_outside', action='store_true', help='take videos outside the data folder, which the '
                        'list names by absolute paths or by ..')
    parser.add_argument('--cfg-options', nargs='+', help='as of mmaction2\'s tools')
    args = parser.parse_args()
    require_files(parser, args, 'config')
    return args


def default_workers():
    return min(2 * (os.cpu_count() or 1), 64)


@script_main
def main():
    preprocess(parse_args())


if __name__ == '__main__':
    main()
