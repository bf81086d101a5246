# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The page of r2plus1d_report.py in Chromium: its width, its accessibility by axe-core, and what its buttons do.

axe-core is the file AXE_CORE=path, or that of node_modules, or npm fetches it. Without it, and without Chromium, the
tests are skipped.
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile

import cv2
import numpy as np
import pytest
from conftest import ROOT
from made_runs import Run, make_run

SECONDS = 50

AXE_VERSION = '4.10.3'
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
OPTIONS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
           '--disable-background-networking', '--disable-component-update', '--window-size=1900,1000',
           '--dump-dom']
# Milliseconds of the browser's own time for a page. On a busy machine that time runs ahead of files and drawings that
# the page waits for, and the page is dumped before its script has ended: then with more of it.
TIMES = (20_000, 200_000, 2_000_000)

pytestmark = pytest.mark.skipif(not CHROMIUM, reason='chromium is not installed')


# ---- the browser -------------------------------------------------------------------------------------

# In iframes of these widths, as headless Chromium has no window narrower than 500 pixels.
WRAPPER = """<!doctype html><body><script>addEventListener('message', e => {{
  const p = document.createElement('p'); p.textContent = JSON.stringify(e.data); document.body.append(p) }})</script>
{}</body>"""
SEND = """<script>addEventListener('load', async () => {{
  const send = data => parent.postMessage({{width: innerWidth, ...data}}, '*');
  {}
}})</script></body>"""
FRAME = '<iframe src="copy.html" style="width:{}px;height:900px;border:0"></iframe>'


