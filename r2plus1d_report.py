# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page about a run of test/eval_acc_perf.sh: accuracy, performance, confusions, mistakes.

    python r2plus1d_report.py --work_dir=. --batch_sizes="1 16" --classes=data/ucf101/annotations/classInd.txt \
--config=./mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py

It reads result_bs<N>.json and predata_bts1_bs<N>_out of each batch size; classes and mistakes are those of the first
one. The page holds its figures and opens without a network; they are also PNG files beside it.
"""
import argparse
import base64
import collections
import contextlib
import glob
import os
import re
import shlex
import sys
import time

import jinja2

import r2plus1d_figures as figures
from r2plus1d_classes import check_names_of_videos, read_classes
from r2plus1d_data import Clips, read_config
from r2plus1d_engines import cpu_name
from r2plus1d_files import InputError, positive_int, require_files, script_main, write_whole
from r2plus1d_metrics import (
    GUIDE_ACCURACY,
    GUIDE_CHIPS,
    GUIDE_RATES,
    REFERENCE_TOP1,
    judge_accuracy,
    reference_value,
    tolerance_value,
)
from r2plus1d_mistakes import (
    count_confusions,
    count_correct,
    make_examples,
    most_confused,
    read_predictions,
    title_classes,
)
from r2plus1d_outputs import SUMMARY_ENDING
from r2plus1d_results import parse_batch_sizes, read_comparison, read_performance, read_result, result_path

TEMPLATE = os.path.splitext(os.path.abspath(__file__))[0] + '.html'
THIS_RUN = 'this run'
FRAME_HEIGHT = 128  # pixels of a frame on the page
FULL_SIZE = {'type': 'ResNet2Plus1d', 'depth': 34, 'base_channels': 64}  # the backbone of the guide's R(2+1)D-34

# One batch size: path of its accuracy JSON, the content of that, paths of its summaries, a Performance.
Run = collections.namedtuple('Run', 'result accuracy summaries performance')


# ---- reading ---------------------------------------------------------------------------------------


def read_batch_size(work_dir, batch_size):
    """The Run of one batch size."""
    accuracy, summaries = read_result(work_dir, batch_size)
    return Run(result_path(work_dir, batch_size), accuracy, summaries, read_performance(summaries))


def read_extra(name, folder):
    """[Performance] of the summaries in a folder and up to two levels below: the newest of each batch size."""
    paths = []
    for level in ('', '*/', '*/*/'):
        paths += glob.glob(f'{glob.escape(folder)}/{level}*{SUMMARY_ENDING}')
    if not paths:
        raise InputError(f'--extra {name}={folder}: no *{SUMMARY_ENDING} in it')
    newest = {}
    for path in sorted(paths, key=os.path.getmtime):
        performance = read_performance([path])
        newest[performance.batch_size] = performance
    return [newest[batch_size] for batch_size in sorted(newest)]


def read_speeds(runs, extras):
    """{source: [Performance]} of this run and of each --extra. Extras of one name are one source."""
    speeds = {THIS_RUN: [run.performance for run in runs.values()]}
    for name, folder in extras:
        speeds.setdefault(name, []).extend(read_extra(name, folder))
    return speeds


def read_backbone(cfg):
    """The size of a config's backbone, in the form of FULL_SIZE."""
    backbone = cfg.get('model', {}).get('backbone', {})
    return {
        'type': backbone.get('type'),
        'depth': backbone.get('depth'),
        'base_channels': backbone.get('base_channels', 64),  # mmaction2's default
    }


# ---- the page --------------------------------------------------------------------------------------


def date_of_run(summary):
    """Date and time from the name of a summary, or else when the file was written."""
    match = re.search(r'(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)', os.path.basename(summary))
    if match:
        return '{}-{}-{} {}:{}'.format(*match.groups())
    return time.strftime('%Y-%m-%d %H:%M', time.localtime(os.path.getmtime(summary)))


def describe_run(args, run, list_file):
    """{heading: text} of the section "What was run"."""
    performance = run.performance
    facts = {
        'Model': performance.model,
        'Inference by': performance.engine,
        'Its command': ' '.join(shlex.quote(word) for word in performance.args),
        'Date': date_of_run(run.summaries[0]),
        'Videos': f'{run.accuracy["num_videos"]} videos of {list_file}',
        'Config': args.config,
        'Crops': f'{args.crops} a video, averaged by {run.accuracy["average_clips"]} (average_clips)',
    }
    if not performance.cpu:  # else "Inference by" names it
        facts['CPU'] = f'{cpu_name()}, {os.cpu_count()} cores: the machine that wrote this page'
    return facts


def describe_accuracy(args, accuracies):
    """Values for the template about the verdict and the accuracy. ACCURACIES: accuracy JSONs by batch size."""
    top1, reached = judge_accuracy(accuracies.values(), args.reference, args.tolerance)
    return {'accuracies': accuracies, 'top1': top1, 'reached': reached, 'guide_accuracy': GUIDE_ACCURACY}


def describe_speeds(speeds, backbone):
    """Values for the template about the performance."""
    measured = [(source, performance) for source, performances in speeds.items() for performance in performances]
    texts = [f'{source}, {performance.batch_size}: {performance.rate:.4g}' for source, performance in measured]
    return {
        'speeds': speeds,
        'fastest': max(speeds[THIS_RUN], key=lambda performance: performance.rate),
        'speeds_as_text': 'Videos/s by batch size: ' + '; '.join(texts),
        'guide_chips': GUIDE_CHIPS,
        'guide_rates': GUIDE_RATES,
        'backbone': backbone,
        'is_full_size': backbone == FULL_SIZE,
    }


