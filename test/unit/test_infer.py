# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_infer.py: the flags of ais_bench in both spellings, and what is refused before any work."""
import json
import os
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, call, run, start
from onnx import helper
from test_onnx_files import GOOD, make_model

SECONDS = 15
SCRIPT = ROOT / 'r2plus1d_infer.py'
CLASSES = 3 * 3 * 8 * 2 * 2  # of the models here


@pytest.fixture
def folder(tmp_path):
    """A folder with a model and bins of two samples each; the last bin has one video."""
    make_model(tmp_path / 'm.onnx', GOOD)
    (tmp_path / 'bins').mkdir()
    for name in ('bin0-1_0_1', 'bin2-3_2_0', 'bin4-4_1'):
        np.ones([2, *GOOD[1:]], np.float32).tofile(tmp_path / 'bins' / f'{name}.bin')
    return tmp_path


def test_flags_in_both_spellings_give_the_same(folder):
    for letter, out in (('_', 'a'), ('-', 'b')):
        flags = [flag.replace('_', letter) for flag in ('--output_dirname', '--warmup_count', '--pure_data_type')]
        start(SCRIPT, '--model', 'm.onnx', '--output', out, flags[0], 'run', flags[1], 0, flags[2], 'random', '--debug',
              cwd=folder)
    one, two = (sorted((folder / out / 'run').iterdir()) for out in 'ab')
    assert [path.name for path in one] == [path.name for path in two] == ['pure_infer_data_0.bin']
    assert one[0].read_bytes() == two[0].read_bytes()


@pytest.mark.parametrize('flags, words', [
    (['--warmup_count', '-1'], '-1 is not 0 or more'),
    (['--output', 'o', '--output_dirname', '/tmp/o'], '--output_dirname /tmp/o: is a name in --output'),
    (['--device', '0,-1'], '0,-1: numbers of 0 or more')])
def test_flags_that_are_refused(folder, flags, words):
    done = call('r2plus1d_infer', '--model', 'm.onnx', *flags, cwd=folder, check=False)
    assert done.returncode == 2 and words in done.stderr and not (folder / 'o').exists()


def test_one_device_twice_shares_the_work(folder):
    done = start(SCRIPT, '--model', 'm.onnx', '--input', 'bins', '--output', 'o', '--output_dirname', 'run', '--device',
                 '0,0', '--backend', 'onnxruntime', cwd=folder)
    summary = json.loads((folder / 'o/run_summary.json').read_text())
    assert summary['batches_by_device'] == {'device0_0': 2, 'device0_1': 1} and len(summary['filesinfo']) == 3
    # Five videos, in three batches of two.
    mean = float(re.search(r'mean\((.*?)\)', done.stderr)[1])
    assert mean > 0 and re.search(r'with reading and writing: .* samples/s, without padding', done.stderr)


def test_the_rate_is_of_videos_not_of_padding(folder, monkeypatch):
    from r2plus1d.batches import Files
    from r2plus1d.engines import make_engine
    engine = make_engine(str(folder / 'm.onnx'), 'onnxruntime')
    assert Files(str(folder / 'bins'), None, engine).num_samples == 5
    assert Files(str(folder / 'bins'), 4, engine).num_samples == 5


def test_labels_and_classes_are_looked_at_first(folder, dataset, small):
    (folder / 'bins/bin4-4_1.bin').rename(folder / f'bins/bin4-4_{CLASSES}.bin')
    done = start(SCRIPT, '--model', 'm.onnx', '--input', 'bins', cwd=folder, check=False)
    assert done.returncode == 1 and f'label {CLASSES}, and m.onnx has {CLASSES} classes' in done.stderr.splitlines()[-1]
    done = start(SCRIPT, '--model', small.sim, '--config', small.config, '--cfg-options',
                 'model.cls_head.num_classes=101', cwd=dataset, check=False)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and 'has 400 classes, and the head in' in last and 'has 101' in last


@pytest.mark.parametrize('code', ['r2plus1d_infer.main()', 'r2plus1d.optimize.import_nncf()'])
def test_nothing_is_reported_to_anybody(folder, code):
    """OpenVINO and NNCF report each import of them to Google Analytics, where the package for that is installed."""
    pytest.importorskip('openvino' if 'infer' in code else 'nncf')
    (folder / 'openvino_telemetry').mkdir()
    (folder / 'openvino_telemetry/__init__.py').write_text('open("reported", "w").close()')
    run(sys.executable, '-c', f'import r2plus1d_infer, r2plus1d.optimize; {code}', '--model', 'm.onnx', cwd=folder,
        env={'PYTHONPATH': f'{folder}{os.pathsep}{ROOT}'})
    assert not (folder / 'reported').exists()


def test_probabilities_are_said(folder):
    make_model(folder / 'm.onnx', GOOD, more=[helper.make_node('Softmax', ['y'], ['p'], axis=1)], outputs='p')
    done = start(SCRIPT, '--model', 'm.onnx', '--input', 'bins', cwd=folder)
    assert 'm.onnx: gives probabilities, by a softmax of its own' in done.stderr
