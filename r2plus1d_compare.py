# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Say how far the models of one checkpoint agree with PyTorch, on real samples, and at which step they part.

    python r2plus1d_compare.py --checkpoint best_top1_acc_epoch_35.pth \
        --models r2plus1d.onnx r2plus1d_sim.onnx r2plus1d_bs16.om --bins predata_bts1 > compare.json
    python r2plus1d_compare.py --checkpoint best_top1_acc_epoch_35.pth --models r2plus1d_int8_bs16.om
    python r2plus1d_compare.py --runs ./predata_bts1_onnx_out ./fullframe_out > fullframe.json

Test videos of the config go through its pipeline and through PyTorch and each model. The JSON on standard output has
the figures of each model, the table on standard error the most important of them. The exit status is 1 where a model is
further from PyTorch than its precision may be (r2plus1d/precision.py). Then the step of the chain is named at which the
difference first appears.

--runs compares the accuracy of two runs on the same videos: both accuracies, the videos with different answers, and
McNemar's test. The exit status is 1 where top-1 falls by more than --max_drop, or where the videos prove nothing.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any, Dict

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
    from r2plus1d.bins import count_views
    from r2plus1d.class_names import class_names
    from r2plus1d.comparison import Comparison, describe_models
    from r2plus1d.data import Samples, read_config
    from r2plus1d.engines import device_list
    from r2plus1d.lists import class_name
    from r2plus1d.metrics import CONFIDENCE, Gate, add_gate_options, choose_videos, judge_pair, predicted_classes
    from r2plus1d.outputs import Run, check_same_list
    from r2plus1d.precision import FLOAT_PRECISIONS, PRECISIONS
    from r2plus1d.results import read_performance

COLUMNS = {  # title: (key of the JSON, form)
    'model': ('model', ''), 'step': ('step', ''), 'precision': ('precision', ''),
    'max diff': ('max_abs_difference', '.2e'), 'relative': ('max_rel_difference', '.2e'), 'bound': ('bound', '.0e'),
    'cosine': ('cosine', '.5f'), 'top-1': ('top1_agreement', '.3f'), 'top-5': ('top5_agreement', '.3f'),
}


# ---- models beside PyTorch -----------------------------------------------------------------------------


def compare_models(args: argparse.Namespace) -> Dict[str, Any]:
    """The report as a dict, in which 'passed' says whether all models are within their bounds."""
    cfg = read_config(args.config, args.cfg_options)
    if args.skip_without_data and not os.path.isfile(cfg.data.test.ann_file):
        log(f'no comparison with PyTorch: the test list {cfg.data.test.ann_file} is not there')
        sys.exit(0)
    samples = Samples(cfg)
    if not len(samples):
        raise InputError(f'{args.config}: its test list has no video')
    models = describe_models(cfg, args.models, args.precision, args.om_precision)
    comparison = Comparison(cfg, args.checkpoint, samples, choose_videos(len(samples), args.videos, args.seed))
    rows = [comparison.compare_bins(args.bins)] if args.bins else []
    rows += [comparison.compare(model, args.backend, device) for model in models
             for device in (args.device if model.path.endswith('.om') else args.device[:1])]
    first = next((row for row in rows if not row['passed']), None)
    return {
        'checkpoint': args.checkpoint,
        'config': args.config,
        'reference': comparison.reference.describe(),
        'top1_acc': comparison.top1_accuracy(comparison.expected),
        'num_videos': len(comparison.indices),
        'num_test_videos': len(samples),
        'seed': args.seed,
        'models': rows,
        'first_difference': first and {'step': first['step'], 'model': first['model']},
        'passed': first is None,
    }


def print_table(report: Dict[str, Any]) -> None:
    """The most important figures, as text on standard error."""
    lines = [[*COLUMNS, '']]
    for row in report['models']:
        cells = [(row.get(key, ''), form if key in row else '') for key, form in COLUMNS.values()]
        lines.append([*('not finite' if value is None else format(value, form) for value, form in cells),
                      'good' if row['passed'] else 'TOO FAR'])
    widths = [max(map(len, column)) for column in zip(*lines)]
    print(f'\n{report["num_videos"]} of {report["num_test_videos"]} test videos, against PyTorch', file=sys.stderr)
    for line in lines:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip(), file=sys.stderr)


# ---- two runs ------------------------------------------------------------------------------------------


def compare_runs(args: argparse.Namespace) -> Dict[str, Any]:
    """The report about the accuracies of two runs, as a dict; 'rejected' says why the second one is, or is None."""
    cfg = read_config(args.config, args.cfg_options)
    samples = Samples(cfg)
    runs = [Run.open(path) for path in args.runs]
    check_same_list(*runs)
    runs[0].is_of(samples.list_file)
    scores, (labels, others) = zip(*[run.scores(run.views(), len(samples)) for run in runs])
    if labels != others:
        raise InputError(f'{runs[0].path} and {runs[1].path}: are of different lists of videos; infer the same list '
                         'twice')
    if labels != samples.labels:
        raise InputError(f'{samples.list_file}: its labels are not those of {runs[0].path}; give the --config of that '
                         'run')
    first, second = (predicted_classes(rows) for rows in scores)
    classes = class_names(runs[0].model, cfg, args.classes).names
    return {
        'first': args.runs[0],
        'second': args.runs[1],
        'views': [rows.shape[1] for rows in scores],
        'samples_per_second': [read_performance(run).rate for run in runs],
        **vars(judge_pair(labels, first, second, Gate(args.max_drop, args.allow_unproven))),
        'differences': [{'video': samples.names[i], 'label': class_name(classes, labels[i]),
                         'first': class_name(classes, first[i]), 'second': class_name(classes, second[i])}
                        for i in range(len(labels)) if first[i] != second[i]],
    }


