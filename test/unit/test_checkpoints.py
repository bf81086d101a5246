# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints with Python code in them are refused, by one line, and the code does not run. Nor does a wrong one load.

A checkpoint is a pickle, and a pickle can call any function while it is read. DOORS are the commands that read one.
"""
import functools
import os
import pickle

import numpy as np
import pytest
import torch
from conftest import ROOT, start

SECONDS = 35
TOOLS = ROOT / 'mmaction2/tools'


class Code:
    """An object whose pickle makes the file 'ran' when it is read, by a CALL of a function with a text."""

    def __init__(self, *call):
        self.call = call or (os.system, 'touch ran')

    def __reduce__(self):
        return self.call[0], self.call[1:]


BIAS = 'cls_head.fc_cls.bias'
WEIGHTS = {'head.weight': torch.arange(6.0).reshape(2, 3)}
OLD_FORM = functools.partial(torch.save, _use_new_zipfile_serialization=False)
# name: (what is saved, how)
HOSTILE = {
    'code in the place of the checkpoint': (Code(), torch.save),
    'code in meta': ({'state_dict': WEIGHTS, 'meta': {'epoch': Code()}}, torch.save),
    'code among the weights': ({'state_dict': {'head.weight': Code()}}, torch.save),
    'the form before PyTorch 1.6': ({'state_dict': WEIGHTS, 'meta': Code()}, OLD_FORM),
    'a plain pickle': ({'state_dict': Code()}, lambda content, path: path.write_bytes(pickle.dumps(content))),
    'a call of eval': ({'state_dict': Code(eval, 'open("ran", "w")')}, torch.save),
}


@pytest.fixture(params=['weights_only', 'our own'])
def reader(request, monkeypatch):
    """mmcv's reader of checkpoints, as on PyTorch 2.6 and later, and as on older versions."""
    from mmcv.runner import _load_checkpoint, weights_only
    if request.param == 'our own':
        monkeypatch.setattr(weights_only, 'TORCH_IS_SAFE', False)
    else:
        assert weights_only.TORCH_IS_SAFE
    return lambda path: _load_checkpoint(str(path), map_location='cpu', logger='silent')


