# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Run python3 -m ais_bench on .bin files, on one device or several, with its inputs checked before.

    python test/run_ais_bench.py --model r2plus1d_bs16.om --input predata_bts1 --batchsize 16 --output ais_bench_out
    python test/run_ais_bench.py --model r2plus1d_bs1.om --input predata_bts1 --batchsize 1 --output ais_bench_out \
        --outfmt TXT --device 0,1

What ais_bench would refuse without saying what to do is said here, with the remedy. Several devices share the files,
and their outputs lie in one folder of one run, with ais_bench of 2023, 2025 and 2026 alike, whose flags differ.
"""
import argparse
import os
import shlex
import subprocess
import sys
import time
from typing import List

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.run import InputError, log, make_parser, packages_needed, require_files, script_main

with packages_needed():
    from r2plus1d.bins import check_same_shape, list_inputs, read_info
    from r2plus1d.engines import device_list
    from r2plus1d.npu import check_paths, divide_input, flag, missing_packages, shape_of_om
    from r2plus1d.summary import find_summaries


def command_of(args: argparse.Namespace) -> List[str]:
    """The ais_bench command."""
    command = [sys.executable, '-m', 'ais_bench', '--model', args.model, '--input', args.input, '--batchsize',
               args.batchsize, '--output', args.output, '--outfmt', args.outfmt,
               '--device', ','.join(map(str, args.device))]
    if len(args.device) > 1:
        # Each device takes its own time of day for the name of its folder, unless the folder is named.
        name = time.strftime('%Y_%m_%d-%H_%M_%S')
        command += [flag('output_dirname') or '--output_dirname', name, *divide_input()]
        # The processes of the devices make the folder at the same time, and one of them fails where it was not there.
        make_folder(args.output)
        make_folder(os.path.join(args.output, name))
    return command


def check_division(args: argparse.Namespace, count: int) -> None:
    """Raise InputError where ais_bench would leave a device without files, which ends its whole run.

    The older one gives each device as many files as the first, rounded up, until there are no more.
    """
    share = -(-count // len(args.device))
    if count < len(args.device) or (share * (len(args.device) - 1) >= count and not divide_input()):
        raise InputError(f'--device: this ais_bench cannot divide {count} files among {len(args.device)} devices; '
                         'give fewer devices')


def check_bins(args: argparse.Namespace, files: List[str]) -> None:
    """Raise InputError where the bins are known not to be of the shape that the .om takes."""
    folder = os.path.dirname(files[0])
    info = read_info(folder)
    taken = shape_of_om(args.model)
    if taken and info and info.shape:
        check_same_shape(folder, info.shape, args.model, taken)


def make_folder(path: str) -> None:
    """A folder of the mode that ais_bench gives to its folders, and demands of them."""
    if not os.path.isdir(path):
        os.mkdir(path)
        os.chmod(path, 0o750)


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--model', required=True, help='The .om.')
    parser.add_argument('--input', required=True, help='The folder of .bin files.')
    parser.add_argument('--batchsize', required=True, help='The batch size that the .om was made for.')
    parser.add_argument('--output', required=True, help='The folder for the folder of outputs and its summary.')
    parser.add_argument('--outfmt', default='TXT', choices=['NPY', 'BIN', 'TXT'], help='The format of the outputs.')
    parser.add_argument('--device', type=device_list, default=[0], help='The number of the NPU, or numbers with commas '
                        'between. (default: 0)')
    args = parser.parse_args()
    require_files(parser, args, 'model')
    return args


@script_main
def main() -> None:
    args = parse_args()
    missing = missing_packages()
    if missing:
        raise InputError(f'{args.model} needs {" and ".join(missing)}')
    files = list_inputs(args.input)
    check_bins(args, files)
    check_paths(args.model, args.input, args.output)
    check_division(args, len(files))
    command = command_of(args)
    log(' '.join(map(shlex.quote, command)))
    status = subprocess.run(command).returncode
    if status:
        raise InputError(f'{args.model}: ais_bench has ended with status {status}; its messages are above')
    summaries = find_summaries(args.output)
    if len(summaries) != len(args.device):
        raise InputError(f'{args.output}: {len(summaries)} summaries of {len(args.device)} devices; '
                         'the messages of ais_bench above say which device failed')


if __name__ == '__main__':
    main()
