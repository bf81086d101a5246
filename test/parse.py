# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Read what eval_acc_perf.sh left for each batch size, print its tables and the verdict.

    python test/parse.py --batch_sizes "1 16" --reference 0.8892 --tolerance 0.01
    python test/parse.py --work_dir work_dirs/demo

Exit status 0: the top-1 of every batch size is at least the reference less the tolerance, or there is no reference for
these videos; and the outputs that are there give the accuracy that the results say. It is computed again for that: a
result that was edited, or that is of other outputs, is no result. What no option says is that of evaluation_bs<N>.json,
which eval_acc_perf.sh writes by --record.
"""
import argparse
import contextlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.run import InputError, make_parser, packages_needed, script_main

with packages_needed():
    from r2plus1d.bins import count_views
    from r2plus1d.metrics import (
        GUIDE_CHIPS,
        GUIDE_RATES,
        GUIDE_VIDEOS,
        GUIDE_VIEWS,
        REFERENCE_TOP1,
        describe_low_accuracy,
        fraction,
    )
    from r2plus1d.output_files import check_runs, remove_runs
    from r2plus1d.precision import AUTO, CPU_PRECISIONS
    from r2plus1d.results import (
        DEFAULT_TOLERANCE,
        Accuracy,
        Evaluation,
        judge,
        outputs_folder,
        parse_batch_sizes,
        read_performance,
        read_result,
        read_videos,
        result_path,
        take_evaluation,
    )


def print_table(head, rows):
    """Print texts in columns, aligned to the right. HEAD: a text for each column."""
    widths = [max(len(text) for text in column) for column in zip(head, *rows)]
    rule = ['-' * width for width in widths]
    for row in [head, rule, *rows]:
        print('| ' + ' | '.join(text.rjust(width) for text, width in zip(row, widths)) + ' |')


def print_accuracy(results):
    """RESULTS: those of r2plus1d/results.py, by batch size."""
    rows = []
    for batch_size, (_, accuracy, _) in results.items():
        fractions = [accuracy.top1_acc, accuracy.top5_acc, accuracy.mean_class_accuracy]
        rows.append([str(batch_size), *(f'{share:.4f}' for share in fractions), str(accuracy.num_videos),
                     accuracy.average_clips])
    print('\nAccuracy')
    print_table(['batch size', 'top-1', 'top-5', 'mean class', 'videos', 'average'], rows)
    if accuracy.mmaction2_mean_class_accuracy is not None:
        print(f'mean class: of the classes that have videos; mmaction2 counts those that were only predicted, too, and '
              f'has {accuracy.mmaction2_mean_class_accuracy:.4f}')


def print_performance(performances, views, beside_guide):
    """PERFORMANCES: those of r2plus1d/results.py, by batch size. VIEWS: how many the model takes, as text.

    BESIDE_GUIDE: print the original guide's speeds, too, with which only a run on all of its videos compares.
    """
    chips = GUIDE_CHIPS if beside_guide else ()
    rows = []
    for batch_size, speed in performances.items():
        rates = GUIDE_RATES.get(batch_size)
        guide = ['-' if rates is None else f'{rates[i]:.4f}' for i in range(len(chips))]
        rows.append([str(batch_size), str(len(speed.times)), f'{speed.rate:.4f}', f'{speed.median:.2f}',
                     f'{speed.p99:.2f}', *guide])
    source = f'; {", ".join(chips)}: the original guide, of 3 views' if beside_guide else ''
    print(f'\nPerformance, samples/s (a sample is one video of {views}){source}')
    print_table(['batch size', 'batches', 'this run', 'median ms', '99% ms', *chips], rows)
    for batch_size, speed in performances.items():
        for device in speed.devices if len(speed.devices) > 1 else ():
            print(f'batch size {batch_size}, {device}: {speed.rate_of(device):.4f} samples/s')
    fastest = max(performances, key=lambda batch_size: performances[batch_size].rate)
    print(f'best: batch size {fastest}, {performances[fastest].rate:.4f} samples/s')


def print_verdict(verdict, results):
    """Print it; what it is to be read beside, is for whoever has a verdict of no."""
    accuracies = {batch_size: result.accuracy for batch_size, result in results.items()}
    low, high = verdict.interval
    found = f'top-1 {verdict.top1:.4f} (95% interval {low:.4f} to {high:.4f})'
    for batch_size, accuracy in accuracies.items():
        if not accuracy.is_complete:
            print(f'\nverdict: batch size {batch_size} has {accuracy.num_videos} of {accuracy.num_expected} videos')
            return
    if verdict.reference is None:
        print(f'\n{found}\nno verdict: no --reference says which top-1 these videos need; the original guide\'s '
              f'{REFERENCE_TOP1} is of the {GUIDE_VIDEOS} test videos of UCF-101, split 1')
        return
    print(f'\nverdict: {found} {"reaches" if verdict.passed else "is below"} {verdict.reference:.4f} - '
          f'{verdict.tolerance:.4f}')
    if not verdict.passed:
        lowest = results[min(accuracies, key=lambda batch_size: accuracies[batch_size].top1_acc)]
        videos = read_videos(lowest, lowest.run.views(lowest.accuracy.views))
        print(f'beside it: {describe_low_accuracy(videos.labels, videos.scores.argmax(axis=1))}')


def parse_args():
    parser = make_parser(__doc__)
    if '--check' in sys.argv:  # of what the shell script was given
        parser.prog, parser.usage = 'eval_acc_perf.sh', argparse.SUPPRESS
    parser.add_argument('--work_dir', default='.', help='The folder that test/eval_acc_perf.sh worked in.')
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, help='The batch sizes that were run, with spaces '
                        'between. (default: all that have a result)')
    parser.add_argument('--reference', type=fraction, help='The top-1 accuracy to reach. (default: that of the '
                        'evaluation; else, for the 3,783 test videos of UCF-101, the original guide\'s on a 310, '
                        '0.8892; for others none)')
    parser.add_argument('--tolerance', type=fraction, help='How far below the reference top-1 may be and still pass. '
                        '(default: that of the evaluation, else 0.01)')
    record = parser.add_argument_group('to begin an evaluation')
    record.add_argument('--check', action='store_true', help='Only look whether something of the user\'s is in the '
                        'way of an evaluation.')
    record.add_argument('--record', action='store_true', help='Only write evaluation_bs<N>.json, with the options '
                        'above and below, and remove the results and outputs of the same batch sizes.')
    record.add_argument('--config')
    record.add_argument('--models', nargs='+', help='The model file for each batch size.')
    record.add_argument('--average_clips', choices=['score', 'prob'], default='score')
    record.add_argument('--device', default='0')
    record.add_argument('--precision', choices=[AUTO, *CPU_PRECISIONS])
    args = parser.parse_args()
    if args.record and None in (args.batch_sizes, args.config, args.models):
        parser.error('--record needs --batch_sizes, --config and --models')
    return args


def check(args):
    """Raise InputError where something in --work_dir that an evaluation replaces is not ours, told by its content."""
    for batch_size in args.batch_sizes:
        check_runs(outputs_folder(args.work_dir, batch_size))
        record_path, path = Evaluation.path(args.work_dir, batch_size), result_path(args.work_dir, batch_size)
        if os.path.lexists(record_path):
            Evaluation.check_ours(record_path)
        if not os.path.lexists(path) or (os.path.isfile(path) and not os.path.getsize(path)):
            continue  # an empty one is what a command leaves that has failed
        try:
            Accuracy.read(path)
        except InputError:
            raise InputError(f'{path}: exists and is no result of r2plus1d_postprocess.py; move it away')


def record(args):
    """Write the record of each batch size. Raises InputError as check() does, before anything is changed."""
    from r2plus1d.data import read_config
    from r2plus1d.lists import count_training_videos
    training = count_training_videos(read_config(args.config))
    tolerance = DEFAULT_TOLERANCE if args.tolerance is None else args.tolerance
    check(args)
    for batch_size, model in zip(args.batch_sizes, args.models):
        remove_runs(outputs_folder(args.work_dir, batch_size))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(result_path(args.work_dir, batch_size))
        Evaluation(os.path.abspath(args.config), os.getcwd(), args.reference, tolerance, args.average_clips, model,
                   args.device, training).write(args.work_dir, batch_size)


@script_main
def main():
    args = parse_args()
    if args.check or args.record:
        (check if args.check else record)(args)
        return
    evaluation = take_evaluation(args)
    results = {batch_size: read_result(args.work_dir, batch_size) for batch_size in args.batch_sizes}
    performances = {}
    for batch_size, result in results.items():
        if evaluation and evaluation.average_clips != result.accuracy.average_clips:
            raise InputError(f'{result.path}: average_clips is {result.accuracy.average_clips}, and the evaluation was '
                             f'by {evaluation.average_clips}; run test/eval_acc_perf.sh again')
        views = result.run.views(result.accuracy.views)
        read_videos(result, views)
        performances[batch_size] = read_performance(result.run)
    print_accuracy(results)
    print_performance(performances, count_views(views), views == GUIDE_VIEWS and result.is_of_ucf101)
    if evaluation and evaluation.training_videos:
        print(f'\n{evaluation.training_videos} of the test videos are training videos, too: the accuracy says little '
              'of new ones')
    verdict = judge(results, args.reference, args.tolerance)
    print_verdict(verdict, results)
    sys.exit(1 if verdict.passed is False else 0)


if __name__ == '__main__':
    main()
