# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_report.py on small runs that are made here: its figures against a count of our own, and a browser."""
import base64
import html
import io
import json
import re
import shutil
import subprocess
import warnings

import cv2
import numpy as np
import pytest
from conftest import CONFIG, ROOT, call, start
from PIL import Image

from r2plus1d_engines import cpu_name

SECONDS = 20

NAMES = ['ApplyEyeMakeup', '化眼妆', '<script>alert(1)</script>', 'A & "B" $x$ $y', 'IceDancing', '乐队行进']
ENGINE_ARGS = ['r2plus1d_infer.py', '--model', './some <b> model.onnx', '--precision', 'bf16', '--outfmt', 'TXT']
ENGINE = {'name': 'OpenVINO', 'version': '2031.4.0', 'precision': 'bf16', 'cpu': 'Some CPU <of> the run, 9.1 GHz'}
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')


def summary(path, bs, times, files=None):
    """Write the summary of a run at batch size BS, as r2plus1d_infer.py leaves it; TIMES: ms of each batch."""
    mean = float(np.mean(times))
    figures = {'min': min(times), 'max': max(times), 'mean': mean, 'median': float(np.median(times)),
               'percentile(99%)': float(np.percentile(times, 99)), 'count': len(times)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        'filesinfo': files or {}, 'args': ENGINE_ARGS, 'throughput': 1000 * bs / mean, 'npu_compute_time_list': times,
        'NPU_compute_time': figures, 'pid': 1, 'engine': ENGINE, 'batchsize': bs}))


class Run:
    """What test/eval_acc_perf.sh leaves: scores of videos x 3 x outputs, batch sizes 1 and 16."""

    def __init__(self, folder, names, labels, scores, average_clips='score'):
        self.folder, self.names, self.labels, self.scores = folder, names, np.array(labels), scores.astype(np.float32)
        weights = np.exp(scores) / np.exp(scores).sum(2, keepdims=True) if average_clips == 'prob' else scores
        self.average = weights.mean(1)
        self.predicted = self.average.argmax(1)
        folder.mkdir()
        (folder / 'classInd.txt').write_bytes(''.join(f'{i} {n}\r\n' for i, n in enumerate(names, 1)).encode())
        self.videos = [f'c{label}/v_c{label}_g01_c{i:02d}' for i, label in enumerate(labels)]
        for i, video in enumerate(self.videos):
            self.make_frames(folder / 'frames' / video, i)
        (folder / 'list.txt').write_text(''.join(f'{v} 20 {label}\n' for v, label in zip(self.videos, labels)))
        (folder / 'config.py').write_text(f"_base_ = ['{CONFIG}']\ndata = dict(test=dict(\n"
                                          f"    ann_file='{folder}/list.txt', data_prefix='{folder}/frames'))\n")
        better = (self.average > self.average[np.arange(len(labels)), labels][:, None]).sum(1)
        classes = [(better[self.labels == c] == 0).mean() for c in set(labels)]
        self.accuracy = dict(top1_acc=float((better == 0).mean()), top5_acc=float((better < 5).mean()),
                             mean_class_accuracy=float(np.mean(classes)), num_videos=len(labels),
                             average_clips=average_clips)
        rng = np.random.default_rng(0)
        for bs in (1, 16):
            (folder / f'result_bs{bs}.json').write_text(json.dumps(self.accuracy))
            out = folder / f'predata_bts1_bs{bs}_out' / '2026_03_04-05_06_07'
            out.mkdir(parents=True)
            files = {}
            for i, label in enumerate(labels):
                (out / f'bin{i}-{i}_{label}_0.txt').write_text(
                    ''.join(''.join('%f ' % v for v in row) + '\n' for row in self.scores[i]))
                files[str(i)] = {'infiles': [f'predata_bts1/bin{i}-{i}_{label}.bin'],
                                 'outfiles': [f'elsewhere/bin{i}-{i}_{label}_0.txt']}
            self.times = rng.uniform(900, 1100, len(labels)).tolist()
            summary(out.parent / (out.name + '_summary.json'), bs, self.times, files)

    def make_frames(self, path, i):
        """20 frames, each of one grey: its number."""
        path.mkdir(parents=True)
        for number in range(1, 21):
            cv2.imwrite(str(path / f'img_{number:05d}.jpg'), np.full((48, 64, 3), 12 * number, np.uint8))

    def arguments(self, *more):
        return [f'--work_dir={self.folder}', f'--config={self.folder}/config.py',
                f'--classes={self.folder}/classInd.txt', *more]

    def report(self, *more):
        call('r2plus1d_report', *self.arguments(*more))
        return (self.folder / 'report' / 'index.html').read_text(encoding='utf-8')


