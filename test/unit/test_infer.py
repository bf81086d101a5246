# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_infer.py: the flags of ais_bench in both spellings, and what is refused before any work."""
import json
import os
import re
import sys

import numpy as np
import pytest
from conftest import ROOT, call, fails, refusal, run, start
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
    (['--input', 'bins'], '--model'),
    (['--model', 'no.onnx', '--input', 'bins'], 'no.onnx'),
    (['--model', 'm.onnx', '--batchsize', '0'], '--batchsize'),
    (['--model', 'm.onnx', '--output_dirname', 'x'], '--output_dirname'),
    (['--model', 'm.onnx', '--warmup_count', '-1'], '-1 is not 0 or more'),
    (['--model', 'm.onnx', '--output', 'o', '--output_dirname', '/tmp/o'], '--output_dirname /tmp/o: is a name'),
    (['--model', 'm.onnx', '--device', '0,-1'], '0,-1: numbers of 0 or more')])
def test_flags_that_are_refused(folder, flags, words):
    fails(call('r2plus1d_infer', *flags, cwd=folder, check=False), 2, words)
    assert not (folder / 'o').exists()


@pytest.mark.parametrize('source, words', [('no', 'no such file'), ('empty', 'no .bin'), ('uint8', 'float32')])
def test_inputs_that_are_refused(folder, source, words):
    """The last one has bins of another kind, whose size may fit by chance: four of uint8 are as long as one of float32.
    """
    from r2plus1d.batches import Files
    from r2plus1d.engines import make_engine
    (folder / 'empty').mkdir()
    (folder / 'bins').rename(folder / 'uint8')
    (folder / 'uint8/info.json').write_text('{"dtype": "uint8"}')
    with refusal(words, folder / source):
        Files(str(folder / source), None, make_engine(str(folder / 'm.onnx'), 'onnxruntime'))


def test_an_om_where_nothing_runs_it(folder):
    (folder / 'm.om').write_bytes(b'om')
    done = start(SCRIPT, '--model', 'm.om', '--input', 'bins', '--output', 'o', cwd=folder, check=False)
    fails(done, 1, 'm.om', 'ais_bench (', 'aclruntime (')
    assert not list((folder / 'o').iterdir())


def test_one_device_twice_shares_the_work(folder):
    done = start(SCRIPT, '--model', 'm.onnx', '--input', 'bins', '--output', 'o', '--output_dirname', 'run', '--device',
                 '0,0', '--backend', 'onnxruntime', cwd=folder)
    summary = json.loads((folder / 'o/run_summary.json').read_text())
    assert summary['batches_by_device'] == {'device0_0': 2, 'device0_1': 1} and len(summary['filesinfo']) == 3
    # Five videos, in three batches of two.
    mean = float(re.search(r'mean\((.*?)\)', done.stderr)[1])
    assert mean > 0 and re.search(r'with reading and writing: .* samples/s, without padding', done.stderr)


def test_the_rate_is_of_videos_not_of_padding(folder):
    from r2plus1d.batches import Files
    from r2plus1d.engines import make_engine
    engine = make_engine(str(folder / 'm.onnx'), 'onnxruntime')
    for batch_size in (None, 4):
        assert Files(str(folder / 'bins'), batch_size, engine).num_samples == 5


def test_labels_and_classes_are_looked_at_first(folder, dataset, small):
    (folder / 'bins/bin4-4_1.bin').rename(folder / f'bins/bin4-4_{CLASSES}.bin')
    done = start(SCRIPT, '--model', 'm.onnx', '--input', 'bins', cwd=folder, check=False)
    fails(done, 1, f'label {CLASSES}, and m.onnx has {CLASSES} classes')
    done = start(SCRIPT, '--model', small.sim, '--config', small.config, '--cfg-options',
                 'model.cls_head.num_classes=101', cwd=dataset, check=False)
    fails(done, 1, 'has 400 classes, and the head in', 'has 101')


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