def print_judgement(report: Dict[str, Any]) -> None:
    """What matters of the report of compare_runs(), as text on standard error."""
    lines = ['']
    for number, way in enumerate(('first', 'second')):
        lines.append(f'{report[way]}: {count_views(report["views"][number])} a video, '
                     f'top-1 {report[f"top1_acc_{way}"]:.4f}, {report["samples_per_second"][number]:.4g} samples/s')
    lines.append(f'different answers: {len(report["differences"])} of {report["num_videos"]} videos')
    for row in report['differences']:
        path = min(row['video'], os.path.relpath(row['video']), key=len)
        lines.append(f'    {path}, {row["label"]}: {row["first"]}, then {row["second"]}')
    change = 'rises' if report['top1_drop'] < 0 else 'falls'
    lines += [
        f'right in the first way only: {report["only_first_right"]}, in the second only: '
        f'{report["only_second_right"]}; McNemar\'s exact p-value is {report["p_value"]:.3g}',
        f'top-1 {change} by {abs(report["top1_drop"]):.4f}; at {CONFIDENCE:.0%} confidence at most '
        f'{report["loss_bound"]:.4f} of all such videos are lost',
    ]
    if not report['rejected']:
        doubt = report['proves_nothing']
        lines.append(f'accepted, and proves nothing: {doubt}' if doubt else
                     f'accepted: a drop of {report["max_drop"]:g} is allowed')
    print('\n'.join(lines), file=sys.stderr)


# ---- the script ----------------------------------------------------------------------------------------


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='The config file of mmaction2 with the model and the '
                        'test videos. (default: this repository\'s config of three crops)')
    parser.add_argument('--checkpoint', help='The .pth that the models were made from.')
    parser.add_argument('--models', nargs='+', default=[], metavar='MODEL', help='ONNX files and .om files, in any '
                        'order. Of several plain ONNX files the first is taken for the exported one.')
    parser.add_argument('--runs', nargs=2, metavar='RUN', help='Two runs on the same videos, whose accuracies are '
                        'compared: the --output of two inferences, the one that is to be replaced first.')
    parser.add_argument('--bins', help='A folder of bins, which is compared with what the test pipeline makes.')
    parser.add_argument('--classes', help='The class list, which names the different answers of two runs. '
                        '(default: what the model says, else the config)')
    add_gate_options(parser)
    parser.add_argument('--videos', type=positive_int, default=20, help='How many test videos to compare models on.')
    parser.add_argument('--seed', type=int, default=0, help='The seed of the choice of videos.')
    parser.add_argument('--precision', choices=FLOAT_PRECISIONS, default='f32', help='That of ONNX files that are not '
                        'int8.')
    parser.add_argument('--om_precision', choices=list(PRECISIONS), default='fp16', help='That of the .om files, which '
                        'do not tell it. ATC makes fp16 unless told otherwise. Those with int8 in their name are int8.')
    parser.add_argument('--backend', default='auto', choices=['auto', 'openvino', 'onnxruntime'], help='Of ONNX files.')
    parser.add_argument('--device', type=device_list, default=[0], help='The number of the accelerator, or numbers '
                        'with commas between, on each of which an .om is compared. (default: 0)')
    parser.add_argument('--skip_without_data', action='store_true', help='Where the test list is missing, say so and '
                        'end with exit status 0.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to the config, as of '
                        'mmaction2\'s tools.')
    args = parser.parse_args()
    check_args(parser, args)
    return args


def check_args(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    require_files(parser, args, 'config', *(['classes'] if args.classes else []))
    if args.runs:
        if args.models or args.checkpoint:
            parser.error('--runs goes without --models and --checkpoint')
        return
    if not args.checkpoint or not args.models:
        parser.error('give --checkpoint and --models, or --runs')
    require_files(parser, args, 'checkpoint')
    for path in args.models:
        if not os.path.isfile(path):
            parser.error(f'--models {path}: no such file')
        if not path.endswith(('.onnx', '.om')):
            parser.error(f'--models {path}: expected an .onnx or an .om')


@script_main
def main() -> None:
    args = parse_args()
    report = compare_runs(args) if args.runs else compare_models(args)
    print(json.dumps(report, allow_nan=False))
    if args.runs:
        print_judgement(report)
        if report['rejected']:
            raise InputError(f'{args.runs[1]}: is not accepted in the place of {args.runs[0]}: {report["rejected"]}')
        return
    print_table(report)
    first = report['first_difference']
    if first:
        raise InputError(f'{first["model"]}: differs too much from the step before: {first["step"]}')


if __name__ == '__main__':
    main()