def make_run(folder, wrong=True, outputs=8, average_clips='score'):
    """24 videos of 5 of the 6 classes; one is given a class without a name, some another one's."""
    rng = np.random.default_rng(1)
    labels = [0, 1, 2, 3, 5] * 5
    scores = rng.normal(0, 1, (25, 3, outputs))
    scores[np.arange(25), :, labels] += 8
    if wrong:
        for video, taken_for, by in ((3, 1, 12), (8, 1, 11), (11, 2, 9), (24, 7, 10)):
            scores[video, :, taken_for] += by
    return Run(folder, NAMES, labels, scores, average_clips)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """(run, page) with mistakes and a second source of performance, made by the command."""
    run = make_run(tmp_path_factory.mktemp('report') / 'run')
    for bs, ms in ((1, [2000.0, 2500.0]), (4, [8000.0])):
        summary(run.folder / 'full' / f'bs{bs}' / '2026_03_04-06_00_00_summary.json', bs, ms)
    done = start(ROOT / 'r2plus1d_report.py', *run.arguments(f'--extra=全 <i>full</i>={run.folder}/full'))
    assert 'Warning' not in done.stderr and 'lyph' not in done.stderr, done.stderr
    return run, (run.folder / 'report' / 'index.html').read_text(encoding='utf-8')


def text_of(page):
    body = re.sub(r'<style>.*?</style>', '', page, flags=re.S)
    return ' '.join(html.unescape(re.sub(r'<[^>]*>', ' ', body)).split())


def test_accuracy_and_verdict(made, tmp_path):
    run, page = made
    text, accuracy = text_of(page), run.accuracy
    assert accuracy['top1_acc'] == np.mean(run.predicted == run.labels) < 1
    row = ' '.join(f'{accuracy[key]:.4f}' for key in ('top1_acc', 'top5_acc', 'mean_class_accuracy')) + ' 25'
    assert f' 1 {row} 16 {row} ' in text
    assert f'Failed: top-1 {accuracy["top1_acc"]:.4f} is below 0.8892 − 0.0100' in text
    assert '310 0.8892 0.9741' in text and '310P 0.8923 0.9745' in text
    call('r2plus1d_report', *run.arguments(
        '--reference=.85', '--tolerance=.02', '--examples=0', '--batch_sizes=1', f'--output={tmp_path}/new/page.html'))
    page = (tmp_path / 'new' / 'page.html').read_text(encoding='utf-8')
    assert 'Passed: top-1 0.8400 reaches 0.8500 − 0.0200' in text_of(page)


def test_classes_and_confusions(made):
    run, page = made
    text = text_of(page)
    from mmaction.core.evaluation import confusion_matrix

    matrix = confusion_matrix(run.predicted, run.labels)  # of the classes that occur: 0, 1, 2, 3, 5, 7
    assert sorted(set(run.predicted) | set(run.labels)) == [0, 1, 2, 3, 5, 7]
    for row, c in enumerate([0, 1, 2, 3, 5]):
        assert f'{c + 1} {NAMES[c]} {matrix[row, row]}/{matrix[row].sum()}' in text
        for column, other in enumerate([0, 1, 2, 3, 5]):
            if row != column and matrix[row, column]:
                assert f'{c + 1} {NAMES[c]} {matrix[row, column]} of 5 {other + 1} {NAMES[other]}' in text
    assert f'6 {NAMES[5]} 1 of 5 other' in text and 'Other: 1 videos' in text
    assert '1 classes have no video' in text


