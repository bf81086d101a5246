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
import hashlib
import json
import math
import os
from concurrent.futures import Future
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Union

from tqdm import tqdm

from r2plus1d.bins import check_same_shape
from r2plus1d.classes import check_names_of_videos, plain, read_classes
from r2plus1d.data import read_config, shape_of_config
from r2plus1d.engines import add_engine_options, input_of_model, start_engines
from r2plus1d.inference import Outcome, infer_here
from r2plus1d.journal import FORMATS, Journal, Printer, Settings, noted_precision, require_pyarrow
from r2plus1d.rows import FileStamp, Row, RowMaker, Tally, VideoRows
from r2plus1d.run import (
    DEFAULT_CLASSES,
    DEFAULT_CONFIG,
    InputError,
    explain_missing,
    log,
    make_parser,
    positive_int,
    require_files,
    script_main,
)
from r2plus1d.store import file_digest
from r2plus1d.subtitles import Subtitles
from r2plus1d.videos import Task, Video, find_videos, names_one_video, tasks_of, videos_of_test_split

# ---- from videos to rows -------------------------------------------------------------------------------


def predict(args: argparse.Namespace) -> None:
    names = read_classes(args.classes)
    engines = None if args.ray else start_engines(args, many_batches=not is_one_sample(args))
    cfg = read_config(args.config)  # it imports mmaction2 meanwhile
    cfg.allow_damaged = args.allow_damaged
    videos = find_videos(args.video, names) if args.video else videos_of_test_split(cfg)
    check_folders(args.classes, names, videos)
    subtitles = Subtitles(args.srt, args.video, videos) if args.srt else None
    tally = Tally(len(names))
    with open_journal(args, cfg, videos) as journal:
        missing = read_rows(journal, videos, tally, subtitles)
        for rows in predict_videos(args, cfg, missing, RowMaker(names, args.topk, args.average_clips), engines):
            if subtitles:
                subtitles.write(rows)
            journal.add(rows)
            tally.add(rows)
        journal.finish()
    report(args, tally, shape_of_config(cfg), is_alone=len(videos) == 1)


def is_one_sample(args: argparse.Namespace) -> bool:
    """Whether --video is one video file, of which one row is wanted. It shall be there as soon as can be."""
    return len(args.video or ()) == 1 and not args.every and names_one_video(args.video[0])


def check_folders(class_list: str, names: List[str], videos: Sequence[Video]) -> None:
    """Raise InputError where videos in folders that have the names of classes have the labels of other classes."""
    known = set(map(plain, names))
    labels = [(video.path, video.label) for video in videos if video.label is not None
              and plain(os.path.basename(os.path.dirname(video.path))) in known]
    check_names_of_videos(class_list, names, labels)


def open_journal(args: argparse.Namespace, cfg: Any, videos: Sequence[Video]) -> Union[Journal, Printer]:
    if not args.output:
        return Printer(says_errors=len(videos) > 1)
    pipeline = json.dumps(cfg.data.test.pipeline, sort_keys=True, default=str)
    settings = Settings(
        model=file_digest(args.model), test_pipeline=hashlib.sha256(pipeline.encode()).hexdigest(),
        classes=file_digest(args.classes), topk=args.topk, average_clips=args.average_clips, every=args.every,
        backend=args.backend, precision=args.precision, allow_damaged=args.allow_damaged,
        notes={'model': args.model, 'config': args.config, 'classes': args.classes})
    wanted = {video.path for video in videos}

    def outdated(row: Row) -> Optional[str]:
        if row.path not in wanted:
            return None
        if FileStamp.of(row.path).is_other_than(row):
            return 'their files are others than those before, by size or time'
        return 'they had errors' if args.retry_failed and row.error is not None else None

    return Journal(args.output, settings, outdated)