def look_at(page, script, folder, widths):
    """{width: data} of what a SCRIPT in the page gives to its function send(). FOLDER: for a profile and the page."""
    (folder / 'copy.html').write_text(page.replace('</body>', SEND.format(script)), encoding='utf-8')
    frames = [FRAME.format(width) for width in widths]
    (folder / 'wrapper.html').write_text(WRAPPER.format('\n'.join(frames)), encoding='utf-8')
    for milliseconds in TIMES:
        done = subprocess.run([CHROMIUM, *OPTIONS, f'--virtual-time-budget={milliseconds}',
                               f'--user-data-dir={folder}/profile', (folder / 'wrapper.html').as_uri()],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        sent = [json.loads(html.unescape(text)) for text in re.findall(r'<p>(\{.*?\})</p>', done.stdout.decode())]
        if len(sent) == len(frames):
            break
    assert len(sent) == len(frames), f'{sent}\n{done.stderr.decode()[-2000:]}'
    return {data.pop('width'): data for data in sent}


def dark(page):
    """The page as it is on a dark screen."""
    assert page.count('@media (prefers-color-scheme: dark)') == 1
    return page.replace('@media (prefers-color-scheme: dark)', '@media all')


# ---- pages -------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def small_page(tmp_path_factory):
    """Few videos, with all sections."""
    folder = tmp_path_factory.mktemp('small')
    run = make_run(folder / 'run')
    other = make_run(folder / 'other', wrong=False)
    (run.folder / 'compare.json').write_text(json.dumps({
        'models': [{'model': 'a.onnx', 'step': 'export', 'precision': 'f32', 'max_abs_difference': 1e-5, 'bound': 1e-4,
                    'passed': False}],
        'num_videos': 20, 'num_test_videos': 252, 'passed': False, 'first_difference': None}))
    return run.report(f'--compare={other.folder}')


@pytest.fixture(scope='module')
def large_page(tmp_path_factory):
    """101 classes and 3,783 videos, whose frames are noise, which no encoder makes small."""
    folder = tmp_path_factory.mktemp('large')
    rng = np.random.default_rng(0)
    (folder / 'noise').mkdir()
    for number in range(1, 21):
        noise = rng.integers(0, 256, (240, 320, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'noise/img_{number:05d}.jpg'), noise)
    labels = np.sort(rng.integers(0, 101, 3783)).tolist()
    scores = rng.normal(0, 1, (3783, 3, 104)).astype(np.float32)
    scores[np.arange(3783), :, labels] += rng.normal(2.5, 1, (3783, 1))
    names = [f'Class number {i} with a name' for i in range(101)]
    return LargeRun(folder / 'run', names, labels, scores).report('--batch_sizes=1')


class LargeRun(Run):
    """Every video has the frames of the folder noise, and the outputs are NumPy files, which are read faster."""

    extension = 'npy'
    batch_sizes = (1,)

    def make_frames(self, path, i):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(self.folder.parent / 'noise')


@pytest.fixture(scope='session')
def axe_core(tmp_path_factory):
    """The source of axe-core."""
    path = pathlib.Path(os.environ.get('AXE_CORE', ROOT / 'node_modules/axe-core/axe.min.js'))
    if path.is_file():
        return path.read_text(encoding='utf-8')
    if 'AXE_CORE' in os.environ or not shutil.which('npm'):
        pytest.skip(f'{path}: no such file, or no npm')
    folder = tmp_path_factory.mktemp('axe')
    try:
        subprocess.run(['npm', 'pack', f'axe-core@{AXE_VERSION}'], cwd=folder, check=True, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
        pytest.skip(f'npm does not fetch axe-core: {(e.stderr or b"")[-200:]}')
    package, = folder.glob('*.tgz')
    with tarfile.open(package) as archive:
        return archive.extractfile('package/axe.min.js').read().decode()


# ---- tests -------------------------------------------------------------------------------------------

WIDTHS = (1440, 390)
MEASURE = """
  document.querySelectorAll('details').forEach(part => part.open = true);
  await new Promise(resolve => setTimeout(resolve, 200));
  const images = [...document.images];
  send({page: document.scrollingElement.scrollWidth, images: images.length,
        broken: images.filter(image => !image.complete || !image.naturalWidth).length,
        small: images.filter(image => image.getBoundingClientRect().width < 40).length,
        silent: [...document.querySelectorAll('.scroll')].filter(box => box.clientWidth
          && (box.scrollWidth > box.clientWidth + 1) === box.nextElementSibling.hidden).length});
"""


@pytest.mark.parametrize('name, images', [('small_page', 12), ('large_page', 16)])
def test_widths(name, images, request, tmp_path):
    """Nothing is wider than the page, each table that scrolls says so, and every clip is there."""
    page = request.getfixturevalue(name)
    assert len(page.encode()) <= 3e6
    sent = look_at(page, MEASURE, tmp_path, WIDTHS)
    for width, data in sent.items():
        assert data['page'] <= width and data['images'] == images, data
        assert data['broken'] == data['small'] == data['silent'] == 0, data


def test_print(large_page, tmp_path):
    """On paper nothing can be scrolled: every table is there in its whole length, and the buttons are not."""
    assert large_page.count('@media print') == 1
    script = """
  const boxes = [...document.querySelectorAll('.scroll, .matrix')];
  send({cut: boxes.filter(box => box.scrollHeight > box.clientHeight + 2).length, boxes: boxes.length,
        buttons: [...document.querySelectorAll('.tools')].filter(tool => tool.offsetHeight).length});
"""
    printed = look_at(large_page.replace('@media print', '@media all'), script, tmp_path, [794])[794]
    assert printed['cut'] == 0 and printed['buttons'] == 0 and printed['boxes'] > 5


@pytest.mark.parametrize('name, light_widths, dark_widths', [('small_page', WIDTHS, WIDTHS),
                                                            ('large_page', [390], [1440])])
def test_accessibility(name, light_widths, dark_widths, request, axe_core, tmp_path):
    """axe-core finds nothing, on a light screen and on a dark one."""
    page = request.getfixturevalue(name)
    script = """
  document.querySelectorAll('details').forEach(part => part.open = true);
  const found = await axe.run();
  send({violations: found.violations.map(v => `${v.id}: ${v.nodes[0].html.slice(0, 200)}`),
        passes: found.passes.length});
"""
    with_axe = '<script>' + axe_core.replace('</script', '<\\/script') + '</script>'
    page = page.replace('<script type="application/json"', with_axe + '<script type="application/json"')
    for widths, shown in ((light_widths, page), (dark_widths, dark(page))):
        for data in look_at(shown, script, tmp_path, widths).values():
            assert data['violations'] == [] and data['passes'] > 20


ACTIONS = """
  const all = selector => [...document.querySelectorAll(selector)];
  const rows = () => all('#class-table tbody tr').filter(row => !row.hidden).map(row => row.children[1].textContent);
  const result = {};
  const sort = all('.sort');
  sort[1].click();
  result.byName = rows();
  sort[4].click();
  sort[4].click();
  result.byAccuracy = all('#class-table tbody tr').map(row => Number(row.children[4].dataset.value));
  document.getElementById('find-class').value = 'MAKEUP';
  document.getElementById('find-class').dispatchEvent(new Event('input'));
  result.found = rows();
  result.count = document.getElementById('class-count').textContent;

  document.querySelector('[data-show=wrong]').click();
  result.cards = all('.card').filter(card => !card.hidden).map(card => card.classList.contains('wrong'));
  const card = document.querySelector('.card');
  const left = () => card.querySelector('img').getBoundingClientRect().left;
  const start = left();
  card.querySelector('input').value = 3;
  card.querySelector('input').dispatchEvent(new Event('input'));
  result.moved = Math.round((start - left()) / card.querySelector('.clip').clientWidth);
  const play = card.querySelector('.play');
  play.click();
  await new Promise(resolve => setTimeout(resolve, 800));
  result.played = Number(card.querySelector('input').value);
  play.click();

  const svg = document.querySelector('#matrix svg');
  const before = svg.getBoundingClientRect();
  document.querySelector('[data-zoom=in]').click();
  result.zoom = svg.getBoundingClientRect().width / before.width;
  document.querySelector('[data-zoom=fit]').click();
  const box = svg.getBoundingClientRect();
  svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + box.width * 1.5 / 7,
                                                     clientY: box.top + box.height * 3.5 / 6}));
  result.tip = document.getElementById('tip').textContent;
  svg.dispatchEvent(new MouseEvent('click', {clientX: box.left + box.width * 1.5 / 7,
                                             clientY: box.top + box.height * 3.5 / 6}));
  const listed = document.getElementById('cell-videos');
  result.cell = listed.hidden ? [] : [...listed.querySelectorAll('li')].map(item => item.textContent.split(' ')[0]);

  URL.createObjectURL = blob => { result.blob = blob; return 'data:,'; };
  HTMLAnchorElement.prototype.click = function () { result.file = this.download; };
  result.saved = {};
  for (const button of all('[data-save]')) {
    button.click();
    result.saved[result.file] = await result.blob.text();
  }
  delete result.blob;
  send(result);
"""


def test_buttons(small_page, tmp_path):
    """Sorting, finding, playing, zooming and saving."""
    result = look_at(small_page, ACTIONS, tmp_path, [1440])[1440]
    assert sorted(result['byName']) == sorted(result['found'] + ['化眼妆', '<script>alert(1)</script>',
                                                                'A & "B" $x$ $y', '乐队行进'])
    assert result['byName'].index('<script>alert(1)</script>') < result['byName'].index('ApplyEyeMakeup')
    assert result['byAccuracy'] == sorted(result['byAccuracy'], reverse=True) and len(set(result['byAccuracy'])) > 1
    assert result['found'] == ['ApplyEyeMakeup'] and result['count'] == '1 of 5 classes'
    assert result['cards'] == [True] * 4
    assert result['moved'] == 3 and result['played'] == 5
    assert result['zoom'] > 1.2
    assert result['tip'] == 'A & "B" $x$ $y → 化眼妆: 2 of 5'
    assert result['cell'] == ['v_c3_g01_c03', 'v_c3_g01_c08']
    data = json.loads(result['saved']['report.json'])
    assert len(data['videos']) == 25
    videos = result['saved']['videos.csv'].splitlines()
    assert videos[0].lstrip('\ufeff') == 'video,class,predicted,right,probability' and len(videos) == 26
    assert any('"A & ""B"" $x$ $y"' in line for line in videos)
    assert len(result['saved']['classes.csv'].splitlines()) == 6