def test_performance(made):
    run, page = made
    text = text_of(page)
    times = np.array(run.times)
    rate = 16000 / times.mean()
    assert (f'16 25 {rate:.4f} {np.median(times):.2f} {np.percentile(times, 99):.2f} 49.0324 {rate / 49.0324:.2f}× '
            f'84.0091 {rate / 84.0091:.2f}× 40.3182 {rate / 40.3182:.2f}×') in text
    assert '全 <i>full</i>: ./some <b> model.onnx' in text
    assert '1 2 0.4444 2250.00 2495.00 44.9012 0.0099×' in text and '4 1 0.5000 8000.00 8000.00 49.2828 0.0101×' in text


def test_mistakes(made):
    run, page = made
    wrong = np.flatnonzero(run.predicted != run.labels)
    e = np.exp(run.average - run.average.max(1, keepdims=True))
    probability = e / e.sum(1, keepdims=True)
    order = sorted(wrong, key=lambda i: -probability[i].max())
    assert re.findall(r'<h3>(.*?)</h3>', page) == [run.videos[i].split('/')[1] for i in order]
    text = text_of(page)
    for i in order:
        top = np.argsort(-probability[i])[:5]
        names = [f'{c + 1} {NAMES[c]}' if c < 6 else f'{c + 1}, not in the list of classes' for c in top]
        assert ' '.join(f'{name} {probability[i, c]:.3f}' for name, c in zip(names, top)) in text
    # The frames are those that mmaction2's whole pipeline takes, and the pictures are of these frames.
    import mmcv
    from mmaction.datasets import build_dataset

    cfg = mmcv.Config.fromfile(str(run.folder / 'config.py'))
    cfg.data.test.pipeline[-2]['keys'] = ['imgs', 'label', 'frame_inds']
    expected = build_dataset(cfg.data.test, dict(test_mode=True))[int(order[0])]['frame_inds'].tolist()
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]*)" alt="frame (\d+) of (\w+)"', page)
    assert [int(number) for _, number, _ in shown[:8]] == expected and len(shown) == 8 * len(order)
    for data, number, _ in shown:
        assert abs(np.mean(Image.open(io.BytesIO(base64.b64decode(data)))) - 12 * int(number)) < 3


def test_self_contained(made):
    run, page = made
    images = re.findall(r'<img[^>]*>', page)
    for image in images:
        kind, data = re.search(r'src="data:image/(png|jpeg);base64,([^"]+)"', image).groups()
        Image.open(io.BytesIO(base64.b64decode(data, validate=True))).load()
        assert re.search(r'alt="[^"]{5,}"', image)
    assert len(images) == 3 + 8 * 4
    markup = re.sub(r'base64,[^"]*', '', page)
    for outside in ('http', 'url(', '<script', '<link', '@import', 'href=', '<b> model', '<i>full'):
        assert outside not in markup
    files = {p.name for p in (run.folder / 'report').iterdir()}
    assert files == {'index.html', 'confusion_matrix.png', 'performance.png', 'latency.png', 'examples.png'}
    embedded = re.findall(r'data:image/png;base64,([^"]+)"', page)
    beside = [(run.folder / 'report' / f'{name}.png').read_bytes() for name in
              ('performance', 'latency', 'confusion_matrix')]
    assert [base64.b64decode(data) for data in embedded] == beside


