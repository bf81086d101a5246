# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_compare.py: good models pass, and each planted fault is found and named with its step."""
import json

import numpy as np
import onnx
import pytest
from conftest import ROOT, call, start
from onnx import helper, numpy_helper

SECONDS = 40


def compare(dataset, small, *options, models, check=True):
    """(exit status, report, standard error) of the script on the five test videos."""
    done = start(ROOT / 'r2plus1d_compare.py', '--config', small.config, '--checkpoint', small.checkpoint, '--models',
                 *models, *options, cwd=dataset, check=False)
    assert 'Traceback' not in done.stderr, done.stderr
    report = json.loads(done.stdout) if done.stdout else None
    return done.returncode, report, done.stderr


@pytest.fixture(scope='module')
def uint8(dataset, small):
    path = small.folder / 'r2plus1d_uint8.onnx'
    call('r2plus1d_optimize', '--model', small.sim, '--config', small.config, '--uint8_input', '--output', path,
         cwd=dataset)
    return path


def test_good_models_pass(dataset, small, uint8, bins):
    status, report, text = compare(dataset, small, '--bins', bins, models=[uint8, small.onnx, small.sim])
    assert status == 0 and report['passed'] and report['first_difference'] is None
    assert report['num_videos'] == report['num_test_videos'] == 5
    steps = [(row['step'], row['model']) for row in report['models']]
    assert steps == [('preprocessing', str(bins)), ('export', str(small.onnx)), ('simplification', str(small.sim)),
                     ('uint8 input', str(uint8))]
    for row in report['models'][1:]:
        assert 0 < row['max_abs_difference'] < 1e-4 and row['cosine'] > 0.99999
        assert row['top1_agreement'] == row['top5_agreement'] == 1 and row['first_top1_difference'] is None
        assert row['top1_acc'] == report['top1_acc']
    assert text.count('good') == 4


def test_the_figures_are_those_of_numpy():
    from r2plus1d.metrics import compare_scores
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(6, 3, 10)).astype(np.float32)
    found = expected.copy()
    found[2, 1, 4] += 40
    figures = compare_scores(expected, found)
    assert figures['max_abs_difference'] == pytest.approx(40, rel=1e-5)
    assert figures['max_rel_difference'] == pytest.approx(40 / np.abs(expected).max(), rel=1e-5)
    a, b = expected[2, 1].astype(float), found[2, 1].astype(float)
    assert figures['cosine'] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-5)
    assert figures['first_top1_difference'] == 2 and figures['top1_agreement'] == pytest.approx(5 / 6)
    assert compare_scores(expected, expected)['top5_agreement'] == 1


# ---- planted faults ----------------------------------------------------------------------------------


