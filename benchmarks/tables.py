# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The results of the benchmark as Markdown and as a chart.

benchmark() in benchmark.py says what results.json holds. Older files have neither "precision" nor "gflop" nor "limits":
their limit was measured in f32 only, and all rows are compared with it.
"""
import numpy as np
from engines import EAGER, ROWS, our_engine

TEST_VIDEOS = 3783  # of UCF-101, test split 1
OLD_GFLOP = 3 * 105.955328  # of a video, in results that do not say it


def table(*rows):
    """Lines of Markdown: the first row is the head."""
    lines = ['| ' + ' | '.join(row) + ' |' for row in rows]
    return [lines[0], '| ' + ' | '.join('---' for _ in rows[0]) + ' |', *lines[1:]]


def rounded(value, digits):
    """A number as text with so many digits behind the point; nothing for None."""
    return '' if value is None else f'{value:.{digits}f}'


def share_of_limit(row, results):
    """A row's arithmetic a second, as a part of the limit at its precision; None where there is no limit."""
    limit = results['limit_gflops'].get(row.get('precision', 'f32'))
    if limit is None:
        return None
    return row['rate'] * results.get('gflop', OLD_GFLOP) / limit


def inference_lines(results):
    rows = [('engine', 'batch size', 'videos/s', 'ratio', 'median s', 'min to max s', 'of the limit', 'start s',
             'peak MB')]
    base = {row['batch_size']: row['rate'] for row in results['inference'] if row['engine'] == EAGER}
    for row in results['inference']:
        times = row['times']
        rows.append((
            row['engine'],
            str(row['batch_size']),
            rounded(row['rate'], 3),
            rounded(row['rate'] / base[row['batch_size']], 2),
            rounded(row['median'], 2),
            f'{min(times):.2f} to {max(times):.2f}',
            rounded(share_of_limit(row, results), 2),
            rounded(row['start'], 1),
            rounded(row['peak_mb'], 0),
        ))
    return table(*rows)


def limit_lines(results):
    operations = {limit['precision']: f' ({limit["operation"]})' for limit in results.get('limits', [])}
    limits = [f'{precision} {gflops} GFLOP/s{operations.get(precision, "")}'
              for precision, gflops in results['limit_gflops'].items()]
    return [f'The limit of the machine, the fastest operation in OpenVINO: {", ".join(limits)}; a video takes '
            f'{results.get("gflop", OLD_GFLOP):.0f} GFLOP.',
            'Start: imports, loading, compiling, the first run. For benchmark_app start and memory are not measured.']


def preprocessing_lines(results):
    rows = [('preprocessing', 'videos/s', 'ratio', 'MB a video', f'GB of the test split ({TEST_VIDEOS:,})')]
    rates = {name: np.median(row['rate']) for name, row in results['preprocessing'].items()}
    guide = next(iter(rates.values()))
    for name, row in results['preprocessing'].items():
        rows.append((
            name,
            rounded(rates[name], 1),
            rounded(rates[name] / guide, 2),
            rounded(row['bytes'] / 1e6, 1),
            rounded(row['bytes'] * TEST_VIDEOS / 1e9, 1),
        ))
    return table(*rows)


def end_to_end_lines(results):
    ends = results['end_to_end']
    rows = [('way', 's', 'ratio', 'of pure inference')]
    seconds = {name: np.median(row['seconds']) for name, row in ends['results'].items()}
    first = next(iter(seconds.values()))
    for name, row in ends['results'].items():
        share = None
        if row['share']:
            share = np.median(row['share'])
        rows.append((name, rounded(seconds[name], 1), rounded(first / seconds[name], 2), rounded(share, 2)))
    videos_mb, frames_mb = (size / ends['videos'] / 1e6 for size in ends['bytes'])
    frames_seconds = np.median(ends['frames_seconds'])
    return [f'From {ends["videos"]} .avi files to the accuracy, start-up included; full-size model, batch 1.', '',
            *table(*rows), '',
            f'The frames: build_rawframes.py took {frames_seconds:.1f} s of the first way; '
            f'{frames_mb:.1f} MB of JPEGs a video, from {videos_mb:.2f} MB of .avi.']


def markdown(results):
    """The text of results.md."""
    machine = f'{results["cpu"]}, {results["cores"]} cores; {results["versions"]}; {results["date"]}'
    parts = [
        [f'`{results["command"]}`'],
        [f'Machine: {machine}.'],
        [f'Full-size R(2+1)D-34, videos/s (a video is three crops); the ratio is to {EAGER} at the same batch size.'],
        inference_lines(results),
        limit_lines(results),
        preprocessing_lines(results),
        end_to_end_lines(results),
    ]
    return '\n\n'.join('\n'.join(lines) for lines in parts) + '\n'


def draw_chart(results, path):
    """Save a bar chart of the inference rates; the bars of this project are blue."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    rows = results['inference'][::-1]  # barh draws from the bottom up
    ours = [row.name for row in ROWS if row.measure is our_engine]
    names = [f'{row["engine"]}, {row["batch_size"]}' for row in rows]
    rates = [row['rate'] for row in rows]
    colors = ['#1d4ed8' if row['engine'] in ours else '#9aa4b2' for row in rows]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.28 * len(rows)))
    ax.bar_label(ax.barh(names, rates, color=colors), fmt='%.2f', padding=3)
    ax.set_xlabel('videos/s, full-size model (engine, batch size)')
    fig.savefig(path, dpi=110, bbox_inches='tight')
