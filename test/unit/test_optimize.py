# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_optimize.py on a small R(2+1)D-18 and made frames: against PyTorch, and engine against engine."""
import importlib.util
import json
import tempfile
import types

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import CONFIG, ROOT, call, export, start

from r2plus1d.class_names import read_class_names
from r2plus1d.data import Samples, read_config

from mmaction.models import build_model

SECONDS = 30

SCRIPT = ROOT / 'r2plus1d_optimize.py'
CLASSES = 4
NAMES = ['red', 'a "green" one', '蓝', 'grey']
CONFIG_TEXT = """_base_ = ['{base}']
model = dict(
    backbone=dict(depth=18, base_channels=8, conv1_stride_s=4, norm_cfg=dict(type='BN3d')),
    cls_head=dict(num_classes={classes}, in_channels=64))
classes = {names}
data = dict(
    train=dict(ann_file='{train}', data_prefix='{folder}'),
    test=dict(ann_file='{test}', data_prefix='{folder}'))
"""
CLOSE = 1e-4  # of logits, float against float
ALIKE = 0.1  # of int8 logits, engine against engine: the RMS of the difference over that of the logits
needs_nncf = pytest.mark.skipif(not importlib.util.find_spec('nncf'), reason='NNCF is optional: pip install nncf')
PLAIN = {'Add', 'Concat', 'Constant', 'Conv', 'Gather', 'Gemm', 'GlobalAveragePool', 'MaxPool', 'Relu', 'Reshape',
         'Shape', 'Unsqueeze'} | {'Cast', 'Sub', 'Mul'}


def make_frames(folder, label, seed, frames=12):
    """A folder of frames of one colour, which tells the class, with a texture that drifts."""
    rng = np.random.default_rng(seed)
    colour = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 180]][label])
    canvas = colour + rng.integers(-10, 10, 3) + cv2.resize(rng.normal(0, 20, (30, 40, 3)), (640, 480))
    canvas = canvas.clip(0, 255).astype(np.uint8)
    folder.mkdir(parents=True)
    for i in range(frames):
        cv2.imwrite(str(folder / f'img_{i + 1:05}.jpg'), canvas[100:340, 8 * i:8 * i + 320])
    return f'{folder.name} {frames} {label}'


def fit(config, path):
    """A network that tells the clips apart, without training: its convolutions are random, its BatchNorm
    statistics are those of the training clips, its last layer is fitted to them. Returns the model.
    """
    torch.manual_seed(0)
    cfg = read_config(str(config))
    model = build_model(cfg.model).train()
    samples = Samples.of_training_split(cfg)
    labels, clips = zip(*(samples[i] for i in range(len(samples))))
    crops = torch.from_numpy(np.stack(clips)[:, 1])
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.momentum = 1.0
        if name.endswith('conv2.bn'):  # the residual branches add little: so many random layers would be chaotic
            torch.nn.init.constant_(module.weight, 0.2)
    with torch.no_grad():
        features = model.extract_feat(crops).mean(dim=(2, 3, 4))
        centre, head = features.mean(0), model.cls_head.fc_cls
        features -= centre
        target = 6 * torch.nn.functional.one_hot(torch.tensor(labels), CLASSES).float() - 1.5
        gram = features.T @ features
        head.weight.copy_(torch.linalg.solve(gram + 0.1 * gram.trace() / 64 * torch.eye(64), features.T @ target).T)
        head.bias.copy_(target.mean(0) - head.weight @ centre)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, path)
    return model.eval()


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """The model in PyTorch and ONNX, and its data: 3 training and 3 test clips of each class."""
    folder = tmp_path_factory.mktemp('optimize')
    lists = {'train': [], 'test': []}
    for label in range(CLASSES):
        for i in range(6):
            split = 'test' if i < 3 else 'train'
            lists[split].append(make_frames(folder / f'class{label}_{i}', label, 10 * label + i))
    for split, lines in lists.items():
        (folder / f'{split}.txt').write_text('\n'.join(lines) + '\n')
    config = folder / 'config.py'
    config.write_text(CONFIG_TEXT.format(base=CONFIG, classes=CLASSES, names=NAMES, folder=folder,
                                         train=folder / 'train.txt', test=folder / 'test.txt'))
    model = fit(config, folder / 'model.pth')
    export(folder, config, folder / 'model.pth')
    return types.SimpleNamespace(folder=folder, config=config, sim=folder / 'r2plus1d_sim.onnx', torch=model)


