# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Read what eval_acc_perf.sh left for each batch size, print its tables and the verdict.

    python test/parse.py --batch_sizes "1 16" --reference 0.8892 --tolerance 0.01
    python test/parse.py --work_dir work_dirs/demo

Exit status 0: the top-1 of every batch size is at least the reference less the tolerance, and the outputs that are
there give the accuracy that the results say. It is computed again for that: a result that was edited, or that is of
other outputs, is no result. What no option says is that of evaluation.json, which eval_acc_perf.sh writes by --record.
"""
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
        describe_low_accuracy,
        fraction,
    )
    from r2plus1d.results import (
        Evaluation,
        judge_accuracy,
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


def print_accuracy(accuracies):
    """ACCURACIES: those of r2plus1d/metrics.py, by batch size."""
    rows = []
    for batch_size, accuracy in accuracies.items():
        fractions = [accuracy.top1_acc, accuracy.top5_acc, accuracy.mean_class_accuracy]
        rows.append([str(batch_size), *(f'{share:.4f}' for share in fractions), str(accuracy.num_videos),
                     accuracy.average_clips])
    print('\nAccuracy')
    print_table(['batch size', 'top-1', 'top-5', 'mean class', 'videos', 'average'], rows)


def print_performance(performances, views, beside_guide):
    """PERFORMANCES: those of r2plus1d/results.py, by batch size. VIEWS: how many the model takes, as text.

    BESIDE_GUIDE: print the original guide's speeds, too, with which only a run on all of its videos compares.
    """
    chips = GUIDE_CHIPS if beside_guide else ()
    rows = []
    for batch_size, performance in performances.items():
        rates = GUIDE_RATES.get(batch_size)
        guide = ['-' if rates is None else f'{rates[i]:.4f}' for i in range(len(chips))]
        rows.append([str(batch_size), str(performance.batches), f'{performance.rate:.4f}',
                     f'{performance.median:.2f}', f'{performance.p99:.2f}', *guide])
    source = f'; {", ".join(chips)}: the original guide, of 3 views' if beside_guide else ''
    print(f'\nPerformance, samples/s (a sample is one video of {views}){source}')
    print_table(['batch size', 'batches', 'this run', 'median ms', '99% ms', *chips], rows)
    for batch_size, performance in performances.items():
        for device in performance.devices:
            print(f'batch size {batch_size}, {device.name}: {device.rate:.4f} samples/s, '
                  f'median {device.median:.2f} ms, 99% {device.p99:.2f} ms')
    fastest = max(performances, key=lambda batch_size: performances[batch_size].rate)
    print(f'best: batch size {fastest}, {performances[fastest].rate:.4f} samples/s')


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--work_dir', default='.', help='The folder that test/eval_acc_perf.sh worked in.')
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, help='The batch sizes that were run, with spaces '
                        'between. (default: those of the evaluation, else "1 16")')
    parser.add_argument('--reference', type=fraction, help='The top-1 accuracy to reach. (default: that of the '
                        'evaluation, else the original guide\'s on a 310, 0.8892)')
    parser.add_argument('--tolerance', type=fraction, help='How far below the reference top-1 may be and still pass. '
                        '(default: that of the evaluation, else 0.01)')
    record = parser.add_argument_group('to begin an evaluation')
    record.add_argument('--record', action='store_true', help='Only write evaluation.json, with the options above and '
                        'below, and remove the results that it does not describe any more.')
    record.add_argument('--config')
    record.add_argument('--models', nargs='+', help='The model file for each batch size.')
    record.add_argument('--average_clips', choices=['score', 'prob'])
    record.add_argument('--device', default='0')
    args = parser.parse_args()
    if args.record and None in vars(args).values():
        parser.error('--record needs all other options')
    return args


def record(args):
    """Write evaluation.json."""
    for batch_size in args.batch_sizes:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(result_path(args.work_dir, batch_size))
    Evaluation(os.path.abspath(args.config), os.getcwd(), args.reference, args.tolerance, args.batch_sizes,
               args.models, args.average_clips, args.device).write(args.work_dir)


def check_settings(evaluation, result):
    """Raise InputError where a result was not averaged as the evaluation says."""
    if evaluation and evaluation.average_clips != result.accuracy.average_clips:
        raise InputError(f'{result.path}: average_clips is {result.accuracy.average_clips}, and evaluation.json says '
                         f'{evaluation.average_clips}; run test/eval_acc_perf.sh again')


def judge(args, accuracies, videos):
    """Print the verdict; True where it is good."""
    top1, reached = judge_accuracy(list(accuracies.values()), args.reference, args.tolerance)
    for batch_size, accuracy in accuracies.items():
        if not accuracy.is_complete:
            print(f'\nverdict: batch size {batch_size} has {accuracy.num_videos} of {accuracy.num_expected} videos')
            return False
    print(f'\nverdict: top-1 {top1:.4f} {"reaches" if reached else "is below"} '
          f'{args.reference:.4f} - {args.tolerance:.4f}')
    if not reached:
        lowest = videos[min(accuracies, key=lambda batch_size: accuracies[batch_size].top1_acc)]
        print(f'beside it: {describe_low_accuracy(lowest.labels, lowest.scores.argmax(axis=1))}')
    return reached


@script_main
def main():
    args = parse_args()
    if args.record:
        record(args)
        return
    evaluation = take_evaluation(args)
    accuracies, performances, videos = {}, {}, {}
    for batch_size in args.batch_sizes:
        result = read_result(args.work_dir, batch_size)
        check_settings(evaluation, result)
        views = result.run.views(result.accuracy.views)
        accuracies[batch_size] = result.accuracy
        performances[batch_size] = read_performance(result.run)
        videos[batch_size] = read_videos(result, views)
    print_accuracy(accuracies)
    beside_guide = (views, result.accuracy.num_videos) == (GUIDE_VIEWS, GUIDE_VIDEOS)
    print_performance(performances, count_views(views), beside_guide)
    sys.exit(0 if judge(args, accuracies, videos) else 1)


if __name__ == '__main__':
    main()
