# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Turn the test videos of a config into .bin files for ais_bench or r2plus1d_infer.py.

    python r2plus1d_preprocess.py --bts=1 --output_path=./predata_bts1/
    python r2plus1d_preprocess.py --bts=1 --dtype=uint8 --output_path=./predata_uint8/

A file bin<first>-<last>_<label>_<label>....bin holds --bts samples, C-order, each of crops x 3 x frames x H x W. The
last file is filled up with copies of its last sample; its name has only the real ones. Beside them, info.json says
what they are and of which config and list; ais_bench passes it over. Files that are there already, of the same config,
list, dtype and --bts, are kept. A run that was interrupted goes on with the same command: the files that are done lie
in <output_path>.part until all are.
"""
import contextlib
import functools
import logging
import os
import re
import shutil
import warnings

# It comes first, so that Ctrl-C while the next ones are imported is one line.
from r2plus1d.run import Interrupted, describe_os_error, let_children_end, start_worker
from r2plus1d.store import naming

# isort: split
import cv2
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from r2plus1d.bins import (
    INFO,
    SAMPLE_DTYPES,
    bin_name,
    check_same_shape,
    is_bin_folder_entry,
    read_info,
    write_bin,
    write_info,
)
from r2plus1d.data import Samples, config_digest, read_config
from r2plus1d.engines import input_of_model
from r2plus1d.run import DEFAULT_CONFIG, InputError, log, make_parser, positive_int, require_files, script_main
from r2plus1d.store import (
    OLD_ENDING,
    PART_ENDING,
    file_digest,
    locked,
    remove_folder,
    remove_tree,
    replace_folder,
    write_all,
)

# PyTorch warns of more workers than cores. Those of this script wait for the disk, so two a core are faster than one.
warnings.filterwarnings('ignore', message='This DataLoader will create')
# When a worker ends while PyTorch imports its profiler, that logs a traceback before the error comes here.
logging.getLogger('torch.autograd.profiler').setLevel(logging.ERROR)

LONGEST_FILE_NAME = 255  # characters, on Linux' file systems
NAME_WITHOUT_LABELS = 30  # characters, for "bin<first>-<last>" of any data set, and the ending
JOURNAL = 'done.txt'  # in the folder of an unfinished run: a line with name and digest for each bin that is done
JOURNAL_LINE = re.compile(r'(\S+) ([0-9a-f]{32})')


class BinWriter(Dataset):
    """Item i writes the i-th bin that is TODO and is (its name, its digest), or the text of an error.

    As a Dataset it is run by the workers of a DataLoader: no sample is sent from process to process.
    """

    def __init__(self, samples, bts):
        self.samples = samples
        self.bts = bts
        self.folder = None
        labels = samples.labels
        self.names = [bin_name(first, labels[first:first + bts]) for first in range(0, len(labels), bts)]
        self.todo = range(len(self.names))

    def __len__(self):
        return len(self.todo)

    def count_videos(self, i):
        """The number of videos in the i-th of all bins."""
        return min(self.bts, len(self.samples) - i * self.bts)

    def __getitem__(self, i):
        cv2.setNumThreads(0)  # the workers are the parallelism
        first = self.todo[i] * self.bts
        videos = range(first, first + self.count_videos(self.todo[i]))
        try:
            done = write_bin(self.folder, first, (self.samples[index] for index in videos), self.bts)
            add_to_journal(self.folder, *done)
            return done
        except InputError as e:
            return str(e)
        except OSError as e:
            return describe_os_error(e)


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


def check_models(args, sample):
    """Raise InputError where one of --models takes other samples than the bins will have."""
    for model in args.models:
        shape, dtype = input_of_model(model)
        if shape:
            check_same_shape(args.config, sample.shape, model, shape)
        if dtype and dtype != sample.dtype:
            raise InputError(f'{model}: takes {dtype}, and the bins would be {sample.dtype}; give --dtype {dtype}')


def check_name_length(labels, bts):
    """Raise InputError if the labels of BTS videos would not fit into a file name."""
    digits = max(len(str(label)) for label in labels)
    if NAME_WITHOUT_LABELS + bts * (digits + 1) > LONGEST_FILE_NAME:
        raise InputError(f'--bts {bts}: so many labels make a file name longer than file systems allow; '
                         'use a smaller one (ais_bench puts several files into a batch)')


def describes_run(found, info):
    """Whether FOUND, the content of an info.json, is of the same run as INFO. Of the config the digest is compared."""
    return all(found.get(key) == value for key, value in info.items() if key != 'config')


def holds(path, info, names, size):
    """Whether the folder PATH holds just these bins, whole, as INFO describes them."""
    if not os.path.isdir(path) or sorted(os.listdir(path)) != sorted([*names, INFO]):
        return False
    return describes_run(read_info(path), info) and all(has_size(os.path.join(path, name), size) for name in names)


def make_room(path, need):
    """Raise InputError unless NEED bytes are free beside PATH. Where only its old bins are in the way, remove them."""
    parent = os.path.dirname(os.path.abspath(path))
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


# ---- the folder of an unfinished run -----------------------------------------------------------------
#
# <output_path>.part holds the bins that are done, an info.json that says of which run, without the digests of the bins,
# and the journal.


def add_to_journal(part, name, digest):
    """Note a bin that is done. The line is one write, so that workers do not mix theirs."""
    path = os.path.join(part, JOURNAL)
    with naming(path), open(path, 'ab', buffering=0) as f:
        write_all(f, f'\n{name} {digest}\n'.encode())  # a line before it may have lost its end


def read_journal(part):
    """{name: digest} of the bins that were noted; lines that are not whole are passed over."""
    try:
        with open(os.path.join(part, JOURNAL), encoding='ascii', errors='replace') as f:
            lines = [JOURNAL_LINE.fullmatch(line) for line in f.read().split('\n')]
    except FileNotFoundError:
        return {}
    return {match[1]: match[2] for match in lines if match}


def begin_or_go_on(part, info, names, size):
    """Make the folder PART ready for this run; {name: digest} of the bins that an interrupted one has left in it.

    What an interrupted run of another INFO has left is removed.
    """
    found = None
    with contextlib.suppress(InputError):
        found = read_info(part)
    if not found or not describes_run(found, info):
        remove_tree(part)
        os.mkdir(part)
        write_info(part, info)
        return {}
    noted = read_journal(part) or found.get('bins', {})
    done = {name: noted[name] for name in names if name in noted and has_size(os.path.join(part, name), size)}
    for name in os.listdir(part):
        if name not in done and name not in (INFO, JOURNAL):
            remove_tree(os.path.join(part, name))
    return done


def has_size(path, size):
    return os.path.isfile(path) and os.path.getsize(path) == size


def write_folder(path, writer, workers, info, digests):
    """Write the bins that are not among DIGESTS into the folder beside PATH, which then takes its place."""
    part = path + PART_ENDING
    writer.folder = part
    writer.todo = [i for i, name in enumerate(writer.names) if name not in digests]
    loader = DataLoader(writer, batch_size=None, num_workers=min(workers, len(writer)),
                        worker_init_fn=functools.partial(run_worker, os.getpid()))
    end = None
    try:
        write_bins(writer, loader, digests, path)
    except (RuntimeError, Interrupted) as e:
        let_children_end()
        # Its traceback holds the loader's iterator. When that is gone the workers have ended, and write no more.
        end = e.with_traceback(None)
    if end and 'DataLoader worker' in str(end):
        raise InputError(f'{path}: a process that makes the files was ended, by the system or by somebody; if the '
                         'memory was full, give fewer --workers; the same command goes on')
    if end:
        raise end
    write_info(part, dict(info, bins={name: digests[name] for name in writer.names}))
    remove_tree(os.path.join(part, JOURNAL))
    replace_folder(part, path)


def write_bins(writer, loader, digests, path):
    """Have the workers write the bins, and add their digests to DIGESTS."""
    done_before = len(writer.samples) - sum(map(writer.count_videos, writer.todo))
    with tqdm(total=len(writer.samples), initial=done_before, unit='video', desc=path) as bar:
        for i, done in zip(writer.todo, loader):
            if isinstance(done, str):
                raise InputError(done)
            digests[done[0]] = done[1]
            bar.update(writer.count_videos(i))


def run_worker(parent, _):
    """worker_init_fn of the DataLoader."""
    start_worker(parent)


def remove_if_useless(part, keep):
    """Remove the folder of an unfinished run, unless it has bins with which the same command goes on."""
    if os.path.isdir(part):
        if keep and read_journal(part):
            log(f'{part}: keeps the bins that are done; the same command goes on')
        else:
            remove_tree(part)


# ---- the script --------------------------------------------------------------------------------------


def preprocess(args, path):
    """Make the folder PATH, which is locked for this run."""
    check_folder(path, args.overwrite)
    cfg = read_config(args.config, args.cfg_options)
    cfg.allow_outside = args.allow_outside
    cfg.allow_damaged = args.allow_damaged
    samples = Samples(cfg, args.dtype)
    if not len(samples):
        raise InputError(f'{samples.list_file}: lists no video')
    check_name_length(samples.labels, args.bts)
    writer = BinWriter(samples, args.bts)
    names = writer.names
    _, sample = samples[0]
    check_models(args, sample)
    info = {
        'config': args.config,
        'config_sha256': config_digest(cfg),
        'list': samples.list_file,
        'list_sha256': file_digest(samples.list_file),
        'dtype': args.dtype,
        'shape': list(sample.shape),
        'bts': args.bts,
        'num_videos': len(samples),
        'allow_damaged': args.allow_damaged,
    }
    size = args.bts * sample.nbytes
    if not args.overwrite and holds(path, info, names, size):
        log(f'{path}: kept: it has these {len(names)} files already; --overwrite makes them again')
        return
    part = path + PART_ENDING
    remove_tree(path + OLD_ENDING)  # of a run that was killed
    if args.overwrite:
        remove_tree(part)  # the frames may have changed since
    try:
        digests = begin_or_go_on(part, info, names, size)
        if digests:
            log(f'{path}: goes on: {len(digests)} of {len(names)} files were done')
        make_room(path, size * (len(names) - len(digests)))
        write_folder(path, writer, args.workers, info, digests)
    finally:
        remove_if_useless(part, keep=not args.overwrite)


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='The config file of mmaction2 whose test videos '
                        '(data.test) are taken.')
    parser.add_argument('--bts', type=positive_int, default=1, help='The number of samples in a file.')
    parser.add_argument('--output_path', required=True, help='The folder for the files. It is made if it is missing.')
    parser.add_argument('--dtype', choices=SAMPLE_DTYPES, default='float32',
                        help='The type of the values. uint8 files are not normalized and have a quarter of the size; '
                        'they are for a model that r2plus1d_optimize.py --uint8_input has made.')
    parser.add_argument('--models', nargs='+', default=[], metavar='MODEL', help='ONNX files and .om files that the '
                        'files are for. One that takes other samples is refused before anything is made.')
    parser.add_argument('--overwrite', action='store_true', help='Make files again that are there already, for '
                        'instance because the frames have changed, and replace .bin files of another origin. With it, '
                        'a run that was interrupted begins again.')
    parser.add_argument('--workers', type=positive_int, default=default_workers(),
                        help='The number of processes. (default: two a core, since they wait for the disk, at most 64)')
    parser.add_argument('--allow_outside', action='store_true', help='Take videos outside the data folder, which the '
                        'list names by absolute paths or by "..".')
    parser.add_argument('--allow_damaged', action='store_true', help='Take damaged video files as the decoder mends '
                        'them. The info.json beside the files says so.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to the config, as of '
                        'mmaction2\'s tools.')
    args = parser.parse_args()
    require_files(parser, args, 'config')
    for model in args.models:
        if not os.path.isfile(model):
            parser.error(f'--models {model}: no such file')
    return args


def default_workers():
    return min(2 * (os.cpu_count() or 1), 64)


@script_main
def main():
    args = parse_args()
    path = args.output_path.rstrip('/') or '/'
    with locked(path):
        preprocess(args, path)


if __name__ == '__main__':
    main()
