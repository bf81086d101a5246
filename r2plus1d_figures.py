"""The figures of r2plus1d_report.py.

    label = choose_font(text)                            # a font that has the text's characters
    png = draw(confusion_figure(matrix, names, label))   # bytes

matrix: videos by true class (row) and predicted one (column), a last column more for classes without a name.
rows: dicts of source, bs (batch size), rate (videos/s) and times (ms of each batch).
"""
import contextlib
import io
import os
import re
import string
import sys

import matplotlib
import numpy as np
from PIL import Image

matplotlib.use('Agg')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'test'))
import matplotlib.pyplot as plt
from matplotlib import font_manager
from parse import GUIDE

COLOURS = ['#1d4ed8', '#c2410c', '#0f766e', '#7e22ce', '#a16207']
plt.rcParams.update({'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False,
                     'axes.edgecolor': '#888888', 'figure.constrained_layout.use': True,
                     'xtick.color': '#333333', 'ytick.color': '#333333'})


def image_bytes(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, optimize=True, **options)
    return data.getvalue()


def draw(figure):
    """A figure as PNG, in 256 colours, which is a third of the bytes."""
    data = io.BytesIO()
    figure.savefig(data, dpi=180, bbox_inches='tight')
    plt.close(figure)
    return image_bytes(Image.open(data).convert('RGB').quantize(256, dither=Image.Dither.NONE), 'PNG')


def choose_font(text):
    """Set a font that has all of TEXT, if one is installed. Return label(text, fallback): what a figure can show."""
    def charmap_of(path):
        try:
            return font_manager.get_font(path).get_charmap()
        except (OSError, RuntimeError):
            return {}

    charmap = charmap_of(font_manager.findfont('DejaVu Sans'))
    if not all(ord(c) in charmap for c in text):
        known = {f.fname for f in font_manager.fontManager.ttflist}  # of a cache, which may be older than the fonts
        for path in set(font_manager.findSystemFonts()) - known:
            with contextlib.suppress(Exception):  # a damaged font
                font_manager.fontManager.addfont(path)
        fonts = [f for f in font_manager.fontManager.ttflist if f.style == 'normal' and f.weight in (400, 'normal')
                 and 'Last Resort' not in f.name]  # which has every character, as a box
        for font in sorted(fonts, key=lambda f: (not re.search('CJK SC|Hei|Han Sans', f.name), f.name)):
            found = charmap_of(font.fname)
            if all(ord(c) in found for c in text + string.printable[:95] + '…'):
                plt.rcParams['font.family'], charmap = [font.name], found
                break

    def label(text, fallback):
        if not all(ord(c) in charmap for c in text):
            return fallback
        return (text if len(text) <= 26 else text[:25] + '…').replace('$', r'\$')  # a bare $ begins a formula
    return label


def confusion_figure(matrix, names, label):
    n, columns = matrix.shape
    pitch = min(max(0.1, 3.4 / columns), 0.5)
    size = 6 if n > 40 else 8
    fig, ax = plt.subplots(figsize=(1.6 + pitch * columns, 0.5 + pitch * n))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colours = np.where(np.eye(n, columns, dtype=bool)[..., None], plt.cm.Blues(share * 0.85),
                       plt.cm.Oranges(0.1 + np.sqrt(share) * 0.7))
    colours[matrix == 0] = 1
    ax.imshow(colours)
    ax.set_xticks(range(columns), [str(i + 1) for i in range(n)] + ['other'] * (columns - n), size=size,
                  rotation=90 if columns > 20 or columns > n else 0)
    ax.set_yticks(range(n), [f'{label(name, "")} {i + 1}'.strip() for i, name in enumerate(names)], size=size)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(n + 1) - 0.5, minor=True)
    ax.grid(which='minor', color='#dddddd', linewidth=0.4)
    ax.tick_params(which='both', length=0)
    ax.set(xlabel='predicted', ylabel='true')
    for i, j in zip(*np.nonzero(matrix)) if n <= 20 else ():
        ax.text(j, i, matrix[i, j], ha='center', va='center', size=7, color='white' if share[i, j] > 0.55 else '#222')
    return fig


def performance_figure(rows, label):
    sizes = sorted(set(GUIDE) | {row['bs'] for row in rows})
    fig, ax = plt.subplots(figsize=(5, 3.9))
    for i, (chip, marker) in enumerate(zip(('310', '310P', 'T4'), 's^D')):
        ax.plot([sizes.index(bs) for bs in GUIDE], [GUIDE[bs][i] for bs in GUIDE], color='#777777', marker=marker,
                linewidth=0.8, markersize=4, label=f'guide, {chip}')
    for i, source in enumerate(dict.fromkeys(row['source'] for row in rows)):
        points = [(sizes.index(row['bs']), row['rate']) for row in rows if row['source'] == source]
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(*zip(*points), color=colour, marker='o', linewidth=1.8, label=label(source, f'extra {i}'))
        for point in points:
            ax.annotate(f'{point[1]:.3g}', point, (0, 6), textcoords='offset points', ha='center', color=colour, size=8)
    values = [row['rate'] for row in rows] + [v for guide in GUIDE.values() for v in guide]
    if max(values) > 8 * min(values):
        ax.set_yscale('log')
        ax.set_ylim(min(values) / 1.6, max(values) * 1.8)
    else:
        ax.set_ylim(0, max(values) * 1.12)
    ax.yaxis.set_major_formatter('{x:g}')
    ax.set_xticks(range(len(sizes)), [str(bs) for bs in sizes])
    ax.set(xlabel='batch size', ylabel='videos/s')
    ax.grid(axis='y', color='#dddddd', linewidth=0.6)
    ax.legend(loc='lower center', bbox_to_anchor=(0.45, 1), ncol=3, frameon=False, fontsize=8, columnspacing=1.2)
    return fig


def latency_figure(rows, label):
    fig, ax = plt.subplots(figsize=(5, 1 + 0.42 * len(rows)))
    sources = list(dict.fromkeys(row['source'] for row in rows))
    for y, row in enumerate(rows):
        times, colour = np.sort(row['times']), COLOURS[sources.index(row['source']) % len(COLOURS)]
        dots = times[np.unique(np.linspace(0, len(times) - 1, 600).astype(int))]
        jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(dots))
        ax.scatter(dots, y + jitter, s=4, color=colour, alpha=0.35, linewidths=0)
        ax.plot(np.percentile(times, [25, 75]), [y, y], color=colour, linewidth=6, alpha=0.6)
        ax.plot([np.median(times)] * 2, [y - 0.35, y + 0.35], color='#222222', linewidth=1.2)
    if max(row['times'].max() for row in rows) > 8 * min(row['times'].min() for row in rows):
        ax.set_xscale('log')
    ax.xaxis.set_major_formatter('{x:g}')
    ax.set_yticks(range(len(rows)), [
        f'{label(row["source"], "extra %d" % sources.index(row["source"]))}, {row["bs"]}' for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel('ms for a batch')
    ax.grid(axis='x', color='#dddddd', linewidth=0.6)
    return fig