@pytest.mark.parametrize('kind', HOSTILE)
def test_code_does_not_run(reader, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, write = HOSTILE[kind]
    write(content, tmp_path / 'model.pth')
    with pytest.raises(pickle.UnpicklingError) as error:
        reader('model.pth')
    assert not (tmp_path / 'ran').exists()
    message = str(error.value)
    assert message.startswith('model.pth: not loaded'), message
    assert 'system' in message or 'eval' in message or 'plain pickle' in kind, message
    assert '\n' not in message and 'weights_only' not in message  # PyTorch's advice to load it all the same


@pytest.mark.parametrize('form', [True, False])
def test_what_mmcv_writes_is_read(reader, form, tmp_path):
    """State of a training: weights, optimizer, and a meta with the NumPy float of the best score."""
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    model = torch.nn.BatchNorm1d(3)
    meta = {'epoch': 35, 'time': 'now', 'hook_msgs': {'best_score': np.float64(0.5), 'best_ckpt': 'best.pth'}}
    types = {'half': torch.zeros(2, dtype=torch.float16), 'bf16': torch.ones(2, dtype=torch.bfloat16),
             'count': torch.tensor(3), 'mask': torch.tensor([True])}
    content = {'state_dict': dict(model.state_dict(), weight=weight, **types), 'meta': meta,
               'optimizer': optimizer.state_dict()}
    torch.save(content, tmp_path / 'model.pth', _use_new_zipfile_serialization=form)
    found = reader(tmp_path / 'model.pth')
    assert found['meta'] == meta and found['optimizer']['param_groups'] == content['optimizer']['param_groups']
    torch.testing.assert_close(found['optimizer']['state'], content['optimizer']['state'], rtol=0, atol=0)
    torch.testing.assert_close(found['state_dict'], content['state_dict'], rtol=0, atol=0)


def test_code_behind_an_address_does_not_run(reader, tmp_path, monkeypatch):
    """PyTorch loads what it has downloaded by itself."""
    monkeypatch.setattr('torch.hub.get_dir', lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'checkpoints').mkdir()
    torch.save(Code(), tmp_path / 'checkpoints/model.pth')
    with pytest.raises(pickle.UnpicklingError, match='system'):
        reader('https://localhost/model.pth')
    assert not (tmp_path / 'ran').exists()


OTHER_FILES = {
    'empty': (b'', 'is empty'),
    'LFS': (b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n', 'git lfs pull'),
    'HTML': (b'\n<!DOCTYPE html>\n<html><head>', 'HTML page'),
    'XML': (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', 'HTML page'),
}


@pytest.mark.parametrize('content, words', OTHER_FILES.values(), ids=OTHER_FILES)
def test_other_files_are_named(reader, content, words, tmp_path):
    (tmp_path / 'model.pth').write_bytes(content)
    with pytest.raises(ValueError, match=words):
        reader(tmp_path / 'model.pth')


# Each door: a command, with {} in the place of the checkpoint
DOORS = {
    'export': [TOOLS / 'deployment/pytorch2onnx.py', 'config.py', '{}', '--output-file=x.onnx'],
    'test': [TOOLS / 'test.py', 'config.py', '{}', '--eval', 'top_k_accuracy', '--cfg-options', 'gpu_ids=[0]'],
    'train from': [TOOLS / 'train.py', 'config.py', '--cfg-options', 'load_from={}', 'gpu_ids=[0]'],
    'resume': [TOOLS / 'train.py', 'config.py', '--resume-from', '{}', '--cfg-options', 'gpu_ids=[0]'],
    'publish': [TOOLS / 'deployment/publish_model.py', '{}', 'published.pth'],
    'compare': [ROOT / 'r2plus1d_compare.py', '--config', 'config.py', '--checkpoint', '{}', '--models', 'm.onnx'],
}


@pytest.fixture
def folder(dataset, small, tmp_path):
    """The data set, the small model's config and its ONNX file."""
    (tmp_path / 'data').symlink_to(dataset / 'data')
    (tmp_path / 'config.py').write_text(small.config.read_text())
    (tmp_path / 'm.onnx').symlink_to(small.sim)
    return tmp_path


def open_door(folder, door, *options, check=False):
    return start(*(str(word).replace('{}', 'model.pth') for word in DOORS[door]), *options, cwd=folder, check=check)


# what is saved in the place of a checkpoint with these weights
SPOILED = {
    'code': lambda state: {'state_dict': WEIGHTS, 'meta': Code()},
    'other classes': lambda state: {'state_dict': {name: value[:7] if name.startswith('cls_head') else value
                                                   for name, value in state.items()}},
    'not a number': lambda state: {'state_dict': {**state, BIAS: state[BIAS] * np.nan}},
}


@pytest.mark.parametrize('content, door, words', [
    *(('code', door, ['system']) for door in DOORS),
    # It was loaded as far as it fits, and the rest of the model had random weights.
    *(('other classes', door, ['size mismatch']) for door in ('test', 'export', 'compare')),
    *(('HTML', door, ['HTML page', 'download the file itself']) for door in ('export', 'compare', 'train from')),
    ('not a number', 'compare', ['its weight ', 'holds values that are not finite'])])
def test_each_command_refuses_it(folder, small, content, door, words):
    if content == 'HTML':
        (folder / 'model.pth').write_bytes(OTHER_FILES['HTML'][0])
    else:
        state = torch.load(small.checkpoint, weights_only=True)['state_dict']
        torch.save(SPOILED[content](state), folder / 'model.pth')
    done = open_door(folder, door)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    assert all(text in done.stderr.strip().splitlines()[-1] for text in ('model.pth: ', *words)), done.stderr
    assert {path.name for path in folder.iterdir()} <= {'config.py', 'data', 'm.onnx', 'model.pth', 'work_dirs'}
    assert 'top1_acc' not in done.stdout


def of_mmaction2_1(state, mean):
    values = {'mean': mean, 'std': [58.395, 57.12, 57.375]}
    return {**state, **{f'data_preprocessor.{name}': torch.tensor(numbers).view(3, 1, 1, 1)
                        for name, numbers in values.items()}}


def test_keys_that_are_no_weights(small, tmp_path, capsys):
    """Those of mmcv's EMAHook and of mmaction2 1.x: the weights beside them are loaded, all of them."""
    import mmcv
    from mmaction.models import build_model
    from mmcv.runner import load_checkpoint
    state = torch.load(small.checkpoint, weights_only=True)['state_dict']
    ema = {'ema_' + name.replace('.', '_'): value + 1 for name, value in state.items()}
    model = build_model(mmcv.Config.fromfile(str(small.config)).model)
    for content in ({**state, **ema}, of_mmaction2_1(state, [123.675, 116.28, 103.53])):
        torch.save({'state_dict': content}, tmp_path / 'model.pth')
        load_checkpoint(model, str(tmp_path / 'model.pth'), strict=True)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert f'{len(content) - len(state)} values of the checkpoint' in capsys.readouterr().err
    for content, words in (({**state, 'ema_of_another': torch.zeros(1)}, 'ema_of_another'),
                           (of_mmaction2_1(state, [127.5] * 3), r'mean \[127.5, 127.5, 127.5\].*Normalize')):
        torch.save({'state_dict': content}, tmp_path / 'model.pth')
        with pytest.raises((RuntimeError, ValueError), match=words):
            load_checkpoint(model, str(tmp_path / 'model.pth'), strict=True)


def test_training_is_resumed(folder, small):
    """From a checkpoint with the state of the optimizer and what mmcv notes in meta; nothing is left to train then."""
    import mmcv
    from mmaction.models import build_model
    from mmcv.runner import build_optimizer, save_checkpoint
    cfg = mmcv.Config.fromfile(folder / 'config.py')
    model = build_model(cfg.model)
    meta = {'epoch': 1, 'iter': 3, 'hook_msgs': {'best_score': np.float64(0.5)}}
    save_checkpoint(model, str(folder / 'model.pth'), build_optimizer(model, cfg.optimizer), meta)
    assert 'resumed epoch 1, iter 3' in open_door(folder, 'resume', 'total_epochs=1', check=True).stderr
