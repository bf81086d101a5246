# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page about a run of test/eval_acc_perf.sh: verdict, accuracy, speed, confusions, clips.

    python r2plus1d_report.py
    python r2plus1d_report.py --work_dir . --batch_sizes "1 16" --output report/index.html --language en

It reads result_bs<N>.json and predata_bts1_bs<N>_out of each batch size, and compare.json of test/pth2om.sh.
Classes and clips are those of the first batch size. The page is one file and opens without a network. It is made of
r2plus1d_report.html (the structure and all words, in both languages), .css and .js.
"""
# isort: off
import r2plus1d.run  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on
import argparse
import base64
import datetime
import json
import math
import os
import sys

import jinja2
from markupsafe import Markup

from r2plus1d.classes import check_names_of_videos, class_name, read_classes
from r2plus1d.data import Clips, read_config, shape_of_config
from r2plus1d.environment import describe_environment
from r2plus1d.metrics import (
    GUIDE_ACCURACY,
    GUIDE_CHIPS,
    GUIDE_RATES,
    REFERENCE_TOP1,
    judge_accuracy,
    reference_value,
    tolerance_value,
)
from r2plus1d.outputs import views_of_run
from r2plus1d.report import figures, mistakes
from r2plus1d.report.runs import (
    describe_accuracy,
    describe_speed,
    find_batch_sizes,
    identify_run,
    is_guides_run,
    read_extra,
    read_runs,
)
from r2plus1d.results import parse_batch_sizes, read_comparison
from r2plus1d.run import (
    DEFAULT_CLASSES,
    DEFAULT_CONFIG,
    FOLDER,
    InputError,
    make_parser,
    positive_int,
    require_files,
    script_main,
)
from r2plus1d.store import write_whole

PARTS = os.path.join(FOLDER, 'r2plus1d', 'report', 'page')  # without .html, .css, .js
CLIP_BYTES = 1_700_000  # of all clips; base64 makes 2.3 MB of them, which leaves 0.7 MB of 3 for the rest
LANGUAGES = ('en', 'zh')


# ---- values of the page --------------------------------------------------------------------------------


def describe_results(args, runs, facts):
    """The values about the accuracy and the speed of this run."""
    accuracies = {batch_size: describe_accuracy(run.accuracy) for batch_size, run in runs.items()}
    top1, passed = judge_accuracy(accuracies.values(), args.reference, args.tolerance)
    worst = min(accuracies.values(), key=lambda accuracy: accuracy['top1_acc'])
    sources = [(None, run.performance) for run in runs.values()]  # None: this run
    for name, folder in args.extra:
        sources += [(name, performance) for performance in read_extra(name, folder)]
    speeds = [describe_speed(source, performance) for source, performance in sources]
    own_speeds = [speed for speed in speeds if speed['source'] is None]
    return {
        'facts': facts,
        'accuracies': accuracies,
        'accuracy': worst,
        'verdict': {'passed': passed, 'top1': top1, 'reference': args.reference, 'tolerance': args.tolerance},
        'speeds': speeds,
        'fastest': max(own_speeds, key=lambda speed: speed['videos_per_second']),
        'quickest': min(own_speeds, key=lambda speed: speed['median_ms']),
        'sources': list(dict.fromkeys(source for source, _ in sources)),
        'marks': [figures.time_marks(performance.times) for _, performance in sources],
    }


def describe_mistakes(predictions, clips, names):
    """The values about classes and confusions."""
    matrix = mistakes.count_confusions(predictions.labels, predictions.predicted, len(names))
    has_other = bool(matrix[:, -1].any())
    if not has_other:
        matrix = matrix[:, :-1]  # no video was given a class without a name
    return {
        'names': names,
        'classes': mistakes.describe_classes(matrix),
        'pairs': mistakes.confused_pairs(matrix),
        'has_other': has_other,
        'matrix': matrix,
        'cells': figures.matrix_cells(matrix),
        'videos': mistakes.list_videos(predictions, clips),
    }


def describe_examples(predictions, clips, count):
    """[(Example, Clip)]: wrongly classified videos, then rightly classified ones."""
    wrong, right = mistakes.choose_examples(predictions, count)
    examples = []
    for index in [*wrong, *right]:
        example = mistakes.make_example(index, predictions, clips)
        clip = figures.encode_clip(example.frames, CLIP_BYTES // (len(wrong) + len(right)))
        examples.append((example._replace(frames=None), clip))
    return examples


def describe_other(args, cfg, clips, names, predictions):
    """The values about the run of --compare, None without it.

    Its videos are compared with those of this run one by one, unless it has others.
    """
    if not args.compare:
        return None
    found = find_batch_sizes(args.compare)
    batch_sizes = [batch_size for batch_size in args.batch_sizes if batch_size in found] or found
    runs = read_runs(args.compare, batch_sizes)
    first = runs[batch_sizes[0]]
    other = {
        'facts': identify_run(first, cfg, len(names), args.dataset),
        'accuracy': describe_accuracy(first.accuracy),
        'speeds': [describe_speed(None, run.performance) for run in runs.values()],
        'videos': None,
    }
    try:
        views = views_of_run(first.summaries, None, shape_of_config(cfg))
        other['videos'] = mistakes.compare_predictions(predictions, mistakes.read_predictions(first, views, clips))
    except InputError as e:  # the page says it in the place of this comparison
        other['reason'] = str(e)
    return other


def collect(args):
    """All values of the page."""
    runs = read_runs(args.work_dir, args.batch_sizes)
    first = runs[args.batch_sizes[0]]
    names = read_classes(args.classes)
    cfg = read_config(args.config)
    clips = Clips(cfg)
    check_names_of_videos(args.classes, names, zip(clips.names, clips.labels))
    args.crops = views_of_run(first.summaries, args.crops, shape_of_config(cfg))
    predictions = mistakes.read_predictions(first, args.crops, clips)
    facts = identify_run(first, cfg, len(names), args.dataset)
    return {
        'crops': args.crops,
        'written': {'date': datetime.datetime.now().strftime('%Y-%m-%d %H:%M'), **describe_environment()},
        'is_guides': is_guides_run(cfg, facts),
        'agreement': read_comparison(args.work_dir),
        **describe_results(args, runs, facts),
        **describe_mistakes(predictions, clips, names),
        'examples': describe_examples(predictions, clips, args.examples),
        'other': describe_other(args, cfg, clips, names, predictions),
    }


def data_of_page(values):
    """What the page hands on as JSON and CSV, as text that can stand inside a <script>."""
    kept = ('written', 'facts', 'verdict', 'speeds', 'names', 'classes', 'agreement', 'other', 'videos')
    data = {key: values[key] for key in kept}
    data['accuracy'] = values['accuracies']
    data['confusions'] = values['matrix'].tolist()
    data['video_columns'] = ['video', 'class', 'predicted', 'probability']
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':'))
    return Markup(text.replace('<', '\\u003c'))  # no text in it ends the <script>


# ---- the page ------------------------------------------------------------------------------------------


def percent(share, digits=2):
    return f'{100 * share:.{digits}f}%'


def interval(bounds):
    """(0.966, 0.996) as 96.6–99.6%."""
    return f'{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}%'


def three_digits(value):
    """A number of three significant digits: 0.710, 63.1, 4590."""
    if value == 0:
        return '0'
    rounded = float(f'{value:.2e}')
    decimals = 2 - math.floor(math.log10(abs(rounded)))
    return f'{rounded:.{max(0, decimals)}f}'


def render(values, language):
    """The page, as bytes. The template has each text twice: t(english, chinese)."""
    loader = jinja2.FileSystemLoader(os.path.dirname(PARTS))
    environment = jinja2.Environment(autoescape=True, loader=loader, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update({
        'percent': percent,
        'interval': interval,
        'three_digits': three_digits,
        'gigabytes': lambda count: f'{count / 2**30:.1f} GiB',
        'base64': lambda data: base64.b64encode(data).decode(),
        'basename': os.path.basename,
    })
    names = values['names']
    environment.globals.update({
        't': lambda english, chinese: chinese if language == 'zh' else english,
        'class_name': lambda index: class_name(names, index),
        'guide': {'chips': GUIDE_CHIPS, 'rates': GUIDE_RATES, 'accuracy': GUIDE_ACCURACY},
    })
    parts = {}
    for kind in ('css', 'js'):
        with open(f'{PARTS}.{kind}', encoding='utf-8') as f:
            parts[kind] = Markup(f.read())
    template = environment.get_template(os.path.basename(PARTS) + '.html')
    page = template.render(values, language=language, data=data_of_page(values), **parts).lstrip()
    return page.encode('utf-8', 'replace')  # a path may have bytes that are no text


def write_page(path, page):
    """Write the bytes of a page, whole or not at all, in a folder that is made if need be."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    write_whole(path, page)


