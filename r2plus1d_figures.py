# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The figures of r2plus1d_report.py: charts of a run, and strips of video frames.

    label = choose_font(text)                             # a font that has the text's characters
    chart = draw(confusion_figure(matrix, names, label))  # a PNG and its width

SPEEDS, in the functions below, is a dict: for each source (the run itself, or the NAME of an --extra) its Performances
of r2plus1d_outputs.py, one a batch size. LABEL is the function that choose_font() returns.
"""
import collections
import contextlib
import io
import re
import string

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib import font_manager
from PIL import Image

from r2plus1d_metrics import GUIDE_CHIPS, GUIDE_RATES

matplotlib.use('Agg')  # draw without a display
plt.rcParams.update({
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#888888',
    'figure.constrained_layout.use': True,
    'xtick.color': '#333333',
    'ytick.color': '#333333',
})

SOURCE_COLOURS = ['#1d4ed8', '#c2410c', '#0f766e', '#7e22ce', '#a16207']
GUIDE_MARKERS = 's^D'  # a square, a triangle, a diamond: one for each of GUIDE_CHIPS
LABEL_LENGTH = 26  # characters
LATENCY_DOTS = 600  # more of them, in a row half a centimetre high, make one blot
STRIP_GAP = 4  # pixels between the strips of examples.png

Chart = collections.namedtuple('Chart', 'png width')  # bytes; inches


# ---- images ----------------------------------------------------------------------------------------


def encode_image(image, kind, **options):
    """The bytes of a PIL image as a file of this KIND, such as PNG."""
    data = io.BytesIO()
    image.save(data, kind, optimize=True, **options)
    return data.getvalue()


def draw(figure):
    """Draw a figure of matplotlib and close it. The PNG has 256 colours: that takes a third of the bytes."""
    data = io.BytesIO()
    figure.savefig(data, dpi=180, bbox_inches='tight')
    plt.close(figure)
    image = Image.open(data).convert('RGB').quantize(256, dither=Image.Dither.NONE)
    return Chart(encode_image(image, 'PNG'), figure.get_figwidth())


def resize_frame(frame, height):
    """An RGB array, height x width x 3, at another height and with the same proportions."""
    width = round(height * frame.shape[1] / frame.shape[0])
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def encode_frame(frame):
    """An RGB array as the bytes of a JPEG file."""
    return encode_image(Image.fromarray(frame), 'JPEG', quality=80)


def draw_strips(strips):
    """The bytes of a PNG with strips of frames below each other. STRIPS: lists of RGB arrays of one height."""
    images = [Image.fromarray(np.hstack(frames)) for frames in strips]
    width = max(image.width for image in images)
    height = sum(image.height + STRIP_GAP for image in images)
    sheet = Image.new('RGB', (width, height), 'black')
    top = 0
    for image in images:
        sheet.paste(image, (0, top + STRIP_GAP))
        top += image.height + STRIP_GAP
    return encode_image(sheet.quantize(256), 'PNG')


# ---- fonts -----------------------------------------------------------------------------------------


def font_characters(path):
    """The set of the characters that a font file has, as numbers. Empty where it cannot be read."""
    try:
        return set(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return set()


def candidate_fonts():
    """The upright fonts of normal weight on this machine, those made for simplified Chinese first."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    # matplotlib keeps its list of fonts in a file, which can be older than the newest font.
    for path in set(font_manager.findSystemFonts()) - known:
        with contextlib.suppress(Exception):  # a damaged font can raise anything
            font_manager.fontManager.addfont(path)
    fonts = []
    for font in font_manager.fontManager.ttflist:
        # Last Resort claims to have every character and shows each as a box.
        if font.style == 'normal' and font.weight in (400, 'normal') and 'Last Resort' not in font.name:
            fonts.append(font)
    return sorted(fonts, key=lambda font: (not re.search('CJK SC|Hei|Han Sans', font.name), font.name))


def choose_font(text):
    """Make matplotlib use a font that has all characters of TEXT: its own font if that will do, else one that is found.

    Returns a function label(text, fallback): TEXT shortened and escaped for a figure, or FALLBACK where the font
    lacks one of its characters.
    """
    available = font_characters(font_manager.findfont('DejaVu Sans'))
    if not available.issuperset(map(ord, text)):
        needed = set(map(ord, text + string.digits + string.ascii_letters + string.punctuation + ' …'))
        for font in candidate_fonts():
            found = font_characters(font.fname)
            if found >= needed:
                plt.rcParams['font.family'] = [font.name]
                available = found
                break

    def label(text, fallback):
        if not available.issuperset(map(ord, text)):
            return fallback
        if len(text) > LABEL_LENGTH:
            text = text[:LABEL_LENGTH - 1] + '…'
        return text.replace('$', r'\$')  # a bare $ begins a formula

    return label


# ---- confusion matrix ------------------------------------------------------------------------------


def confusion_figure(matrix, names, label):
    """The confusion matrix of count_confusions(), with the NAMES of its classes beside the rows.

    A class is numbered from 1. A column more than there are rows is headed "other".
    """
    n, columns = matrix.shape
    pitch = min(max(0.1, 3.4 / columns), 0.5)  # inches of a cell
    fig, ax = plt.subplots(figsize=(1.6 + pitch * columns, 0.5 + pitch * n))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    ax.imshow(cell_colours(matrix, share))
    label_classes(ax, names, columns, label)
    draw_cell_borders(ax, n, columns)
    ax.set(xlabel='predicted', ylabel='true')
    if n <= 20:  # the cells of more classes are too small for a number
        for i, j in zip(*np.nonzero(matrix)):
            colour = 'white' if share[i, j] > 0.55 else '#222'
            ax.text(j, i, matrix[i, j], ha='center', va='center', size=7, color=colour)
    return fig


