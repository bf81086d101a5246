# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What is imported when. PyTorch and mmaction2 take more than a second, which nobody should wait for without need."""
import importlib.util
import sys

import pytest
from conftest import ROOT, run

SECONDS = 10
SLOW = {'torch', 'mmcv', 'mmaction', 'onnx', 'onnxruntime', 'openvino'}


def modules_after(code):
    """The names of the modules that a new Python has after CODE."""
    done = run(sys.executable, '-c', f'{code}\nimport sys\nprint(*sys.modules)', cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize('script', ['r2plus1d_infer', 'r2plus1d_predict', 'r2plus1d_postprocess'])
def test_scripts_start_without_slow_packages(script):
    assert not modules_after(f'import {script}') & SLOW


@pytest.mark.skipif(not importlib.util.find_spec('openvino'), reason='needs OpenVINO')
def test_a_model_is_loaded_without_other_packages(small):
    modules = modules_after(f'import r2plus1d.engines; r2plus1d.engines.make_engine({str(small.sim)!r}).prepare(1)')
    assert 'openvino' in modules
    assert not modules & (SLOW - {'openvino'})
