# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Print the most probable classes of videos: of one, of a folder, of an archive on a cluster.

    python r2plus1d_predict.py --model r2plus1d_sim.onnx \
        --video ./data/ucf101/videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi
    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video ./data/ucf101/videos --output predictions.jsonl
    python r2plus1d_predict.py --model r2plus1d_sim.onnx \
        --video ./data/ucf101/videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi --every 3 --srt subtitles

Each video goes through the config's test pipeline, decoded straight from the file while the model runs. With --output,
the same command continues what an interrupted one has left. A video that cannot be read is a row with an error. With
--ray, a cluster does the work; see r2plus1d/cluster.py.
"""
from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import math
import os
from concurrent.futures import Future
from typing import Any, Callable, ContextManager, Iterable, List, Optional

from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    explain_missing,
    log,
    make_parser,
    packages_needed,
    positive_int,
    require_files,
    script_main,
)

with packages_needed():
    from r2plus1d.bins import check_same_shape
    from r2plus1d.class_names import class_names
    from r2plus1d.data import read_config, shape_of_config
    from r2plus1d.engines import add_engine_options, input_of_model, start_engines
    from r2plus1d.inference import Outcome, Task, infer_here
    from r2plus1d.models import Engine
    from r2plus1d.precision import AUTO
    from r2plus1d.predictions import RowMaker, Subtitles, Tally, check_folders, predict_videos, read_rows, show
    from r2plus1d.rows import FORMATS, Row
    from r2plus1d.rows_file import RowsFile, RowsSettings, noted_precision, open_rows_file, settle_precision
    from r2plus1d.videos import Decoder, find_videos, names_one_video, videos_of_test_split


def predict(args: argparse.Namespace) -> None:
    if args.precision == AUTO:
        args.precision = noted_precision(args.output, args.model) or AUTO
    engines = None if args.ray else start_engines(args, many_batches=not is_one_sample(args))
    cfg = read_config(args.config)  # it imports mmcv meanwhile
    cfg.allow_damaged = args.allow_damaged
    source, names = args.classes = class_names(args.model, cfg, args.classes)
    videos = find_videos(args.video, names) if args.video else videos_of_test_split(cfg)
    check_folders(source, names, videos)
    subtitles = Subtitles(args.srt, args.video, videos) if args.srt else None
    maker = RowMaker(source, names, args.topk, args.average_clips)
    precision = engines.result()[0].precision if engines else settle_precision(args)
    tally = Tally(len(names))

    def finish(rows: List[Row]) -> None:
        tally.add(rows)
        if subtitles:
            subtitles.write(rows)

    context: ContextManager[Optional[RowsFile]] = contextlib.nullcontext()  # the rows are printed
    if args.output:
        context = open_rows_file(args.output, RowsSettings.of(args, cfg, precision), [video.path for video in videos],
                               args.retry_failed)
    with context as rows_file:
        missing = read_rows(rows_file.videos() if rows_file else (), videos, finish)
        if missing:
            for rows in predict_videos(args, missing, maker, infer_function(args, cfg, maker, engines)):
                finish(rows)
                if rows_file:
                    rows_file.add(rows)
                else:
                    show(rows, says_errors=len(videos) > 1)
        if rows_file:
            rows_file.finish()
    report(args, tally, shape_of_config(cfg), is_alone=len(videos) == 1)


def is_one_sample(args: argparse.Namespace) -> bool:
    """Whether --video is one video file, of which one row is wanted. It shall be there as soon as can be."""
    return len(args.video or ()) == 1 and not args.every and names_one_video(args.video[0])


def infer_function(args: argparse.Namespace, cfg: Any, maker: RowMaker,
                   engines: Optional[Future[List[Engine]]]) -> Callable[[Iterable[Task]], Iterable[Outcome]]:
    """What makes outcomes of tasks: the ENGINES of start_engines(), or a cluster."""
    ready = engines.result() if engines else []
    given = shape_of_config(cfg)
    expected = ready[0].sample_shape if ready else input_of_model(args.model)[0]
    if expected and given:
        check_same_shape(args.config, given, args.model, expected)
    if not ready:
        from r2plus1d.cluster import infer_on_ray
        return functools.partial(infer_on_ray, args)
    if ready[0].num_classes:
        maker.check_classes(ready[0].num_classes)
    return functools.partial(infer_here, ready, args.batchsize or ready[0].batch_size or 1,
                             Decoder(cfg, str(ready[0].dtype), are_files=bool(args.video)).decode)


def report(args: argparse.Namespace, tally: Tally, shape: Optional[List[int]], is_alone: bool) -> None:
    """Print the accuracy, and what a person should know. Raises InputError where videos failed."""
    accuracy = None if args.every else tally.accuracy(args.average_clips, shape)
    if accuracy:
        print(json.dumps(accuracy))
    if tally.beyond_list:
        log(f'{args.classes.source}: names {tally.num_classes} classes, and the most probable class of '
            f'{tally.beyond_list} of {tally.count} rows is not among them; {args.model} was trained on other classes: '
            'give their list by --classes')
    if tally.failed:
        if is_alone and not args.output:
            raise InputError(str(tally.last_error))
        where = f'; their rows in {args.output} say why, and --retry_failed tries them again' if args.output else ''
        raise InputError(f'{tally.failed} of {tally.count} {"windows" if args.every else "videos"} failed{where}')


def seconds(text: str) -> float:
    """Type of --every: a finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not a number of seconds above 0')
    return value


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--model', '-m', required=True, help='The ONNX model, or an .om.')
    parser.add_argument('--video', nargs='+', metavar='PATH', help='Video files, folders of them, or text lists (.txt) '
                        'with a path, or a path and a label, on each line. (default: the test split of --config)')
    parser.add_argument('--classes', help='The class list, as UCF-101\'s classInd.txt. (default: what the model '
                        'says, else the config)')
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='The config of mmaction2, for its test pipeline.')
    parser.add_argument('--output', '-o', help='The file for the rows, a .jsonl, .csv or .parquet; the same command '
                        'again continues it. Without it, the predictions are printed.')
    parser.add_argument('--topk', type=positive_int, default=5, help='How many classes a row has.')
    parser.add_argument('--batchsize', type=positive_int, help='The number of samples in a batch. (default: that of '
                        'the model, or 1)')
    parser.add_argument('--average_clips', choices=['score', 'prob'], default='prob',
                        help='Whether the scores of the views are averaged, or their probabilities.')
    parser.add_argument('--every', type=seconds, metavar='SECONDS', help='Predict along each video: a row for each so '
                        'many seconds.')
    parser.add_argument('--srt', metavar='FOLDER', help='Of --every: write subtitles with the best class, one file for '
                        'each video.')
    parser.add_argument('--retry_failed', action='store_true', help='Of --output: try the videos with errors again.')
    parser.add_argument('--ray', metavar='local|auto|HOST:PORT', help='Run on Ray: on this machine, on the cluster to '
                        'which it belongs, or on the cluster at this address.')
    parser.add_argument('--allow_damaged', action='store_true', help='Take damaged videos as the decoder mends them.')
    add_engine_options(parser, precision=AUTO)
    args: argparse.Namespace = parser.parse_args()
    require_files(parser, args, 'model', 'config', *(['classes'] if args.classes else []))
    check_args(parser, args)
    return args


def check_args(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    for path in args.video or ():
        if not os.path.lexists(path):
            parser.error(f'--video {path}: no such file{explain_missing(path)}')
    if args.every and not args.video:
        parser.error('--every needs --video')
    if args.srt and not args.every:
        parser.error('--srt needs --every')
    if args.retry_failed and not args.output:
        parser.error('--retry_failed needs --output')
    if args.output and os.path.splitext(args.output)[1] not in FORMATS:
        parser.error(f'--output {args.output}: expected a name that ends with {", ".join(FORMATS)}')
    if args.ray and args.ray not in ('local', 'auto') and not args.ray.rpartition(':')[2].isdecimal():
        parser.error(f'--ray {args.ray}: expected local, auto or the host:port of a cluster\'s head')


@script_main
def main() -> None:
    args = parse_args()
    if args.output and args.output.endswith('.parquet') and not importlib.util.find_spec('pyarrow'):
        raise InputError('a .parquet file needs pyarrow: pip install pyarrow, or give --output a name that ends with '
                         '.jsonl or .csv')
    predict(args)


if __name__ == '__main__':
    main()
