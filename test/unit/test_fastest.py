# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""--precision auto: what is taken, what is kept of it, and what is said. No test asserts how long something takes."""
import json
import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run

import r2plus1d.precision
from r2plus1d.precision import Timings

SECONDS = 5
MODEL, KEPT = Path('m.onnx'), Path('m.onnx.speed.json')


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """choose(seconds) is what is taken where these are measured; choose() where nothing may be measured."""
    def choose(seconds=None, names=('f32', 'bf16', 'f16'), engine='OpenVINO 1'):
        monkeypatch.setattr(r2plus1d.precision, 'measure', lambda runs: {name: seconds[name] for name in runs})
        return Timings('m.onnx', engine).fastest(names, lambda name: lambda: None)

    monkeypatch.chdir(tmp_path)
    MODEL.write_bytes(b'a model')
    return choose


@pytest.mark.parametrize('f32, bf16, f16, expected', [
    (1, 1.8, 1.77, 'f32'), (1, 0.5, 0.6, 'bf16'), (1, 0.6, 0.5, 'f16'), (1, 0.99, 0.98, 'f32')])
def test_the_fastest_is_taken_and_said_once_measured(choose, capsys, f32, bf16, f16, expected):
    assert choose({'f32': f32, 'bf16': bf16, 'f16': f16}) == expected
    said = capsys.readouterr().err
    assert f'--precision auto: {expected} (f32 {f32:.3g} s, bf16 {bf16:.3g} s, f16 {f16:.3g} s' in said
    content = KEPT.read_bytes()
    assert choose() == expected and capsys.readouterr().err == said and KEPT.read_bytes() == content


def test_it_is_measured_again_for_what_is_new(choose):
    assert choose(names=['f32']) == 'f32' and not KEPT.exists()  # nothing to choose from
    assert choose({'f32': 1, 'bf16': 2}, names=['f32', 'bf16']) == 'f32'
    assert choose({'f32': 1, 'bf16': 2, 'f16': 0.5}) == 'f16'
    assert choose({'f32': 1, 'bf16': 0.5, 'f16': 2}, engine='OpenVINO 2') == 'bf16'
    assert choose({'f32': 1, 'bf16': 2, 'f16': 2}, engine='OpenVINO 1, another CPU') == 'f32'
    assert choose() == 'f16' and len(json.loads(KEPT.read_text())['seconds']) == 3
    MODEL.write_bytes(b'another model')
    assert choose({'f32': 1, 'bf16': 2, 'f16': 2}) == 'f32' and len(json.loads(KEPT.read_text())['seconds']) == 1


@pytest.mark.parametrize('content', [
    'of the user', '{}', '[]', '{"kind": "another", "version": 1, "seconds": {}}', 'newer', 'link', 'folder'])
def test_a_file_of_its_name_that_is_not_ours_stays(choose, content):
    choose({'f32': 1, 'bf16': 2, 'f16': 2})
    ours = KEPT.read_text()
    KEPT.unlink()
    if content == 'folder':
        KEPT.mkdir()
    else:
        if content == 'link':
            KEPT.symlink_to('target')
        KEPT.write_text({'newer': ours.replace('"version": 1', '"version": 2'), 'link': ours}.get(content, content))
        before = KEPT.read_bytes()
    for best in ('bf16', 'f16'):
        assert choose({'f32': 1, 'bf16': 1, 'f16': 1, best: 0.5}) == best
    assert KEPT.is_dir() or (KEPT.read_bytes() == before and KEPT.is_symlink() == (content == 'link'))


def test_a_folder_that_keeps_nothing(choose, monkeypatch, capsys):
    def refuse(*_):
        raise PermissionError(13, 'Permission denied', str(KEPT))

    monkeypatch.setattr(r2plus1d.precision, 'write_json', refuse)
    assert choose({'f32': 1, 'bf16': 2, 'f16': 0.5}) == 'f16' and not KEPT.exists()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_precision_that_is_asked_for_and_slower_is_said(choose, capsys):
    timings = Timings('m.onnx', 'OpenVINO 1')
    timings.warn_if_slower('bf16')
    assert not capsys.readouterr().err
    choose({'f32': 1, 'bf16': 1.8, 'f16': 0.5})
    capsys.readouterr()
    for name in ('f32', 'f16', 'int8'):
        timings.warn_if_slower(name)
        assert not capsys.readouterr().err
    timings.warn_if_slower('bf16')
    assert 'bf16: takes 1.8 s a batch on this CPU, and f32 takes 1 s' in capsys.readouterr().err


# In a process of its own: pytest's has PyTorch's threads, and forks. The CPU announces what the test says.
MAKE_ENGINE = """
import sys
from r2plus1d.engines import OpenVINO
from r2plus1d.run import InputError
OpenVINO.capabilities = lambda self: sys.argv[3:]
try:
    print(OpenVINO(sys.argv[1], sys.argv[2], 0).precision)
except InputError as e:
    print(e)
"""


@pytest.mark.parametrize('precision, announced, expected', [
    ('auto', ['FP32', 'INT8'], ['f32']),
    ('auto', ['FP32', 'BF16', 'FP16'], ['f32', 'bf16', 'f16']),
    ('f16', ['FP32', 'FP16'], ['f16']),
    ('f16', ['FP32', 'BF16'], ['--precision f16: this CPU has no f16, and OpenVINO would run f32 in its place']),
    ('bf16', ['FP32', 'FP16'], ['--precision bf16: this CPU has no bf16, and OpenVINO would run f32 in its place']),
])
def test_what_the_cpu_announces_is_tried(small, tmp_path, precision, announced, expected):
    pytest.importorskip('openvino')
    os.link(small.sim, tmp_path / 'm.onnx')
    done = run(sys.executable, '-c', MAKE_ENGINE, tmp_path / 'm.onnx', precision, *announced, cwd=ROOT)
    found = done.stdout.strip()
    if precision != 'auto':
        assert found.startswith(expected[0])
        return
    assert found in expected
    path = tmp_path / 'm.onnx.speed.json'
    if len(expected) > 1:
        seconds, = json.loads(path.read_text())['seconds'].values()
        assert list(seconds) == expected
    else:
        assert not path.exists()
