# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The results of the benchmark as Markdown and as a chart.

benchmark() in benchmark.py says what results.json holds.
"""
import numpy as np
from common import table
from engines import EAGER, ROWS, our_engine
from videos import OURS

TEST_VIDEOS = 3783  # of UCF-101, test split 1
LARGEST_SPREAD = 0.2  # of a figure that is not marked


def rounded(value, digits):
    """A number as text with so many digits behind the point; nothing for None."""
    return '' if value is None else f'{value:.{digits}f}'


def spread(rounds, digits):
    """"least to largest" of a figure in all rounds, marked where they differ by more than LARGEST_SPREAD of it."""
    least, largest = min(rounds), max(rounds)
    mark = ' **!**' if largest - least > LARGEST_SPREAD * np.median(rounds) else ''
    return f'{least:.{digits}f} to {largest:.{digits}f}{mark}'


# ---- inference ---------------------------------------------------------------------------------------


def share_of_limit(row, limits):
    """A row's arithmetic a second, as a part of the limit at its precision; None where there is no limit."""
    limit = limits.get(row['precision'])
    return row['rate'] * row['gflop'] / limit if limit else None


def inference_lines(part):
    limits = {entry['precision']: entry['gflops'] for entry in part['limits']}
    rows = [('engine', 'batch size', 'videos/s', 'ratio', 'median s', 'rounds: s', 'of the limit', 'start s',
             'peak MB')]
    base = {row['batch_size']: row['rate'] for row in part['rows'] if row['engine'] == EAGER}
    for row in part['rows']:
        rows.append((
            row['engine'],
            str(row['batch_size']),
            rounded(row['rate'], 3),
            rounded(row['rate'] / base[row['batch_size']], 2),
            rounded(row['median'], 2),
            spread(row['rounds'], 2),
            rounded(share_of_limit(row, limits), 2),
            rounded(row['start'], 1),
            rounded(row['peak_mb'], 0),
        ))
    operations = '; '.join(f'{entry["precision"]} {entry["gflops"]:.0f} GFLOP/s, {entry["operation"]}'
                           for entry in part['limits'])
    return ['Full-size R(2+1)D-34, videos/s: three crops a video, or where it says so the full frame as one view. The '
            f'ratio is to {EAGER} at the same batch size.', '',
            *table(*rows), '',
            f'The limit of the machine, the fastest operation in OpenVINO: {operations}.', '',
            'Start: imports, loading, compiling, the first batch.']


# ---- preprocessing -----------------------------------------------------------------------------------


def preprocessing_lines(size, ways):
    rows = [('preprocessing', 'videos/s', 'ratio', 'rounds: videos/s', 'MB a video',
             f'GB of the test split ({TEST_VIDEOS:,})')]
    rates = {name: np.median(row['rate']) for name, row in ways.items()}
    guide = next(iter(rates.values()))
    for name, row in ways.items():
        rows.append((
            name,
            rounded(rates[name], 1),
            rounded(rates[name] / guide, 2),
            spread(row['rate'], 1),
            rounded(row['bytes'] / 1e6, 1),
            rounded(row['bytes'] * TEST_VIDEOS / 1e9, 1),
        ))
    return [f'Videos of {size}, from frames or .avi files to .bin files:', '', *table(*rows)]


# ---- from .avi files to the accuracy -----------------------------------------------------------------


def end_to_end_lines(entries):
    """A table with a column of seconds for each number of videos.

    The rate without start-up is that of the first and the last of these numbers: so many more videos take so much
    longer.
    """
    last = entries[-1]
    seconds = [{name: np.median(row['seconds']) for name, row in entry['results'].items()} for entry in entries]
    first = next(iter(last['results']))
    rows = [('way', *(f'{entry["videos"]} videos: s' for entry in entries), 'ratio', 'rounds: s', 'of pure inference',
             'videos/s without start-up')]
    for name, row in last['results'].items():
        share = np.median(row['share']) if row['share'] else None
        rate = None
        if len(entries) > 1:
            rate = (last['videos'] - entries[0]['videos']) / (seconds[-1][name] - seconds[0][name])
        rows.append((
            name,
            *(rounded(found[name], 1) for found in seconds),
            rounded(seconds[-1][first] / seconds[-1][name], 2),
            spread(row['seconds'], 1),
            rounded(share, 2),
            rounded(rate, 2),
        ))
    videos_mb, frames_mb = (size / last['videos'] / 1e6 for size in last['bytes'])
    frames_seconds = np.median(last['frames_seconds'])
    return ['From .avi files to the accuracy, start-up included; full-size model, batch 1. Ratio, rounds and share are '
            f'of {last["videos"]} videos; the rate without start-up is that of the difference to '
            f'{entries[0]["videos"]}.', '',
            *table(*rows), '',
            f'The frames: build_rawframes.py took {frames_seconds:.1f} s of the first way; '
            f'{frames_mb:.1f} MB of JPEGs a video, from {videos_mb:.2f} MB of .avi.']


def first_prediction_lines(results):
    """RESULTS: of measure_first_prediction() in videos.py."""
    rows = [('model', 'seconds', 'rounds: s')]
    for name, seconds in results.items():
        rows.append((name.replace(OURS, 'r2plus1d_predict.py'), rounded(np.median(seconds), 2), spread(seconds, 2)))
    return ['One video by r2plus1d_predict.py, full-size model, from the start of the command to its end:', '',
            *table(*rows)]


# ---- all ---------------------------------------------------------------------------------------------


def markdown(results):
    """The text of results.md."""
    sections = []
    for name, part in results.items():
        sections.append([f'`{part["command"]}`', '',
                         f'Machine: {part["machine"]}; {part["versions"]}; {part["date"]}.'])
        if name == 'inference':
            sections.append(inference_lines(part))
        elif name == 'preprocessing':
            for size, ways in part['sizes'].items():
                sections.append(preprocessing_lines(size, ways))
        else:
            sections.append(end_to_end_lines(part['entries']))
            if 'first_prediction' in part:
                sections.append(first_prediction_lines(part['first_prediction']))
    sections.append([f'**!**: the rounds differ by more than {LARGEST_SPREAD:.0%} of the median.'])
    return '\n\n'.join('\n'.join(lines) for lines in sections) + '\n'


def draw_chart(results, path):
    """Save a bar chart of the inference rates; the bars of this project are blue."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    rows = results['inference']['rows'][::-1]  # barh draws from the bottom up
    ours = [row.name for row in ROWS if row.measure is our_engine]
    names = [f'{row["engine"]}, {row["batch_size"]}' for row in rows]
    rates = [row['rate'] for row in rows]
    colors = ['#1d4ed8' if row['engine'] in ours else '#9aa4b2' for row in rows]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.28 * len(rows)))
    ax.bar_label(ax.barh(names, rates, color=colors), fmt='%.2f', padding=3)
    ax.set_xlabel('videos/s, full-size model (engine, batch size)')
    fig.savefig(path, dpi=110, bbox_inches='tight')
