# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Read what eval_acc_perf.sh left for each batch size, print its tables and the verdict.

    python test/parse.py --batch_sizes "1 16" --reference 0.8892 --tolerance 0.01
    python test/parse.py --work_dir . --batch_sizes 16 --reference 0.8892 --tolerance 0.01

Exit status 0: the top-1 of every batch size is at least the reference less the tolerance, and the outputs that are
there give the accuracy that the results say. It is computed again for that: a result that was edited, or that is of
other outputs, is no result.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d.run import make_parser, script_main  # it comes first, so that a missing NumPy is one line

# isort: split
from r2plus1d.bins import count_views
from r2plus1d.metrics import (
    GUIDE_CHIPS,
    GUIDE_RATES,
    GUIDE_VIDEOS,
    GUIDE_VIEWS,
    REFERENCE_TOP1,
    explain_low_accuracy,
    judge_accuracy,
    reference_value,
    tolerance_value,
)
from r2plus1d.outputs import views_of_run
from r2plus1d.results import check_against_outputs, parse_batch_sizes, read_performance, read_result, result_path


def print_table(head, rows):
    """Print texts in columns, aligned to the right. HEAD: a text for each column."""
    widths = [max(len(text) for text in column) for column in zip(head, *rows)]
    rule = ['-' * width for width in widths]
    for row in [head, rule, *rows]:
        print('| ' + ' | '.join(text.rjust(width) for text, width in zip(row, widths)) + ' |')


def print_accuracy(accuracies):
    """ACCURACIES: accuracy JSONs by batch size."""
    rows = []
    for batch_size, accuracy in accuracies.items():
        fractions = [accuracy[key] for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy')]
        rows.append([str(batch_size), *(f'{fraction:.4f}' for fraction in fractions), str(accuracy['num_videos']),
                     accuracy['average_clips']])
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
    parser.add_argument('--batch_sizes', type=parse_batch_sizes, default='1 16',
                        help='The batch sizes that were run, with spaces between.')
    parser.add_argument('--reference', type=reference_value, default=REFERENCE_TOP1,
                        help='The top-1 accuracy to reach; the default is the original guide\'s on a 310.')
    parser.add_argument('--tolerance', type=tolerance_value, default=0.01,
                        help='How far below the reference top-1 may be and still pass.')
    return parser.parse_args()


def check_outputs(work_dir, batch_size, accuracy, summaries):
    """(labels, average scores) of a batch size. Raises InputError where its outputs have another accuracy."""
    views = views_of_run(summaries, accuracy.get('views'))
    return check_against_outputs(result_path(work_dir, batch_size), accuracy, summaries, views)


@script_main
def main():
    args = parse_args()
    results = {}
    performances = {}
    outputs = {}
    for batch_size in args.batch_sizes:
        results[batch_size] = read_result(args.work_dir, batch_size)
        performances[batch_size] = read_performance(results[batch_size][1])
        outputs[batch_size] = check_outputs(args.work_dir, batch_size, *results[batch_size])
    accuracies = {batch_size: accuracy for batch_size, (accuracy, _) in results.items()}
    print_accuracy(accuracies)
    accuracy, summaries = results[args.batch_sizes[0]]
    views = views_of_run(summaries, accuracy.get('views'))
    beside_guide = (views, accuracy['num_videos']) == (GUIDE_VIEWS, GUIDE_VIDEOS)
    print_performance(performances, count_views(views), beside_guide)
    top1, reached = judge_accuracy(accuracies.values(), args.reference, args.tolerance)
    for batch_size, accuracy in accuracies.items():
        expected = accuracy.get('num_expected', accuracy['num_videos'])
        if accuracy['num_videos'] != expected:
            print(f'\nverdict: batch size {batch_size} has {accuracy["num_videos"]} of {expected} videos')
            sys.exit(1)
    print(f'\nverdict: top-1 {top1:.4f} {"reaches" if reached else "is below"} '
          f'{args.reference:.4f} - {args.tolerance:.4f}')
    if not reached:
        lowest = min(accuracies, key=lambda batch_size: accuracies[batch_size]['top1_acc'])
        labels, scores = outputs[lowest]
        print(f'it looks like {explain_low_accuracy(labels, scores.argmax(axis=1), args.reference)}')
    sys.exit(0 if reached else 1)


if __name__ == '__main__':
    main()