def describe_mistakes(predictions, matrix, titles, num_names):
    """Values for the template about classes, confusions and mistakes."""
    column_titles = [*titles[:num_names], 'other']
    confusions = most_confused(matrix, 10)
    return {
        'num_names': num_names,
        'classes': [(titles[c], correct, total) for c, correct, total in count_correct(matrix)],
        'confusions': [(titles[i], column_titles[j], count, total) for i, j, count, total in confusions],
        'other': matrix[:, -1].sum(),
        'mistakes': (predictions.predicted != predictions.labels).sum(),
    }


def draw_charts(matrix, names, speeds):
    """{file name: Chart} of the page."""
    label = figures.choose_font(''.join([*names, *speeds]))
    if not matrix[:, -1].any():
        matrix = matrix[:, :-1]  # no video was given a class without a name
    return {
        'confusion_matrix.png': figures.draw(figures.confusion_figure(matrix, names, label)),
        'performance.png': figures.draw(figures.performance_figure(speeds, label)),
        'latency.png': figures.draw(figures.latency_figure(speeds, label)),
    }


def resize_frames(example):
    """The Example with frames as large as the page shows them."""
    frames = [(number, figures.resize_frame(image, FRAME_HEIGHT)) for number, image in example.frames]
    return example._replace(frames=frames)


def image_uri(data, kind):
    """An address that holds the bytes of an image file itself."""
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'


def render(values):
    """The page, as bytes."""
    environment = jinja2.Environment(autoescape=True)
    environment.filters['png_uri'] = lambda png: image_uri(png, 'png')
    environment.filters['jpeg_uri'] = lambda frame: image_uri(figures.encode_frame(frame), 'jpeg')
    with open(TEMPLATE, encoding='utf-8') as f:
        template = environment.from_string(f.read())
    return template.render(values).encode('utf-8', 'replace')  # a path may have bytes that are no text


def make_report(args):
    """{file name: bytes} of the report, the page last."""
    runs = {batch_size: read_batch_size(args.work_dir, batch_size) for batch_size in args.batch_sizes}
    first = runs[args.batch_sizes[0]]
    speeds = read_speeds(runs, args.extra)
    names = read_classes(args.classes)
    cfg = read_config(args.config)
    clips = Clips(cfg)
    check_names_of_videos(args.classes, names, zip(clips.names, clips.labels))
    predictions = read_predictions(first, args.crops, clips)
    last = predictions.labels.max()
    if last >= len(names):
        raise InputError(f'{args.classes}: {len(names)} classes, and a video has label {last} (from 0)')
    titles = title_classes(names, predictions.probabilities.shape[1])
    matrix = count_confusions(predictions.labels, predictions.predicted, len(names))
    charts = draw_charts(matrix, names, speeds)
    examples = [resize_frames(example) for example in make_examples(predictions, clips, titles, args.examples)]

    files = {name: chart.png for name, chart in charts.items()}
    if examples:
        files['examples.png'] = figures.draw_strips([[image for _, image in example.frames] for example in examples])
    files[os.path.basename(args.output)] = render({
        'args': args,
        'charts': charts,
        'comparison': read_comparison(args.work_dir),
        'examples': examples,
        'facts': describe_run(args, first, clips.list_file),
        **describe_accuracy(args, {batch_size: run.accuracy for batch_size, run in runs.items()}),
        **describe_speeds(speeds, read_backbone(cfg)),
        **describe_mistakes(predictions, matrix, titles, len(names)),
    })
    return files


def write_files(folder, files):
    """Write {name: bytes}. All files appear, each one whole, or, as where the disk is full, none."""
    os.makedirs(folder, exist_ok=True)
    parts = {os.path.join(folder, name + '.new'): data for name, data in files.items()}
    try:
        for part, data in parts.items():
            write_whole(part, data)
        for part in parts:
            os.replace(part, part[:-len('.new')])
    finally:
        for part in parts:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)


# ---- arguments -------------------------------------------------------------------------------------


def name_and_folder(text):
    """Type of the option --extra: (name, folder) of NAME=DIR."""
    name, _, folder = text.partition('=')
    if not name or not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=DIR with a folder that exists')
    return name, folder


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work_dir', default='.', help='that of test/eval_acc_perf.sh (default: .)')
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, default='1 16', help='(default: "1 16")')
    parser.add_argument('--config', required=True, help='config file of mmaction2, for its data.test')
    parser.add_argument('--classes', required=True, help='class list with lines like "1 ApplyEyeMakeup", UTF-8')
    parser.add_argument('--output', help='the HTML file (default: <work_dir>/report/index.html)')
    parser.add_argument('--reference', type=reference_value, default=REFERENCE_TOP1,
                        help='top-1 to reach (default: %(default)s)')
    parser.add_argument('--tolerance', type=tolerance_value, default=0.01,
                        help='how far below the reference top-1 may be (default: %(default)s)')
    parser.add_argument('--extra', type=name_and_folder, action='append', default=[], metavar='NAME=DIR',
                        help='performance of other runs, such as pure inference: a folder with their summaries')
    parser.add_argument('--examples', type=int, default=8, help='mistakes to show (default: 8)')
    parser.add_argument('--crops', type=positive_int, default=3, help='crops of a video (default: 3)')
    args = parser.parse_args()
    require_files(parser, args, 'config', 'classes')
    if args.examples < 0:
        parser.error(f'--examples {args.examples} is not 0 or more')
    args.output = args.output or os.path.join(args.work_dir, 'report', 'index.html')
    return args


@script_main
def main():
    args = parse_args()
    files = make_report(args)
    write_files(os.path.dirname(os.path.abspath(args.output)), files)
    print(f'{args.output}: {os.path.getsize(args.output) / 1e6:.2f} MB', file=sys.stderr)


if __name__ == '__main__':
    main()