def swap_a_weight(model):
    """Two weights of one convolution in each other's place."""
    weight = next(w for w in model.graph.initializer if len(w.dims) == 5 and w.dims[0] > 16)
    values = numpy_helper.to_array(weight).copy()
    flat = values.ravel()
    highest, lowest = flat.argmax(), flat.argmin()
    flat[[highest, lowest]] = flat[[lowest, highest]]
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def reverse_crops(model):
    """The crops from right to left."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), 'order'))
    for node in graph.node:
        node.input[:] = ['reversed' if name == graph.input[0].name else name for name in node.input]
    graph.node.insert(0, helper.make_node('Gather', [graph.input[0].name, 'order'], ['reversed'], axis=1))


def swap_channels(model):
    """The first convolution takes BGR."""
    weight = next(w for w in model.graph.initializer if len(w.dims) == 5 and w.dims[1] == 3)
    values = numpy_helper.to_array(weight)[:, ::-1].copy()
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def change_mean(model):
    weight = next(w for w in model.graph.initializer if w.name == 'normalize.mean')
    values = numpy_helper.to_array(weight) + np.array([0, 5, 0], np.float32).reshape(1, 3, 1, 1, 1)
    weight.CopyFrom(numpy_helper.from_array(values.astype(np.float32), weight.name))


def change_head(model):
    """The last layer of another training."""
    head = model.graph.node[-1].input[1]
    weight = next(w for w in model.graph.initializer if w.name == head)
    values = np.random.default_rng(1).normal(0, 0.3, list(weight.dims)).astype(np.float32)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))


FAULTS = {
    'a swapped weight': (swap_a_weight, 'sim'),
    'crops': (reverse_crops, 'sim'),
    'channels': (swap_channels, 'sim'),
    'mean': (change_mean, 'uint8'),
    'checkpoint': (change_head, 'sim'),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_planted_faults_are_found(dataset, small, uint8, tmp_path, fault):
    plant, kind = FAULTS[fault]
    model = onnx.load(uint8 if kind == 'uint8' else small.sim)
    plant(model)
    path = tmp_path / 'planted.onnx'
    onnx.save(model, path)
    status, report, text = compare(dataset, small, '--videos=2', models=[small.onnx, path])
    step = 'uint8 input' if kind == 'uint8' else 'simplification'
    assert status == 1 and not report['passed']
    assert report['first_difference']['step'] == step and report['first_difference']['model'] == str(path)
    assert f'{path}: ' in text.splitlines()[-1] and step in text.splitlines()[-1]


def test_a_fault_of_the_export_is_named_so(dataset, small, tmp_path):
    model = onnx.load(small.onnx)
    swap_a_weight(model)
    onnx.save(model, tmp_path / 'planted.onnx')
    status, report, _ = compare(dataset, small, '--videos=2', models=[tmp_path / 'planted.onnx', small.sim])
    assert status == 1 and [row['passed'] for row in report['models']] == [False, True]
    assert report['first_difference']['step'] == 'export'


def test_the_first_video_with_another_class_is_named(dataset, small, tmp_path):
    model = onnx.load(small.sim)
    change_head(model)
    onnx.save(model, tmp_path / 'planted.onnx')
    _, report, _ = compare(dataset, small, models=[tmp_path / 'planted.onnx'])
    row, = report['models']
    video = row['first_top1_difference']
    listed = (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    name, frames, _ = listed[video['number']].split()
    assert video['video'].endswith(name) and row['top1_agreement'] < 1
    assert len(video['frames']) == 8 and max(video['frames']) <= int(frames)


@pytest.mark.parametrize('axis', [0, 1])
def test_bins_that_were_made_otherwise(dataset, small, bins, tmp_path, axis):
    """Crops in another order, BGR for RGB."""
    for path in bins.glob('*.bin'):
        sample = np.fromfile(path, np.float32).reshape(3, 3, 8, 256, 256)
        np.flip(sample, axis).tofile(tmp_path / path.name)
    status, report, text = compare(dataset, small, '--bins', tmp_path, models=[small.sim])
    assert status == 1 and report['first_difference']['step'] == 'preprocessing'
    assert 'preprocessing' in text.splitlines()[-1]
    assert report['models'][1]['passed']


@pytest.mark.parametrize('options, status, words', [
    (['--models', 'no.onnx'], 2, 'no.onnx: no such file'),
    (['--models', '{small.config}'], 2, 'expected an .onnx or an .om'),
    (['--models', '{small.sim}', '--checkpoint', 'no.pth'], 2, 'no.pth: no such file'),
    (['--models', '{small.sim}', '--checkpoint', '{small.config}'], 1, 'not a checkpoint'),
    (['--models', '{small.sim}', '--cfg-options', 'model.cls_head.num_classes=101'], 1,
     'sim.onnx: has 400 classes, and the head in'),
])
def test_errors(dataset, small, options, status, words):
    options = [option.format(small=small) for option in options]
    done = call('r2plus1d_compare', '--config', small.config, '--checkpoint', small.checkpoint, *options, cwd=dataset,
                check=False)
    assert done.returncode == status and not done.stdout
    assert words in done.stderr.splitlines()[-1] and 'Traceback' not in done.stderr