def test_what_was_run(made):
    run, page = made
    text = text_of(page[page.index('What was run'):])
    for fact in ('Model ./some <b> model.onnx',
                 'Inference by OpenVINO 2031.4.0, bf16, on Some CPU <of> the run, 9.1 GHz', '2026-03-04 05:06',
                 f'25 videos of {run.folder}/list.txt', 'averaged by score', 'CPU '):
        assert fact in text
    assert cpu_name() not in text and 'the machine that wrote this page' not in text


def test_what_was_run_by_ais_bench(pristine, tmp_path):
    """ais_bench's summaries name neither an engine nor a CPU nor the batch size."""
    folder, arguments = copy_run(pristine, tmp_path, without='frames')
    for path in folder.glob('predata_bts1_bs*_out/*_summary.json'):
        content = json.loads(path.read_text())
        del content['engine'], content['batchsize']
        path.write_text(json.dumps(dict(content, args=['ais_bench', '-m', 'r2plus1d_bs1.om'])))
    call('r2plus1d_report', *arguments, '--examples=0')
    page = (folder / 'report' / 'index.html').read_text(encoding='utf-8')
    text = text_of(page[page.index('What was run'):])
    assert 'Model r2plus1d_bs1.om' in text and 'Inference by ais_bench, on an NPU' in text
    assert f'CPU {cpu_name()}, ' in text and 'the machine that wrote this page' in text
    rate = 16000 / np.mean(pristine.times)
    assert f' 16 25 {rate:.4f} ' in text_of(page)


def test_no_mistakes_and_prob(tmp_path):
    run = make_run(tmp_path / 'run', wrong=False, outputs=6, average_clips='prob')
    page = run.report('--batch_sizes=16', '--examples=2', f'--output={tmp_path}/run/report/index.html')
    text = text_of(page)
    least = sorted(range(25), key=lambda i: run.average[i].max())[:2]
    assert 'No mistakes' in text and 'All 25 videos of' in text and 'No class was taken for another' in text
    assert re.findall(r'<h3>(.*?)</h3>', page) == [run.videos[i].split('/')[1] for i in least]
    assert f'{run.average[least[0]].max():.3f}' in text and 'averaged by prob' in text


@pytest.mark.parametrize('installed', [True, False])
def test_fonts(installed, monkeypatch):
    """Figures show a name, or only the number of its class where no font has it; never boxes, never a formula."""
    import r2plus1d_figures as figures
    manager = figures.font_manager.fontManager
    if not installed:
        monkeypatch.setattr(figures.font_manager, 'findSystemFonts', lambda: [])
        monkeypatch.setattr(manager, 'ttflist', [f for f in manager.ttflist if re.match('DejaVu|Last Resort', f.name)])
    with figures.plt.rc_context(), warnings.catch_warnings():
        warnings.simplefilter('error')
        label = figures.choose_font(''.join(NAMES))
        shown = [label(name, '') for name in NAMES]
        assert shown[2:4] == ['<script>alert(1)</script>', r'A & "B" \$x\$ \$y'] and len(label('x' * 99, '')) == 26
        assert shown[1] == '' or installed
        figure = figures.confusion_figure(np.eye(6, 7, dtype=int), NAMES, label)
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()][4] == 'IceDancing 5'
        figures.draw(figure)


def test_101_classes(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(20)]
    source = tmp_path / 'noise'
    source.mkdir()
    for number, frame in enumerate(noise, 1):
        cv2.imwrite(str(source / f'img_{number:05d}.jpg'), frame)
    monkeypatch.setattr(Run, 'make_frames', lambda self, path, i: (path.parent.mkdir(parents=True, exist_ok=True),
                                                                   path.symlink_to(source)))
    labels = list(range(101))
    scores = rng.normal(0, 1, (101, 3, 400))
    scores[np.arange(101), :, labels] += rng.normal(2.5, 1, (101, 1))
    run = Run(tmp_path / 'run', [f'Class number {i}' for i in range(101)], labels, scores)
    page = run.report()
    assert len(page.encode()) <= 3e6
    width, height = Image.open(run.folder / 'report' / 'confusion_matrix.png').size
    assert min(width, height) > 101 * 15  # pixels of a cell


