# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The page of r2plus1d_report.py as a file: page.html (the structure and all words, in both languages), .css and .js.

    check_output('report/index.html')                  # nothing else than such a page is overwritten
    write_page('report/index.html', render(values, 'en'))
"""
from __future__ import annotations

import base64
import json
import math
import os
from typing import Any, Mapping, Optional, Sequence, Tuple

import jinja2
from markupsafe import Markup

from r2plus1d.lists import class_name
from r2plus1d.metrics import GUIDE_ACCURACY, GUIDE_CHIPS, GUIDE_RATES, GUIDE_VIDEOS, REFERENCE_TOP1
from r2plus1d.run import InputError
from r2plus1d.store import PART_ENDING, claim, write_whole

FOLDER = os.path.dirname(os.path.abspath(__file__))
START = b'<!doctype html>'
DATA = '<script type="application/json" id="data">'  # with START the mark of our pages, of all versions


def percent(share: float, digits: int = 2) -> str:
    return f'{100 * share:.{digits}f}%'


def interval(bounds: Sequence[float]) -> str:
    """(0.966, 0.996) as 96.6–99.6%."""
    return f'{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}%'


def axis(bounds: Sequence[float], reference: Optional[float]) -> Tuple[float, float]:
    """(start, end) of a bar in which an interval, and the reference beside it, fill a good part: whole percents."""
    shown = [*bounds, *([] if reference is None else [reference])]
    room = max(0.01, max(shown) - min(shown))
    return max(0, math.floor(100 * (min(shown) - room)) / 100), min(1, math.ceil(100 * (max(shown) + room)) / 100)


def three_digits(value: float) -> str:
    """A number of three significant digits: 0.710, 63.1, 4590."""
    if value == 0:
        return '0'
    rounded = float(f'{value:.2e}')
    decimals = 2 - math.floor(math.log10(abs(rounded)))
    return f'{rounded:.{max(0, decimals)}f}'


def data_of_page(values: Mapping[str, Any]) -> Markup:
    """What the page hands on as JSON and CSV, as text that can stand inside a <script>."""
    kept = ('written', 'facts', 'verdict', 'names', 'classes', 'agreement', 'other', 'videos')
    data = {key: values[key] for key in kept}
    data['speeds'] = [{key: value for key, value in speed.items() if key != 'marks'} for speed in values['speeds']]
    data['accuracy'] = values['accuracies']
    data['confusions'] = values['matrix'].tolist()
    data['video_columns'] = ['video', 'class', 'predicted', 'probability']
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':'))
    return Markup(text.replace('<', '\\u003c'))  # no text in it ends the <script>


def render(values: Mapping[str, Any], language: str) -> bytes:
    """The page. The template has each text twice: t(english, chinese)."""
    loader = jinja2.FileSystemLoader(FOLDER)
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
        'axis': axis,
        'class_name': lambda index: class_name(names, index),
        'guide': {'chips': GUIDE_CHIPS, 'rates': GUIDE_RATES, 'accuracy': GUIDE_ACCURACY,
                  'reference': REFERENCE_TOP1, 'videos': GUIDE_VIDEOS},
    })
    parts = {}
    for kind in ('css', 'js'):
        with open(os.path.join(FOLDER, f'page.{kind}'), encoding='utf-8') as f:
            parts[kind] = Markup(f.read())
    template = environment.get_template('page.html')
    page = template.render(values, language=language, data=data_of_page(values), **parts).lstrip()
    return page.encode('utf-8', 'replace')  # a path may have bytes that are no text


def check_output(path: str) -> None:
    """Raise InputError, before any work, unless PATH is new or a page of r2plus1d_report.py."""
    if not os.path.lexists(path):
        return
    content = b''
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, 'rb') as f:
            content = f.read()
    if not content.startswith(START) or DATA.encode() not in content:
        raise InputError(f'--output {path}: exists and is not a page of r2plus1d_report.py; give another name')


def write_page(path: str, page: bytes) -> None:
    """Write a page, whole or not at all, in a folder that is made if need be."""
    with claim(path, check_output, endings=[PART_ENDING]) as claimed:
        write_whole(claimed, page)