@pytest.fixture
def optimize(made):
    """optimize(*flags) runs the script in the data's folder: (status, stdout, stderr); APART where engines run."""
    def optimize(*flags, model=made.sim, apart=False):
        script = [start, SCRIPT] if apart else [call, 'r2plus1d_optimize']
        done = script[0](script[1], '--model', model, '--config', made.config, *flags, cwd=made.folder, check=False)
        return done.returncode, done.stdout, done.stderr

    return optimize


@pytest.fixture
def uint8(optimize, tmp_path):
    """The uint8 variant of the float model."""
    for _ in range(2):  # a variant may be made anew
        assert optimize('--uint8_input', '--output', tmp_path / 'u.onnx')[0] == 0
    return tmp_path / 'u.onnx'


@pytest.fixture(scope='module')
def int8(made):
    """The int8 variant, made as the guide makes it, and its report."""
    pytest.importorskip('nncf', reason='NNCF is optional: pip install nncf')
    path = made.folder / 'r2plus1d_int8.onnx'
    done = start(SCRIPT, '--model', made.sim, '--config', made.config, '--int8', '--output', path, '--allow_unproven',
                 cwd=made.folder)
    return types.SimpleNamespace(path=path, report=json.loads(done.stdout))


def samples(made, dtype, count=2):
    """A batch of test videos: count x crops x 3 x frames x H x W, one from each end of the list."""
    data = Samples(read_config(str(made.config)), dtype)
    return np.stack([data[i][1] for i in (0, len(data) - 1, 4)[:count]])


def infer(path, batch, backend='onnxruntime', precision='f32'):
    """What r2plus1d_infer.py gives for a batch, in a process of its own, as engines are run in all tests."""
    pytest.importorskip(backend)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f'{folder}/x.npy', batch)
        start(ROOT / 'r2plus1d_infer.py', '--model', path, '--input', f'{folder}/x.npy', '--batchsize', len(batch),
              '--backend', backend, '--precision', precision, '--output', folder, '--output_dirname', 'out',
              '--outfmt', 'NPY')
        return np.load(f'{folder}/out/x_0.npy')


def assert_alike(a, b, tolerance=ALIKE):
    assert np.sqrt(np.mean((a - b)**2)) < tolerance * np.sqrt(np.mean(b**2))
    assert (a.argmax(1) == b.argmax(1)).all()


def test_uint8_input_gives_the_logits_of_float32(made, uint8):
    batch = samples(made, 'float32')
    with torch.no_grad():
        expected = made.torch.cls_head(made.torch.extract_feat(torch.from_numpy(batch).flatten(0, 1))).numpy()
    assert np.abs(expected).max() > 1
    result = infer(uint8, samples(made, 'uint8'))
    assert np.abs(result - expected).max() < CLOSE
    assert np.abs(result - infer(made.sim, batch)).max() < CLOSE
    assert np.abs(infer(uint8, samples(made, 'uint8'), 'openvino') - expected).max() < CLOSE


def test_all_variants_have_the_names_of_the_classes(made, uint8, int8):
    for path in (made.folder / 'r2plus1d.onnx', made.sim, uint8, int8.path):
        assert read_class_names(str(path)) == NAMES, path


