# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The benchmark: that it measures what it says. Its figures are of no interest here."""
import importlib.util
import itertools
import json
import os
import platform
import re
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, run, start

sys.path.insert(0, str(ROOT / 'benchmarks'))
import archive
import benchmark
import common
import engines
import limit
import preprocessing
import videos

from r2plus1d.precision import PRECISIONS

SECONDS = 20
needs_openvino = pytest.mark.skipif(not importlib.util.find_spec('openvino'), reason='needs OpenVINO')


@pytest.fixture
def quick_start(monkeypatch):
    """Let the benchmark start its Python scripts by start(), which saves the time of their imports."""

    def start_script(executable, *command, cwd=None):
        assert executable == sys.executable
        return run(executable, *command) if command[0] == '-c' else start(*command, cwd=cwd)

    for module in (engines, videos, preprocessing):
        monkeypatch.setattr(module, 'run', start_script)


# ---- tables ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['results', 'results_vnni', 'results_avx2'])
def test_tables_of_the_committed_results(name):
    results = json.loads((ROOT / f'benchmarks/{name}.json').read_text())
    committed = (ROOT / f'benchmarks/{name}.md').read_text()
    assert len([line for line in committed.splitlines() if line.startswith('|')]) > 20
    assert benchmark.markdown(results) == committed


def test_tables_of_the_committed_archive():
    results = json.loads((ROOT / 'benchmarks/archive.json').read_text())
    assert set(results) == set(archive.PARTS)
    assert archive.markdown(results) == (ROOT / 'benchmarks/archive.md').read_text()


