# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page about a run of test/eval_acc_perf.sh: verdict, accuracy, speed, confusions, clips.

    python r2plus1d_report.py
    python r2plus1d_report.py --work_dir work_dirs/demo --output report/index.html --language en

It reads evaluation_bs<N>.json, result_bs<N>.json and predata_bts1_bs<N>_out of each batch size, and compare.json of
test/pth2om.sh. What no option says is that of evaluation_bs<N>.json. Classes and clips are those of the first batch
size. The page is one file and opens without a network.
"""
from __future__ import annotations

import argparse
import os
import sys
from typing import Tuple

from r2plus1d.run import (
    DEFAULT_CONFIG,
    make_parser,
    packages_needed,
    positive_int,
    require_files,
    script_main,
)

with packages_needed():
    from r2plus1d.metrics import fraction
    from r2plus1d.report.page import check_output, render, write_page
    from r2plus1d.report.runs import ReportSettings, collect
    from r2plus1d.results import parse_batch_sizes, take_evaluation


def name_and_folder(text: str) -> Tuple[str, str]:
    """Type of the option --extra: (name, folder) of NAME=DIR."""
    name, _, folder = text.partition('=')
    if not name or not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=DIR with a folder that exists')
    return name, folder


def language_of_user() -> str:
    """zh where the environment asks for Chinese messages, as LANG=zh_CN.UTF-8 does; else en."""
    variables = [os.environ.get(name) for name in ('LC_ALL', 'LC_MESSAGES', 'LANG')]
    first = next(filter(None, variables), '')
    return 'zh' if first.lower().startswith('zh') else 'en'


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--work_dir', default='.', help='The folder in which test/eval_acc_perf.sh has put '
                        'its results.')
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, help='The batch sizes to show. (default: all that '
                        'have a result)')
    parser.add_argument('--config', help='The config file of mmaction2 whose model and test videos (data.test) the run '
                        'was of. (default: that of the evaluation, else this repository\'s)')
    parser.add_argument('--classes', help='The class list, with lines like "1 ApplyEyeMakeup", in UTF-8. (default: '
                        'what the model says, else the config)')
    parser.add_argument('--dataset', metavar='NAME', help='The name of the data set, for the title. (default: UCF-101, '
                        'test split 1, where there are 101 classes and 3,783 videos; else the name of the list)')
    parser.add_argument('--output', help='The HTML file to write. (default: <work_dir>/report/index.html)')
    parser.add_argument('--language', choices=['en', 'zh'], default=language_of_user(), help='The language of the '
                        'page. (default: zh where the locale is Chinese, such as LANG=zh_CN.UTF-8, else en)')
    parser.add_argument('--reference', type=fraction, help='The top-1 to reach. (default: that of the evaluation; '
                        'else, for the 3,783 test videos of UCF-101, the original guide\'s 0.8892; for others none)')
    parser.add_argument('--tolerance', type=fraction, help='How far below the reference top-1 may be. (default: that '
                        'of the evaluation, else 0.01)')
    parser.add_argument('--extra', type=name_and_folder, action='append', default=[], metavar='NAME=DIR',
                        help='The speed of other runs, such as pure inference: a name, and a folder with their '
                        'summaries. What the name has before a comma is the model; the bars of one model have one '
                        'scale. The option may stand several times. (default: none)')
    parser.add_argument('--compare', metavar='DIR', help='Another run of the same test videos, which is shown beside '
                        'this one: its --work_dir, or the --output of an inference.')
    parser.add_argument('--examples', type=int, default=8, help='How many clips of wrongly classified videos to show, '
                        'and as many of rightly classified ones; 0 shows none.')
    parser.add_argument('--crops', type=positive_int, help='The number of views of a video, where neither the summary '
                        'nor the info.json beside the .bin files, nor the config tells it.')
    args = parser.parse_args()
    args.evaluation = evaluation = take_evaluation(args)
    args.config = args.config or (evaluation.config if evaluation else DEFAULT_CONFIG)
    require_files(parser, args, 'config', *(['classes'] if args.classes else []))
    if args.examples < 0:
        parser.error(f'--examples {args.examples} is not 0 or more')
    if args.compare and not os.path.isdir(args.compare):
        parser.error(f'--compare {args.compare}: no such folder')
    return args


@script_main
def main() -> None:
    args = vars(parse_args())
    language, output = args.pop('language'), args.pop('output')
    output = output or os.path.join(args['work_dir'], 'report', 'index.html')
    check_output(output)
    page = render(collect(ReportSettings(**args)), language)
    write_page(output, page)
    print(f'{output}: {len(page) / 1e6:.2f} MB', file=sys.stderr)


if __name__ == '__main__':
    main()