def test_uint8_model_is_plain(made, uint8):
    model = onnx.load(str(uint8), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    value, = model.graph.input
    dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    assert (value.name, value.type.tensor_type.elem_type) == ('0', onnx.TensorProto.UINT8)
    assert dims == ['-1', 3, 3, 8, 256, 256]
    assert model.opset_import[0].version == 11 and {n.op_type for n in model.graph.node} <= PLAIN
    assert len(model.graph.node) == len(onnx.load(str(made.sim)).graph.node) + 3
    assert not any(w.external_data for w in model.graph.initializer)
    properties = {p.key: p.value for p in model.metadata_props}
    assert properties['input_dtype'] == 'uint8'
    assert np.allclose(json.loads(properties['input_mean']), [123.675, 116.28, 103.53])


def test_int8_report(made, int8):
    report = int8.report
    assert report['accepted'] and report['top1_acc_float'] == report['top1_acc_int8'] == 1
    assert report['top1_drop'] == 0 and report['top1_agreement'] == 1 and report['p_value'] == 1
    assert report['proves_nothing'].startswith('12 videos are too few') and '598' in report['proves_nothing']
    assert report['num_videos'] == report['num_test_videos'] == report['calibration_videos'] == 3 * CLASSES
    assert report['bytes'] == int8.path.stat().st_size < made.sim.stat().st_size / 2
    assert not list(made.folder.glob('*.part*'))


def test_int8_runs_in_both_engines_at_any_batch(made, int8):
    batch = samples(made, 'float32', 3)
    expected = infer(made.sim, batch)
    result = infer(int8.path, batch)
    assert_alike(result, expected, 0.3)
    assert_alike(infer(int8.path, batch, 'openvino', 'int8'), result)
    assert np.abs(infer(int8.path, batch[2:]) - result[6:]).max() < CLOSE


def test_int8_model_holds_bytes(int8):
    graph = onnx.load(str(int8.path)).graph
    made_by = {name: n for n in graph.node for name in n.output}
    convolutions = [n for n in graph.node if n.op_type == 'Conv']
    assert len(convolutions) == 40
    assert {made_by[n.input[1]].op_type for n in convolutions} == {'DequantizeLinear'}
    for node in (made_by[n.input[0]] for n in convolutions):
        while node.op_type in ('MaxPool', 'Reshape'):  # which pass bytes through as they are
            node = made_by[node.input[0]]
        assert node.op_type == 'DequantizeLinear'
    assert graph.input[0].name == '0' and len(graph.input) == 1


def test_uint8_input_for_an_int8_model(made, int8, optimize, tmp_path):
    assert optimize('--uint8_input', '--output', tmp_path / 'both.onnx', model=int8.path)[0] == 0
    result = infer(tmp_path / 'both.onnx', samples(made, 'uint8'))
    assert_alike(result, infer(int8.path, samples(made, 'float32')))


def test_both_at_once(made, int8, optimize, tmp_path):
    status, out, _ = optimize('--uint8_input', '--int8', '--calibration_videos', 2, '--eval_videos', 3,
                              '--allow_unproven', '--output', tmp_path / 'both.onnx', apart=True)
    report = json.loads(out)
    assert status == 0 and report['input_dtype'] == 'uint8'
    assert (report['calibration_videos'], report['num_videos'], report['num_test_videos']) == (2, 3, 12)
    assert [f.name for f in tmp_path.iterdir()] == ['both.onnx']
    batch = samples(made, 'uint8')
    assert_alike(infer(tmp_path / 'both.onnx', batch), infer(tmp_path / 'both.onnx', batch, 'openvino', 'int8'))


def test_a_model_that_lost_too_much_is_not_left(made, int8, optimize, tmp_path):
    """Calibrated on a black clip, the ranges of all activations are wrong."""
    (made.folder / 'black').mkdir()
    for i in range(8):
        cv2.imwrite(str(made.folder / 'black' / f'img_{i + 1:05}.jpg'), np.zeros((240, 320, 3), np.uint8))
    (made.folder / 'black.txt').write_text('black 8 0\n')
    status, out, err = optimize('--int8', '--output', tmp_path / 'm.onnx', '--allow_unproven',
                                '--cfg-options', f'data.train.ann_file={made.folder}/black.txt', apart=True)
    report = json.loads(out)
    assert status == 1 and report['top1_drop'] > 0.005 and not report['accepted']
    assert 'm.onnx: not written: top-1 fell from 1.0000' in err
    assert not list(tmp_path.iterdir())


@needs_nncf
def test_a_gate_that_proves_nothing_refuses(made, optimize, tmp_path):
    """Too few videos, before any work; and a model that knows nothing, whose top-1 cannot fall."""
    status, out, err = optimize('--int8', '--output', tmp_path / 'm.onnx')
    assert status == 1 and not out and '12 videos are too few for a drop of 0.005' in err and '598' in err
    lines = (made.folder / 'test.txt').read_text().splitlines()
    (made.folder / 'wrong.txt').write_text(''.join(  # each clip with the label of the next class
        f'{line[:-1]}{(int(line[-1]) + 1) % CLASSES}\n' for line in lines))
    wrong = ['--cfg-options', f'data.test.ann_file={made.folder}/wrong.txt']
    status, out, err = optimize('--int8', '--max_drop', 0.3, '--output', tmp_path / 'm.onnx', *wrong, apart=True)
    report = json.loads(out)
    assert status == 1 and report['top1_acc_float'] == report['top1_acc_int8'] == 0 and report['top1_drop'] == 0
    assert 'm.onnx: not written: nothing is proven' in err and 'no better than a guess' in err
    assert not list(tmp_path.iterdir())


@needs_nncf
@pytest.mark.parametrize('lines', [None, 1])
def test_calibration_on_test_videos_is_refused(made, optimize, tmp_path, lines):
    path = made.folder / 'test.txt'
    if lines:  # another list with one of them
        path = tmp_path / 'train.txt'
        path.write_text((made.folder / 'train.txt').read_text() + (made.folder / 'test.txt').read_text().split('\n')[0])
    status, out, err = optimize('--int8', '--output', made.folder / 'm.onnx',
                                '--cfg-options', f'data.train.ann_file={path}')
    assert status == 1 and not out and 'never on test videos' in err and f'{path}: has {lines or 12} videos' in err
    assert not list(made.folder.glob('m.*'))


@pytest.mark.parametrize('flags, expected, status', [
    ([], 'nothing to do', 2),
    (['--uint8_input', '--model', 'no.onnx'], 'no.onnx: no such file', 2),
    (['--uint8_input', '--config', 'no.py'], 'no.py: no such file', 2),
    (['--uint8_input', '--output', 'r2plus1d_sim.onnx'], 'is --model itself', 2),
    (['--uint8_input', '--output', 'r2plus1d.onnx'], 'r2plus1d.onnx: is there, and is no model that', 1),
    (['--uint8_input', '--output', 'link.onnx'], 'r2plus1d.onnx: is there, and is no model that', 1),
    (['--uint8_input', '--cfg-options', 'model.cls_head.num_classes=5'], 'r2plus1d_sim.onnx: has 4 classes', 1),
    (['--uint8_input', '--output', 'no/m.onnx'], 'no/m.onnx: expected a file name', 2),
    (['--int8', '--max_drop', 'nan'], 'nan is not a fraction', 2),
    (['--uint8_input', '--model', 'test.txt'], 'test.txt: not an ONNX model', 1),
    (['--uint8_input', '--config', 'test.txt'], 'test.txt: not a config', 1),
    (['--uint8_input', '--cfg-options', 'data.test.pipeline.4.to_bgr=True'], 'expected one Normalize', 1),
])
def test_errors_are_one_line(made, optimize, flags, expected, status):
    (made.folder / 'link.onnx').symlink_to('r2plus1d.onnx')
    exported = (made.folder / 'r2plus1d.onnx').read_bytes()
    found, out, err = optimize('--output', 'm.onnx', *flags)
    (made.folder / 'link.onnx').unlink()
    assert found == status and not out and (made.folder / 'r2plus1d.onnx').read_bytes() == exported
    assert expected in err.strip().split('\n')[-1] and 'Traceback' not in err
    assert not list(made.folder.glob('m.*')) and not list(made.folder.glob('*.part'))


def test_a_model_with_bytes_as_input_is_named(uint8, optimize, tmp_path):
    _, _, err = optimize('--uint8_input', '--output', tmp_path / 'm.onnx', model=uint8)
    assert 'u.onnx: its input is not float32' in err and not (tmp_path / 'm.onnx').exists()


def test_int8_needs_nncf_and_training_videos(made, optimize, tmp_path, monkeypatch):
    int8 = ['--int8', '--output', tmp_path / 'm.onnx']
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, 'find_spec', lambda name: None)
        status, _, err = optimize(*int8)
    assert status == 1 and 'pip install nncf' in err
    pytest.importorskip('nncf', reason='NNCF is optional: pip install nncf')
    status, _, err = optimize(*int8, '--cfg-options', 'data.train.ann_file=no.txt')
    assert status == 1 and 'no.txt' in err and 'Traceback' not in err
    assert not (tmp_path / 'm.onnx').exists()