def change(name, old, new):
    def apply(folder):
        path = folder / name
        text = path.read_text(encoding='utf-8')
        assert old in text
        path.write_text(text.replace(old, new), encoding='utf-8')
    return apply


def shorten_list(folder):
    path = folder / 'list.txt'
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join(lines[:-1]))


ERRORS = {
    'no result': (lambda f: (f / 'result_bs16.json').unlink(), [], 1, 'result_bs16.json'),
    'no outputs': (lambda f: shutil.rmtree(f / 'predata_bts1_bs1_out'), [], 1, 'predata_bts1_bs1_out'),
    'other result': (change('result_bs1.json', '"num_videos": 25', '"num_videos": 24'), [], 1, 'result_bs1.json'),
    'old result': (change('result_bs1.json', 'average_clips', 'average'), [], 1, 'has no average_clips'),
    'other list': (change('list.txt', 'c02 20 2', 'c02 20 3'), [], 1, 'list.txt'),
    'shorter list': (shorten_list, [], 1, 'list.txt: lists 24 videos'),
    'class index': (change('classInd.txt', '2 化', '7 化'), [], 1, 'line 2 is "7 化眼妆"'),
    'encoding': (lambda f: (f / 'classInd.txt').write_bytes('1 化眼妆'.encode('gbk')), [], 1, 'not UTF-8'),
    'few classes': (lambda f: (f / 'classInd.txt').write_text('1 a\n2 b\n'), [], 1, '2 classes'),
    'no frames': (lambda f: shutil.rmtree(f / 'frames'), [], 1, '--examples 0'),
    'bad config': (lambda f: (f / 'config.py').write_text('data = 1'), [], 1, 'config.py: not a config with data.test'),
    'no summary': (None, ['--extra=full={}/frames'], 1, 'no *_summary.json'),
    'bad summary': (lambda f: (f / 'frames' / 'x_summary.json').write_text('{}'), ['--extra=full={}/frames'], 1,
                    'x_summary.json'),
    'extra': (None, ['--extra=full'], 2, 'NAME=DIR'),
    'batch sizes': (None, ['--batch_sizes=1,16'], 2, '1,16'),
    'examples': (None, ['--examples=-1'], 2, '--examples -1'),
    'crops': (None, ['--crops=0'], 2, '--crops'),
    'no config': (None, ['--config=none.py'], 2, 'none.py'),
    'no classes': (None, ['--classes=none.txt'], 2, 'none.txt'),
}


@pytest.fixture(scope='module')
def pristine(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp('errors') / 'run')


def copy_run(run, tmp_path, without=''):
    """(folder of a copy of a run, arguments for its report), without the files of that name."""
    folder = tmp_path / 'run'
    shutil.copytree(run.folder, folder, ignore=shutil.ignore_patterns(without))
    change('config.py', str(run.folder), str(folder))(folder)
    return folder, [argument.replace(str(run.folder), str(folder)) for argument in run.arguments()]


@pytest.mark.parametrize('case', ERRORS)
def test_errors(case, pristine, tmp_path):
    damage, more, status, words = ERRORS[case]
    folder, arguments = copy_run(pristine, tmp_path)
    if damage:
        damage(folder)
    done = call('r2plus1d_report', *arguments, *(argument.format(folder) for argument in more), check=False)
    assert done.returncode == status and words in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 or status == 2, done.stderr
    assert not (folder / 'report').exists()


def test_without_frames(pristine, tmp_path):
    """--examples 0 does what the error message about missing frames says."""
    folder, arguments = copy_run(pristine, tmp_path, without='frames')
    call('r2plus1d_report', *arguments, '--examples=0')
    assert not (folder / 'report' / 'examples.png').exists()