def read_rows(journal: Union[Journal, Printer], videos: Sequence[Video], tally: Tally,
              subtitles: Optional[Subtitles]) -> List[Video]:
    """Count the rows that are there, and write the subtitles that they lack. The videos that have no rows."""
    wanted = {video.path: video for video in videos}
    done = set()
    others = 0
    collected = VideoRows()
    for row in journal.rows():
        if row.path not in wanted:
            others += 1
            continue
        label = wanted[row.path].label
        if row.label_index != label:
            raise InputError(f'{row.path}: has the label {label} now, and had the label {row.label_index} when it was '
                             'predicted; give another --output')
        rows = collected.add(row)
        if rows:
            done.add(row.path)
            tally.add(rows)
            if subtitles:
                subtitles.write(rows)
    if done or others:
        log(f'{len(done)} of {len(wanted)} videos are done' + (f'; {others} rows of other videos stay' if others else
                                                               ''))
    return [video for video in videos if video.path not in done]


def predict_videos(args: argparse.Namespace, cfg: Any, videos: Sequence[Video], maker: RowMaker,
                   engines: Optional[Future[Any]]) -> Iterator[List[Row]]:
    """The rows of one video after another, as soon as all its windows are there. ENGINES: of start_engines()."""
    if not videos:
        return
    stamps: Dict[str, FileStamp] = {}

    def tasks() -> Iterator[Task]:
        for video in videos:
            stamps[video.path] = FileStamp.of(video.path)
            yield from tasks_of(video, args.every, args.allow_damaged)

    collected = VideoRows()
    with tqdm(total=len(videos), unit='video', desc='Prediction', disable=len(videos) == 1 and not args.every) as bar:
        for count, outcome in enumerate(infer(args, cfg, tasks(), engines), 1):
            path = outcome.task.video.path
            if outcome.scores is not None and len(maker.names) > outcome.scores.shape[-1]:
                raise InputError(f'{args.classes}: {len(maker.names)} classes, and {args.model} has '
                                 f'{outcome.scores.shape[-1]}')
            rows = collected.add(maker.row(outcome, stamps[path]))
            if args.every:
                bar.set_postfix(windows=count)
            if rows:
                del stamps[path]
                yield rows
                bar.update()


def infer(args: argparse.Namespace, cfg: Any, tasks: Iterable[Task],
          engines: Optional[Future[Any]]) -> Iterable[Outcome]:
    ready = engines.result() if engines else []
    given = shape_of_config(cfg)
    expected = ready[0].sample_shape if ready else input_of_model(args.model)[0]
    if expected and given:
        check_same_shape(args.config, given, args.model, expected)
    if ready:
        return infer_here(ready, args.batchsize or ready[0].batch_size or 1, cfg, tasks)
    from r2plus1d.cluster import infer_on_ray
    return infer_on_ray(args, cfg, tasks)


def report(args: argparse.Namespace, tally: Tally, shape: Optional[List[int]], is_alone: bool) -> None:
    """Print the accuracy, and what a person should know. Raises InputError where videos failed."""
    accuracy = None if args.every else tally.accuracy(args.average_clips, shape)
    if accuracy:
        print(json.dumps(accuracy))
    if tally.beyond_list:
        log(f'{args.classes}: {tally.num_classes} classes, and the most probable class of {tally.beyond_list} of '
            f'{tally.count} rows is not among them; {args.model} was trained on other classes: give their list by '
            '--classes')
    if tally.failed:
        if is_alone and not args.output:
            raise InputError(str(tally.last_error))
        where = f'; their rows in {args.output} say why, and --retry_failed tries them again' if args.output else ''
        raise InputError(f'{tally.failed} of {tally.count} {"windows" if args.every else "videos"} failed{where}')


# ---- arguments -----------------------------------------------------------------------------------------


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
    parser.add_argument('--classes', default=DEFAULT_CLASSES, help='The class list, as UCF-101\'s classInd.txt.')
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
    add_engine_options(parser)
    args = parser.parse_args()
    require_files(parser, args, 'model', 'classes', 'config')
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
    if args.output and not args.output.endswith(FORMATS):
        parser.error(f'--output {args.output}: expected a name that ends with {", ".join(FORMATS)}')
    if args.ray and args.ray not in ('local', 'auto') and not args.ray.rpartition(':')[2].isdecimal():
        parser.error(f'--ray {args.ray}: expected local, auto or the host:port of a cluster\'s head')


@script_main
def main() -> None:
    args = parse_args()
    if args.output and args.output.endswith('.parquet'):
        require_pyarrow()
    predict(args)


if __name__ == '__main__':
    main()
