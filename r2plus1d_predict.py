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
# isort: off
import r2plus1d.run  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on
import argparse
import hashlib
import json
import math
import os

from tqdm import tqdm

from r2plus1d.bins import check_same_shape
from r2plus1d.classes import class_name, read_classes
from r2plus1d.data import read_config, shape_of_config
from r2plus1d.engines import add_engine_options, input_of_model, start_engines
from r2plus1d.inference import infer_here
from r2plus1d.rows import FORMATS, Journal, Printer, Tally, error_row, make_row, require_pyarrow, write_srt
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
from r2plus1d.videos import find_videos, names_one_video, tasks_of, videos_of_test_split

# ---- from videos to rows -------------------------------------------------------------------------------


def predict(args):
    names = read_classes(args.classes)
    # read_config() imports mmaction2 meanwhile
    engines = None if args.ray else start_engines(args, many_batches=not is_one_sample(args))
    cfg = read_config(args.config)
    cfg.allow_damaged = args.allow_damaged
    videos = find_videos(args.video, names) if args.video else videos_of_test_split(cfg)
    tally = Tally(names)
    with open_journal(args, cfg, len(videos)) as journal:
        if args.retry_failed:
            journal.remove_failed()
        missing = read_rows(journal, videos, names, tally)
        infer_missing(args, cfg, names, missing, engines, journal, tally)
        journal.finish()
    accuracy = None if args.every else tally.accuracy(args.average_clips, shape_of_config(cfg))
    if accuracy:
        print(json.dumps(accuracy))
    if tally.failed:
        if len(videos) == 1 and not args.output:
            raise InputError(tally.last_error)
        where = f'; their rows in {args.output} say why, and --retry_failed tries them again' if args.output else ''
        raise InputError(f'{tally.failed} of {tally.count} {"windows" if args.every else "videos"} failed{where}')


def is_one_sample(args):
    """Whether --video is one video file, of which one row is wanted. It shall be there as soon as can be."""
    return len(args.video or ()) == 1 and not args.every and names_one_video(args.video[0])


def open_journal(args, cfg, num_videos):
    if not args.output:
        return Printer(says_errors=num_videos > 1)
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


def infer_missing(args, cfg, names, videos, engines, journal, tally):
    """Add the rows of these VIDEOS to the journal and to the tally. ENGINES: of start_engines()."""
    if not videos:
        return
    given = shape_of_config(cfg)
    if args.ray:
        expected, _ = input_of_model(args.model)
    else:
        engines = engines.result()
        expected = engines[0].sample_shape
    if expected and given:
        check_same_shape(args.config, given, args.model, expected)
    tasks = (task for video in videos for task in tasks_of(video, args.every, args.allow_damaged))
    if args.ray:
        from r2plus1d.cluster import infer_on_ray
        outcomes = infer_on_ray(args, cfg, tasks)
    else:
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
    for done, (task, scores, facts, fault) in enumerate(outcomes, 1):
        if fault is not None:
            row = error_row(task, fault, names)
        else:
            if len(names) > scores.shape[-1]:
                raise InputError(f'{args.classes}: {len(names)} classes, and {args.model} has {scores.shape[-1]}')
            row = make_row(task, scores, facts, names, args.topk, args.average_clips)
        rows = incomplete.setdefault(task.video.path, {})
        number, count = (task.window.number, task.window.count) if task.window else (0, 1)
        rows[number] = row
        if args.every:
            bar.set_postfix(windows=done, refresh=False)
            bar.update(0)
        if len(rows) == count:
            del incomplete[task.video.path]
            yield [rows[i] for i in range(count)]


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


def check_args(parser, args):
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
def main():
    args = parse_args()
    if args.output and args.output.endswith('.parquet'):
        require_pyarrow()
    predict(args)


if __name__ == '__main__':
    main()