def cell_colours(matrix, share):
    """RGBA of each cell: blue on the diagonal, orange elsewhere, darker with the share of its row, white where empty.

    A wrong cell is coloured by the square root of its share, so that a single video is seen.
    """
    diagonal = np.eye(*matrix.shape, dtype=bool)
    colours = np.where(diagonal[..., None], plt.cm.Blues(share * 0.85), plt.cm.Oranges(0.1 + np.sqrt(share) * 0.7))
    colours[matrix == 0] = 1
    return colours


def label_classes(ax, names, columns, label):
    n = len(names)
    size = 6 if n > 40 else 8
    has_other = columns > n
    numbers = [str(i) for i in range(1, n + 1)]
    rotation = 90 if columns > 20 or has_other else 0
    ax.set_xticks(range(columns), numbers + ['other'] * has_other, size=size, rotation=rotation)
    rows = [f'{label(name, "")} {number}'.strip() for name, number in zip(names, numbers)]
    ax.set_yticks(range(n), rows, size=size)


def draw_cell_borders(ax, rows, columns):
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which='minor', color='#dddddd', linewidth=0.4)
    ax.tick_params(which='both', length=0)


# ---- performance -----------------------------------------------------------------------------------


def source_style(index, source, label):
    """(colour, text) of a source by its place in SPEEDS. The first source is the run itself."""
    return SOURCE_COLOURS[index % len(SOURCE_COLOURS)], label(source, f'extra {index}')


def performance_figure(speeds, label):
    """Videos a second by batch size: each source, and the chips of the original guide."""
    measured = [performance for performances in speeds.values() for performance in performances]
    sizes = sorted(set(GUIDE_RATES) | {performance.batch_size for performance in measured})
    fig, ax = plt.subplots(figsize=(5, 3.9))
    for chip, marker, rates in zip(GUIDE_CHIPS, GUIDE_MARKERS, zip(*GUIDE_RATES.values())):
        places = [sizes.index(bs) for bs in GUIDE_RATES]
        ax.plot(places, rates, color='#777777', marker=marker, linewidth=0.8, markersize=4, label=f'guide, {chip}')
    for index, (source, performances) in enumerate(speeds.items()):
        colour, text = source_style(index, source, label)
        places = [sizes.index(performance.batch_size) for performance in performances]
        rates = [performance.rate for performance in performances]
        ax.plot(places, rates, color=colour, marker='o', linewidth=1.8, label=text)
        for place, rate in zip(places, rates):
            ax.annotate(f'{rate:.3g}', (place, rate), (0, 6), textcoords='offset points', ha='center', color=colour,
                        size=8)
    scale_rates(ax, [performance.rate for performance in measured])
    ax.set_xticks(range(len(sizes)), [str(bs) for bs in sizes])
    ax.set(xlabel='batch size', ylabel='videos/s')
    ax.grid(axis='y', color='#dddddd', linewidth=0.6)
    ax.legend(loc='lower center', bbox_to_anchor=(0.45, 1), ncol=3, frameon=False, fontsize=8, columnspacing=1.2)
    return fig


def scale_rates(ax, rates):
    """Make room for the rates and the guide's: on a logarithmic axis where the largest dwarfs the smallest."""
    values = [*rates, *(rate for chips in GUIDE_RATES.values() for rate in chips)]
    if max(values) > 8 * min(values):
        ax.set_yscale('log')
        ax.set_ylim(min(values) / 1.6, max(values) * 1.8)
    else:
        ax.set_ylim(0, max(values) * 1.12)
    ax.yaxis.set_major_formatter('{x:g}')


def latency_figure(speeds, label):
    """The compute time of each batch, a row for each source and batch size."""
    names = []
    all_times = []
    fig, ax = plt.subplots()
    for index, (source, performances) in enumerate(speeds.items()):
        colour, text = source_style(index, source, label)
        for performance in performances:
            draw_times(ax, len(names), performance.times, colour)
            names.append(f'{text}, {performance.batch_size}')
            all_times.append(performance.times)
    fig.set_size_inches(5, 1 + 0.42 * len(names))
    all_times = np.concatenate(all_times)
    if all_times.max() > 8 * all_times.min():
        ax.set_xscale('log')
    ax.xaxis.set_major_formatter('{x:g}')
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)  # the first row on top
    ax.set_xlabel('ms for a batch')
    ax.grid(axis='x', color='#dddddd', linewidth=0.6)
    return fig


def draw_times(ax, y, times, colour):
    """One row at height Y: a dot for a batch, a bar for the middle half of the times, a line for their median.

    Of many times, dots are drawn for LATENCY_DOTS of them, evenly spaced in the order of their size.
    """
    times = np.sort(times)
    chosen = np.unique(np.linspace(0, len(times) - 1, LATENCY_DOTS).astype(int))
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(chosen))  # so that equal times lie beside each other
    ax.scatter(times[chosen], y + jitter, s=4, color=colour, alpha=0.35, linewidths=0)
    ax.plot(np.percentile(times, [25, 75]), [y, y], color=colour, linewidth=6, alpha=0.6)
    median = np.median(times)
    ax.plot([median, median], [y - 0.35, y + 0.35], color='#222222', linewidth=1.2)
