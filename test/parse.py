"""Read what eval_acc_perf.sh left for each batch size, print its tables and the verdict.

    python test/parse.py --work_dir=. --batch_sizes="1 16" --reference=0.8892 --tolerance=0.01

Exit status 0: the top-1 of every batch size is at least the reference less the tolerance.
"""
import argparse
import glob
import json
import os
import sys

# The original guide's samples/s; a sample is one video of three crops.
GUIDE = {
    1: (44.9012, 60.6969, 38.2989),
    4: (49.2828, 80.4857, 38.8568),
    8: (48.0392, 83.7505, 39.5354),
    16: (49.0324, 84.0091, 40.3182),
    32: (52.6588, 84.7777, 31.6976),
}


def read_json(path):
    try:
        with open(path) as f:
            return json.load(f)
    except OSError:
        sys.exit(f'parse.py: {path}: no such file; run test/eval_acc_perf.sh for this batch size')
    except ValueError:
        sys.exit(f'parse.py: {path}: not JSON; was the step that writes it interrupted?')


def read_batch_size(work_dir, bs):
    """(accuracy JSON, summary JSON) of one batch size."""
    accuracy = read_json(os.path.join(work_dir, f'result_bs{bs}.json'))
    runs = glob.glob(os.path.join(glob.escape(work_dir), f'predata_bts1_bs{bs}_out', '*_summary.json'))
    if len(runs) != 1:
        sys.exit(f'parse.py: {work_dir}/predata_bts1_bs{bs}_out: {len(runs)} runs in it, expected one')
    summary = read_json(runs[0])
    for path, content, keys in ((f'result_bs{bs}.json', accuracy, ('top1_acc', 'top5_acc', 'num_videos')),
                                (runs[0], summary, ('throughput', 'NPU_compute_time'))):
        missing = [key for key in keys if key not in content]
        if missing:
            sys.exit(f'parse.py: {path}: has no {missing[0]}')
    return accuracy, summary


def table(head, rows):
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    for row in [head, ['-' * w for w in widths]] + rows:
        print('| ' + ' | '.join(cell.rjust(w) for cell, w in zip(row, widths)) + ' |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--work_dir', default='.')
    parser.add_argument('--batch_sizes', default='1 16')
    parser.add_argument('--reference', type=float, default=0.8892, help='top-1 to reach (default: 0.8892)')
    parser.add_argument('--tolerance', type=float, default=0.01, help='how much less will do (default: 0.01)')
    args = parser.parse_args()
    batch_sizes = [int(bs) for bs in args.batch_sizes.split()]
    runs = {bs: read_batch_size(args.work_dir, bs) for bs in batch_sizes}

    print('\nAccuracy')
    table(['batch size', 'top-1', 'top-5', 'mean class', 'videos', 'average'],
          [[str(bs), f'{acc["top1_acc"]:.4f}', f'{acc["top5_acc"]:.4f}', f'{acc["mean_class_accuracy"]:.4f}',
            str(acc['num_videos']), acc['average_clips']] for bs, (acc, _) in runs.items()])

    print('\nPerformance, samples/s (a sample is one video of three crops); 310, 310P, T4: the original guide')
    rows = []
    for bs, (_, summary) in runs.items():
        ms = summary['NPU_compute_time']
        rows.append([str(bs), str(ms['count']), f'{summary["throughput"]:.4f}', f'{ms["median"]:.2f}',
                     f'{ms["percentile(99%)"]:.2f}'] +
                    [f'{v:.4f}' for v in GUIDE.get(bs, ())] + ['-'] * (0 if bs in GUIDE else 3))
    table(['batch size', 'batches', 'this run', 'median ms', '99% ms', '310', '310P', 'T4'], rows)
    best = max(runs, key=lambda bs: runs[bs][1]['throughput'])
    print(f'best: batch size {best}, {runs[best][1]["throughput"]:.4f} samples/s')

    worst = min(acc['top1_acc'] for acc, _ in runs.values())
    reached = worst >= args.reference - args.tolerance
    print(f'\nverdict: top-1 {worst:.4f} {"reaches" if reached else "is below"} '
          f'{args.reference:.4f} - {args.tolerance:.4f}')
    sys.exit(0 if reached else 1)


if __name__ == '__main__':
    main()
