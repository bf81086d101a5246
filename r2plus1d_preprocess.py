# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Turn the test videos of a config into .bin files for ais_bench or r2plus1d_infer.py.

    python r2plus1d_preprocess.py --bts=1 --output_path=./predata_bts1/
    python r2plus1d_preprocess.py --bts=1 --dtype=uint8 --output_path=./predata_uint8/

A file bin<first>-<last>_<label>_<label>....bin holds --bts samples, C-order, each of crops x 3 x frames x H x W. The
last file is filled up with copies of its last sample; its name has only the real ones. Beside them, info.json says
what they are and of which config, list and videos; ais_bench passes it over. Files that are there already, of the same
config, list, dtype and --bts, and of videos that have not changed since, are kept. A run that was interrupted goes on
with the same command: the files that are done lie in <output_path>.part until all are.
"""
from __future__ import annotations

import argparse
import functools
import os
from typing import Any, List, Tuple

from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    log,
    make_parser,
    packages_needed,
    positive_int,
    require_files,
    script_main,
)

with packages_needed():
    from r2plus1d.bins import BinsInfo, check_same_shape, config_digest
    from r2plus1d.data import Samples, read_config
    from r2plus1d.engines import input_of_model
    from r2plus1d.environment import cpu_count
    from r2plus1d.models import SAMPLE_DTYPES
    from r2plus1d.preprocessing import Bins, check_folder, stamp
    from r2plus1d.store import OLD_ENDING, claim, file_digest, is_within, remove_tree

LONGEST_FILE_NAME = 255  # characters, on Linux' file systems
NAME_WITHOUT_LABELS = 30  # characters, for "bin<first>-<last>" of any data set, and the ending


def check_models(args: argparse.Namespace, sample: Any) -> None:
    """Raise InputError where one of --models takes other samples than the bins will have."""
    for model in args.models:
        shape, dtype = input_of_model(model)
        if shape:
            check_same_shape(args.config, sample.shape, model, shape)
        if dtype and dtype != sample.dtype:
            raise InputError(f'{model}: takes {dtype}, and the bins would be {sample.dtype}; give --dtype {dtype}')


def check_name_length(labels: List[int], bts: int) -> None:
    """Raise InputError if the labels of BTS videos would not fit into a file name."""
    digits = max(len(str(label)) for label in labels)
    if NAME_WITHOUT_LABELS + bts * (digits + 1) > LONGEST_FILE_NAME:
        raise InputError(f'--bts {bts}: so many labels make a file name longer than file systems allow; '
                         'use a smaller one (ais_bench puts several files into a batch)')


def plan_bins(args: argparse.Namespace) -> Tuple[Bins, List[str]]:
    """The bins that the arguments ask for, and the inputs. The first video is decoded: it tells the shape of all."""
    cfg = read_config(args.config, args.cfg_options)
    cfg.allow_outside = args.allow_outside
    cfg.allow_damaged = args.allow_damaged
    samples = Samples(cfg, args.dtype)
    list_file = str(samples.list_file)
    if not len(samples):
        raise InputError(f'{list_file}: lists no video')
    check_name_length(samples.labels, args.bts)
    _, sample = samples[0]
    check_models(args, sample)
    info = BinsInfo(
        config=os.path.abspath(args.config),
        config_sha256=config_digest(cfg),
        list=os.path.abspath(list_file),
        list_sha256=file_digest(list_file),
        dtype=args.dtype,
        shape=list(sample.shape),
        bts=args.bts,
        num_videos=len(samples),
        allow_damaged=args.allow_damaged,
        sources=list(map(stamp, samples.videos.infos)),
        bins={},
    )
    inputs = [args.config, list_file, *args.models, *samples.names]
    data = os.path.realpath(cfg.data.test.get('data_prefix') or os.curdir)
    if not is_within(os.path.realpath(os.curdir), data):
        inputs.append(data)
    return Bins(samples, info, sample.nbytes), inputs


def parse_args() -> argparse.Namespace:
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
    parser.add_argument('--overwrite', action='store_true', help='Make files again that are there already, and replace '
                        '.bin files of another origin. With it, a run that was interrupted begins again.')
    parser.add_argument('--workers', type=positive_int, default=min(2 * cpu_count(), 64),
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


@script_main
def main() -> None:
    args = parse_args()
    bins, inputs = plan_bins(args)
    with claim(args.output_path, functools.partial(check_folder, overwrite=args.overwrite), inputs) as path:
        if not args.overwrite and bins.are_in(path):
            log(f'{path}: kept: it has these {len(bins.names)} files already; --overwrite makes them again')
            return
        remove_tree(path + OLD_ENDING)  # of a run that was killed
        bins.make(path, args.workers, args.overwrite)


if __name__ == '__main__':
    main()