def test_chart_of_the_committed_results(tmp_path):
    results = json.loads((ROOT / 'benchmarks/results.json').read_text())
    engines.draw_chart(results, tmp_path / 'chart.png')
    assert (tmp_path / 'chart.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('precision, share', [('f32', 2 * 300 / 1000), ('int8', 2 * 300 / 3000), ('bf16', None)])
def test_share_is_of_the_limit_at_the_same_precision(precision, share):
    row = {'rate': 2, 'gflop': 300, 'precision': precision}
    assert engines.share_of_limit(row, {'f32': 1000, 'int8': 3000}) == share


@pytest.mark.parametrize('rounds, text', [([1, 1.1, 1.2], '1.0 to 1.2'), ([1.2, 0.9, 1], '0.9 to 1.2 **!**')])
def test_figures_that_vary_are_marked(rounds, text):
    assert common.spread(rounds, 1) == text


# ---- the arithmetic and the limit ------------------------------------------------------------------


@pytest.mark.parametrize('shape, kernel', [
    ([64, 64], ()),
    ([3, 16, 1, 8, 8], (3, 1, 1)),  # two thirds of the kernel lie on the padding
    ([2, 4, 2, 8, 10], (1, 3, 3)),
    ([2, 4, 5, 8, 10], (3, 5, 7)),
])
def test_arithmetic_of_a_chain(shape, kernel):
    """With ones for input and weights, the sum of the outputs of an operation is the number of its products."""
    weight = torch.ones(shape[1], shape[1], *kernel)
    if kernel:
        output = torch.nn.functional.conv3d(torch.ones(shape), weight, padding=[side // 2 for side in kernel])
    else:
        output = torch.ones(shape) @ weight
    assert limit.count_gflop(shape, kernel) == pytest.approx(limit.DEPTH * 2 * float(output.sum()) / 1e9)


def test_arithmetic_of_the_model():
    """The shares of the limit in the committed results are of the same arithmetic."""
    rows = json.loads((ROOT / 'benchmarks/results.json').read_text())['inference']['rows']
    assert {row['engine']: row['gflop'] for row in rows}.items() <= {
        row.name: engines.GFLOP[row.shape] for row in engines.ROWS}.items()


@needs_openvino
def test_operations_run_at_their_precision():
    """Small ones, in a process of their own. On x86-64 OpenVINO has int8."""
    code = ('import json, limit; limit.PRODUCTS = [64]; limit.STAGES = [(16, 2, 8)]; '
            'print(json.dumps(limit.measure_all(0)))')
    found = json.loads(run(sys.executable, '-c', code, cwd=ROOT / 'benchmarks').stdout)
    precisions = {entry['precision'] for entry in found}
    assert precisions >= ({'f32', 'int8'} if platform.machine() == 'x86_64' else {'f32'})
    assert len(found) == 3 * len(precisions)
    for entry in found:
        assert entry['runs_in'] in PRECISIONS[entry['precision']].runs_in, entry
        assert entry['gflops'] > 0


def test_limit_is_the_fastest_at_the_precision_itself():
    found = [{'precision': precision, 'gflops': gflops, 'runs_in': runs_in}
             for precision, gflops, runs_in in [('f32', 5, 'f32'), ('f32', 7, 'f32'), ('f32', 6, 'f32'),
                                                ('int8', 9, 'f32'), ('int8', 8, 'u8'), ('bf16', 7, 'f32')]]
    assert {entry['precision']: entry['gflops'] for entry in limit.fastest(found)} == {'f32': 7, 'int8': 8}


# ---- engines ---------------------------------------------------------------------------------------


def test_rows():
    names = [row.name for row in engines.ROWS]
    assert len(set(names)) == len(names)
    assert [row.name for row in engines.choose_rows('infer', ['f32', 'int8'])] == [
        engines.EAGER, 'r2plus1d_infer.py f32', 'r2plus1d_infer.py f32, full frame', 'r2plus1d_infer.py int8',
        'r2plus1d_infer.py int8, full frame']


@needs_openvino
def test_measurements_of_one_model_are_of_one_unit(small, quick_start):
    """benchmark_app prints ms and runs the same engine as r2plus1d_infer.py: a wrong unit would be a factor of 1000."""
    rows = {row.name: row for row in engines.ROWS}
    ours = engines.measure(rows['r2plus1d_infer.py f32'], small.sim, 1, 0)
    assert len(ours['times']) == 1
    assert 0 < ours['times'][0] < ours['start'] and ours['peak_mb'] > 10
    for name in ('benchmark_app f32', 'benchmark_app f32, throughput', 'ONNX Runtime'):
        found = engines.measure(rows[name], small.sim, 1, 0)
        assert 0.05 < np.median(found['times']) / ours['times'][0] < 20
        assert found['start'] > 0 and found['peak_mb'] > 10


# ---- videos ----------------------------------------------------------------------------------------


def test_ways_to_preprocess_write_the_same_bins(dataset, quick_start, monkeypatch, tmp_path):
    """More videos than the list has, so that some are there twice. PyAV's colours may differ a little: not compared."""
    monkeypatch.setattr(preprocessing, 'WORKERS', (1,))
    monkeypatch.setattr(preprocessing, 'VIDEO_WORKERS', (2,))
    count = 6
    videos = preprocessing.make_videos(str(dataset), str(tmp_path / 'links'), count)
    found = {}
    for i, (name, preprocess) in enumerate(preprocessing.choose_ways().items()):
        folder = tmp_path / str(i)
        folder.mkdir()
        assert preprocess(videos, str(folder)) > 0
        found[name] = {path.name: path for path in folder.glob('*.bin')}
    lines = (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    assert len(lines) < count
    names = {f'bin{i}-{i}_{line.split()[-1]}.bin' for i, line in enumerate((lines * 2)[:count])}
    assert all(bins.keys() == names for bins in found.values())
    for source in ('frames: ', '.avi: '):
        first, *others = [bins for way, bins in found.items() if way.startswith(source) and 'PyAV' not in way]
        assert len(others) >= 2
        for name, bins in itertools.product(names, others):
            size, size_of_first = (each[name].stat().st_size for each in (bins, first))
            if size == size_of_first:
                assert bins[name].read_bytes() == first[name].read_bytes()
            else:  # bytes in the place of float32, three crops of 256 or the full frame of 341
                assert size in (size_of_first / 4, size_of_first / 4 / 3 / 256 * 341)


def test_enlarged_videos(dataset, quick_start, tmp_path):
    preprocessing.enlarge_videos(str(dataset), str(tmp_path), size=(640, 360), count=2)
    lines = (tmp_path / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    assert len(lines) == 2
    for line in lines:
        video, frames, _ = line.split()
        assert len(list((tmp_path / 'data/ucf101/rawframes' / video).iterdir())) == int(frames)
        first = cv2.imread(str(tmp_path / 'data/ucf101/rawframes' / video / 'img_00001.jpg'))
        assert first.shape == (360, 640, 3)


@needs_openvino
def test_from_avi_files_to_the_accuracy(dataset, small, quick_start, monkeypatch, tmp_path):
    monkeypatch.setattr(videos, 'CONFIG', str(small.config))
    # These videos have other classes than UCF-101's first ones.
    (tmp_path / 'config.py').write_text(f"_base_ = ['{videos.VIDEO_CONFIG}']\nclasses = None\n")
    ways = {f'{videos.OURS}, f32': (small.sim, 'f32', str(tmp_path / 'config.py'))}
    found = videos.measure_videos(str(dataset), str(tmp_path), ways, small.checkpoint, 3, 1)
    theirs, ours, predicted = found['results'].values()
    assert list(found['results'])[1:] == [f'{videos.OURS}, f32', f'{videos.PREDICT}, f32'] and found['videos'] == 3
    assert predicted['seconds'][0] > 0 and not predicted['share']
    assert theirs['seconds'][0] > found['frames_seconds'][0] > 0
    # Decoding takes time that pure inference does not: about 0.6 with the small model, and a busy machine blurs it.
    assert ours['seconds'][0] > 0 and 0.05 < ours['share'][0] < 2
    copied = [path.stat().st_size for path in (tmp_path / 'data/ucf101/videos').rglob('*.avi')]
    assert len(copied) == 3
    assert found['bytes'][0] == sum(copied) < found['bytes'][1]


@needs_openvino
def test_first_prediction(dataset, small, quick_start, tmp_path):
    ways = {f'{videos.OURS}, f32': (small.sim, 'f32', videos.CONFIG)}
    found = videos.measure_first_prediction(str(dataset), str(tmp_path), ways, 2)
    assert len(found[f'{videos.OURS}, f32']) == 2 and all(0 < seconds < 60 for seconds in found[f'{videos.OURS}, f32'])
    text = '\n'.join(videos.first_prediction_lines(found))
    assert '| r2plus1d_predict.py, f32 | ' in text and re.search(r'\| import torch \| .* \| 1\.00 \|', text)


def test_ways_are_chosen_by_their_names():
    models = {name: name for name in ('onnx', 'onnx_frame', 'int8', 'int8_frame')}
    assert len(videos.choose_ways(models, ['f32', 'bf16', 'int8'])) == 6
    chosen = videos.choose_ways(models, ['f32', 'bf16', 'int8'], 'int8, full frame$')
    assert chosen == {f'{videos.OURS}, int8, full frame': ('int8_frame', 'int8', videos.FRAME_VIDEO_CONFIG)}


# ---- the command -----------------------------------------------------------------------------------


@pytest.mark.parametrize('options, message', [
    (['--frames', 'nowhere'], 'nowhere/data/ucf101/videos: not found'),
    (['--frames', '.', '--batch_sizes', '1 x'], '--batch_sizes "1 x": expected whole numbers'),
    (['--frames', '.', '--output', 'nowhere/results'], 'expected a name in a folder that exists'),
])
def test_wrong_arguments(dataset, options, message):
    done = start(ROOT / 'benchmarks/benchmark.py', *options, cwd=dataset, check=False)
    assert done.returncode == 2
    assert message in done.stderr


# ---- many videos -------------------------------------------------------------------------------------


def test_cpu_of_a_process_is_that_between_two_looks():
    """10 s in 2000 videos are 5 ms a video."""
    few = {'actor': (200, 30, 1), 'raylet': (10, 0, 2), 'driver': (100, 0, 0)}
    many = {'actor': (200, 30, 11), 'raylet': (10, 0, 4), 'driver': (100, 0, 4)}
    run = {'rate': 10, 'start': 1, 'stages': {'200': (200, few), '2200': (2200, many)}}
    assert archive.cpu_ms(run, 'actor') == pytest.approx(5)
    text = '\n'.join(archive.paper_lines({'--ray local': run}, {'mb': 600, 'cpu_s': 20, 'rows_mb': 300}))
    assert '| 84 | 3.31 | 0.05 |' in text and 'keeps up with 500 videos/s' in text
    lines = archive.process_lines({'--ray local': run})
    assert '| --ray local | actor | 200 | 200 | 30 | 30 | 5.00 |' in lines


def test_processes_below_this_one(tmp_path):
    """A process that a process of ours has started is counted, with about the memory that it takes."""
    script = 'import time; x = bytearray(10**8); print(1, flush=True); time.sleep(60)'
    with subprocess.Popen(['sh', '-c', f'"{sys.executable}" -c "{script}"; true'], stdout=subprocess.PIPE) as shell:
        shell.stdout.readline()
        found = archive.read_processes(shell.pid)
        pids = archive.processes_below(shell.pid)
        for pid in pids[::-1]:
            os.kill(pid, signal.SIGKILL)
    assert len(pids) == 2 and set(found) == {'driver', 'helpers of Ray'}
    assert 95 < found['helpers of Ray'][0] < 150
