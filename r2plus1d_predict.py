# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Print the most probable classes of videos: of one, of a folder, of an archive on a cluster.

    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video clip.avi
    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video clips/ --output predictions.jsonl
    python r2plus1d_predict.py --model r2plus1d_sim.onnx --video game.mp4 --every 10 --srt subtitles
    python r2plus1d_predict.py --model r2plus1d_bs16.om --video archive.txt --output archive.jsonl --ray auto

Each video goes through the config's test pipeline, decoded straight from the file while the model runs. The same
command continues what an interrupted one has left. A video that cannot be read is a row with an error.
"""
# isort: off
import r2plus1d_interruptions  # noqa: F401 - it comes first, so that Ctrl-C while the next ones are imported is one line
# isort: on
import argparse
import collections
import hashlib
import json
import math
import os

from tqdm import tqdm

from r2plus1d_data import class_name, read_classes, read_config
from r2plus1d_engines import add_engine_options, make_engines
from r2plus1d_files import InputError, file_digest, log, positive_int, require_files, script_main
from r2plus1d_journal import FORMATS, Journal, Printer
from r2plus1d_pipeline import infer_here
from r2plus1d_predictions import Tally, error_row, make_row, require_pyarrow, write_srt
from r2plus1d_videos import find_videos, tasks_of, videos_of_test_split

# ---- from videos to rows -------------------------------------------------------------------------------


def predict(args):
    names = read_names(args.classes)
    cfg = read_config(args.config)
    cfg.allow_damaged = args.allow_damaged
    videos = find_videos(args.video, names) if args.video else videos_of_test_split(cfg)
    tally = Tally(names)
    with open_journal(args, cfg) as journal:
        if args.retry_failed:
            journal.remove_failed()
        missing = read_rows(journal, videos, names, tally)
        infer_missing(args, cfg, names, missing, journal, tally)
        journal.finish()
    accuracy = None if args.every else tally.accuracy(args.average_clips)
    if accuracy:
        print(json.dumps(accuracy))
    if tally.failed:
        if len(videos) == 1 and not args.output:
            raise InputError(tally.last_error)
        where = f'; their rows in {args.output} say why, and --retry_failed tries them again' if args.output else ''
        raise InputError(f'{tally.failed} of {tally.count} {"windows" if args.every else "videos"} failed{where}')


def read_names(path):
    """The names of the classes. Raises InputError where one is there twice: rows name classes by them."""
    names = read_classes(path)
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise InputError(f'{path}: has the class {twice[0]} twice')
    return names


def open_journal(args, cfg):
    if not args.output:
        return Printer()
    pipeline = json.dumps(cfg.data.test.pipeline, sort_keys=True, default=str)
    settings = {
        'model': file_digest(args.model),
        'test pipeline of the config': hashlib.sha256(pipeline.encode()).hexdigest(),
        'classes': file_digest(args.classes),
        **{name: getattr(args, name) for name in ('topk', 'average_clips', 'every', 'backend', 'precision',
                                                  'allow_damaged')},
    }
    return Journal(args.output, settings, {'model': args.model, 'config': args.config, 'classes': args.classes})


def read_rows(journal, videos, names, tally):
    """Count the rows that are there. The videos that have none: a list."""
    wanted = {video.path: video for video in videos}
    done = set()
    others = 0
    for row in journal.rows():
        video = wanted.get(row['path'])
        if video is None:
            others += 1
            continue
        label = None if video.label is None else class_name(names, video.label)
        if row['label'] != label:
            raise InputError(f'{journal.path}: {row["path"]} has the label {row["label"]}, and now it is {label}; '
                             'give another --output')
        tally.add(row)
        done.add(row['path'])
    if done or others:
        log(f'{journal.path}: {len(done)} of {len(wanted)} videos are done' +
            (f'; its {others} rows of other videos stay' if others else ''))
    return [video for video in videos if video.path not in done]


def infer_missing(args, cfg, names, videos, journal, tally):
    """Add the rows of these VIDEOS to the journal and to the tally."""
    if not videos:
        return
    tasks = (task for video in videos for task in tasks_of(video, args.every, args.allow_damaged))
    if args.ray:
        from r2plus1d_ray import infer_on_ray
        outcomes = infer_on_ray(args, cfg, tasks)
    else:
        engines = make_engines(args)
        outcomes = infer_here(engines, args.batchsize or engines[0].batch_size or 1, cfg, tasks)
    subtitles = SubtitleNames(args.srt, videos) if args.srt else None
    with tqdm(total=len(videos), unit='video', desc='Prediction', disable=len(videos) == 1 and not args.every) as bar:
        for rows in complete_videos(args, names, outcomes, bar):
            if subtitles:
                write_srt(subtitles.path_for(rows[0]['path']), rows)
            journal.add(rows)
            for row in rows:
                tally.add(row)
            bar.update()


def complete_videos(args, names, outcomes, bar):
    """The rows of one video after another: a list each, as soon as all windows of the video are there."""
    incomplete = {}
    for count, (task, scores, facts, fault) in enumerate(outcomes, 1):
        if fault is not None:
            row = error_row(task, fault, names)
        else:
            if len(names) > scores.shape[-1]:
                raise InputError(f'{args.classes}: {len(names)} classes, and {args.model} has {scores.shape[-1]}')
            row = make_row(task, scores, facts, names, args.topk, args.average_clips)
        rows = incomplete.setdefault(task.video.path, {})
        rows[task.window] = row
        if args.every:
            bar.set_postfix(windows=count, refresh=False)
            bar.update(0)
        if len(rows) == task.windows:
            del incomplete[task.video.path]
            yield [rows[window] for window in range(task.windows)]


class SubtitleNames:
    """The names of subtitles: those of the videos, in FOLDER, in the folders that the videos have below a common one.
    """

    def __init__(self, folder, videos):
        self.folder = folder
        self.common = os.path.commonpath([os.path.dirname(os.path.abspath(video.path)) for video in videos])

    def path_for(self, video):
        relative = os.path.relpath(os.path.abspath(video), self.common)
        return os.path.join(self.folder, os.path.splitext(relative)[0] + '.srt')


# ---- arguments -----------------------------------------------------------------------------------------


def seconds(text):
    """Type of --every: a finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} is not a number of seconds above 0')
    return value


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', '-m', required=True, help='ONNX model, or an .om')
    parser.add_argument('--video', nargs='+', metavar='PATH', help='video files, folders of them, or text lists (.txt) '
                        'with a path, or a path and a label, a line; without it: the test split of --config')
    parser.add_argument('--classes', required=True, help='class list, as UCF-101\'s classInd.txt')
    parser.add_argument('--config', required=True, help='config of mmaction2, for its test pipeline')
    parser.add_argument('--output', '-o', help='file for the rows: .jsonl, .csv or .parquet; without it they are '
                        'printed. The same command again continues it')
    parser.add_argument('--topk', type=positive_int, default=5, help='classes in a row (default: 5)')
    parser.add_argument('--batchsize', type=positive_int, help='samples in a batch (default: that of the model, or 1)')
    parser.add_argument('--average_clips', choices=['score', 'prob'], default='prob',
                        help='average of the crops: of scores or of probabilities (default: prob)')
    parser.add_argument('--every', type=seconds, metavar='SECONDS', help='a row for each so many seconds of a video')
    parser.add_argument('--srt', metavar='FOLDER', help='of --every: subtitles with the best class, a file a video')
    parser.add_argument('--retry_failed', action='store_true', help='of --output: try videos with errors again')
    parser.add_argument('--ray', metavar='local|auto|HOST:PORT', help='run on Ray: on this machine, on the cluster '
                        'that it belongs to, or on the one with this address')
    parser.add_argument('--allow_damaged', action='store_true', help='take damaged videos as the decoder mends them')
    add_engine_options(parser)
    args = parser.parse_args()
    require_files(parser, args, 'model', 'classes', 'config')
    check_args(parser, args)
    return args


def check_args(parser, args):
    for path in args.video or ():
        if not os.path.lexists(path):
            parser.error(f'--video {path}: no such file')
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
def main():
    args = parse_args()
    if args.output and args.output.endswith('.parquet'):
        require_pyarrow()
    predict(args)


if __name__ == '__main__':
    main()