# ---- arguments -------------------------------------------------------------------------------------


def name_and_folder(text):
    """Type of the option --extra: (name, folder) of NAME=DIR."""
    name, _, folder = text.partition('=')
    if not name or not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f'"{text}" is not NAME=DIR with a folder that exists')
    return name, folder


def language_of_user():
    """zh where the environment asks for Chinese messages, as LANG=zh_CN.UTF-8 does; else en."""
    variables = [os.environ.get(name) for name in ('LC_ALL', 'LC_MESSAGES', 'LANG')]
    first = next(filter(None, variables), '')
    return 'zh' if first.lower().startswith('zh') else 'en'


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--work_dir', default='.', help='The folder in which test/eval_acc_perf.sh has put '
                        'its results.')
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, default='1 16', help='The batch sizes to show.')
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='The config file of mmaction2 whose model and test '
                        'videos (data.test) the run was of.')
    parser.add_argument('--classes', default=DEFAULT_CLASSES, help='The class list, with lines like '
                        '"1 ApplyEyeMakeup", in UTF-8.')
    parser.add_argument('--dataset', metavar='NAME', help='The name of the data set, for the title. (default: UCF-101, '
                        'test split 1, where there are 101 classes and 3,783 videos; else the name of the list)')
    parser.add_argument('--output', help='The HTML file to write. (default: <work_dir>/report/index.html)')
    parser.add_argument('--language', choices=LANGUAGES, default=language_of_user(), help='The language of the page. '
                        '(default: zh where the locale is Chinese, such as LANG=zh_CN.UTF-8, else en)')
    parser.add_argument('--reference', type=reference_value, default=REFERENCE_TOP1, help='The top-1 to reach.')
    parser.add_argument('--tolerance', type=tolerance_value, default=0.01,
                        help='How far below the reference top-1 may be.')
    parser.add_argument('--extra', type=name_and_folder, action='append', default=[], metavar='NAME=DIR',
                        help='The speed of other runs, such as pure inference: a name, and a folder with their '
                        'summaries. The option may stand several times. (default: none)')
    parser.add_argument('--compare', metavar='DIR', help='The --work_dir of another run of the same test videos, which '
                        'is shown beside this one.')
    parser.add_argument('--examples', type=int, default=8, help='How many clips of wrongly classified videos to show, '
                        'and as many of rightly classified ones; 0 shows none.')
    parser.add_argument('--crops', type=positive_int, help='The number of views of a video, where neither the summary '
                        'nor the info.json beside the .bin files, nor the config tells it.')
    args = parser.parse_args()
    require_files(parser, args, 'config', 'classes')
    if args.examples < 0:
        parser.error(f'--examples {args.examples} is not 0 or more')
    if args.compare and not os.path.isdir(args.compare):
        parser.error(f'--compare {args.compare}: no such folder')
    args.output = args.output or os.path.join(args.work_dir, 'report', 'index.html')
    return args


@script_main
def main():
    args = parse_args()
    page = render(collect(args), args.language)
    write_page(args.output, page)
    print(f'{args.output}: {len(page) / 1e6:.2f} MB', file=sys.stderr)


if __name__ == '__main__':
    main()