def test_comparison(pristine, tmp_path):
    """What r2plus1d_compare.py printed is on the page, where it is beside the results."""
    folder = tmp_path / 'run'
    shutil.copytree(pristine.folder, folder, ignore=shutil.ignore_patterns('frames'))
    change('config.py', str(pristine.folder), str(folder))(folder)
    arguments = [argument.replace(str(pristine.folder), str(folder)) for argument in pristine.arguments('--examples=0')]

    def page():
        call('r2plus1d_report', *arguments)
        return text_of((folder / 'report' / 'index.html').read_text(encoding='utf-8'))

    assert 'Agreement with PyTorch' not in page()
    row = {'model': 'a <b>.onnx', 'step': 'export', 'precision': 'f32', 'max_abs_difference': 1.5e-5,
           'max_rel_difference': 6e-7, 'bound': 1e-4, 'cosine': 0.999999, 'top1_agreement': 1.0, 'top5_agreement': 0.98}
    bins = {'model': 'bins', 'step': 'preprocessing', 'precision': 'float32', 'max_abs_difference': 0.0, 'bound': 0.09}
    report = {'models': [bins, row], 'num_videos': 20, 'num_test_videos': 252, 'passed': True, 'first_difference': None}
    (folder / 'compare.json').write_text(json.dumps(report))
    assert 'a <b>.onnx export f32 1.50e-05 6.00e-07 1e-04 1.00000 1.000 0.980' in page()
    assert 'bins preprocessing float32 0.00e+00 – 9e-02' in page() and 'as near to PyTorch as' in page()
    report.update(passed=False, first_difference={'step': 'export', 'model': 'a <b>.onnx', 'looks_like': 'BGR for RGB'})
    (folder / 'compare.json').write_text(json.dumps(report))
    assert 'At the step “export” a model differs more than its precision allows: a <b>.onnx; BGR for RGB.' in page()
    (folder / 'compare.json').write_text('[]')
    done = call('r2plus1d_report', *arguments, check=False)
    assert done.returncode == 1 and 'compare.json: not what' in done.stderr


MEASURE = """<script>addEventListener('load', () => {
  document.querySelectorAll('details').forEach(d => d.open = true);
  parent.postMessage({window: innerWidth, page: document.scrollingElement.scrollWidth,
    images: document.images.length, broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
    small: [...document.images].filter(i => i.getBoundingClientRect().width < 40).length}, '*') })</script>"""
WRAPPER = """<!doctype html><body><script>addEventListener('message', e => {
  const p = document.createElement('p'); p.textContent = JSON.stringify(e.data); document.body.append(p) })</script>
<iframe src="copy.html" style="width:1280px;height:900px;border:0"></iframe>
<iframe src="copy.html" style="width:390px;height:800px;border:0"></iframe></body>"""


@pytest.mark.skipif(not CHROMIUM, reason='chromium is not installed')
def test_in_a_browser(made, tmp_path):
    """Every image loads and nothing is wider than the page, on a desktop and on a phone.

    In iframes of these widths, as headless Chromium has no window narrower than 500 pixels.
    """
    (tmp_path / 'copy.html').write_text(made[1].replace('</body>', MEASURE + '</body>'), encoding='utf-8')
    (tmp_path / 'wrapper.html').write_text(WRAPPER, encoding='utf-8')
    done = subprocess.run(
        [CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         f'--user-data-dir={tmp_path}/profile', '--window-size=1400,1000', '--virtual-time-budget=5000', '--dump-dom',
         (tmp_path / 'wrapper.html').as_uri()],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    results = [json.loads(html.unescape(p)) for p in re.findall(r'<p>(\{.*?\})</p>', done.stdout.decode())]
    assert sorted(r['window'] for r in results) == [390, 1280], done.stderr.decode()[-2000:]
    for r in results:
        assert r['images'] == 3 + 8 * 4 and r['broken'] == 0 and r['small'] == 0, r
        assert r['page'] <= r['window'], r
