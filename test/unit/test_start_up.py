# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""How scripts start and end: in a wrong environment, with an output that is closed or full; and what they import when.

PyTorch and mmaction2 take more than a second, which nobody should wait for without need.
"""
import importlib.util
import sys

import pytest
from conftest import CONFIG, ROOT, fails, run
from test_outputs import infer

SECONDS = 10
SLOW = {'torch', 'mmcv', 'mmaction', 'onnx', 'onnxruntime', 'openvino'}
SCRIPTS = sorted(path.name for path in ROOT.glob('r2plus1d_*.py')
                 if '\n@script_main\n' in path.read_text(encoding='utf-8'))
# an mmcv that stands before ours, and what is said of it
MMCVS = {'missing': ('raise ModuleNotFoundError("No module named \'mmcv\'", name="mmcv")', 'has no package mmcv'),
         'version 2, or mmcv-lite': ('__version__ = "2.1.0"', 'mmcv 2.1.0, where mmaction2 0.x needs 1.x'),
         'does not load': ('raise ImportError("libGL.so.1: cannot open")', 'cannot import what the scripts need')}
PRINTS = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from r2plus1d.run import make_parser, script_main

@script_main
def main():
    make_parser(__doc__)
    print(chr(0x4e2d))

main()
"""


@pytest.mark.parametrize('script', SCRIPTS)
def test_outside_the_environment(script, tmp_path):
    """A Python without the packages, which -S makes of this one, is told where the environment is."""
    done = run(sys.executable, '-S', ROOT / script, '--help', cwd=tmp_path, check=False)
    fails(done, 1, script, sys.executable, 'has no package', ROOT)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('content, words', MMCVS.values(), ids=MMCVS)
@pytest.mark.parametrize('script', ['r2plus1d_preprocess.py --output_path=bins --config', 'test/sample_shape.py'])
def test_a_wrong_environment_is_no_fault_of_the_config(tmp_path, script, content, words):
    (tmp_path / 'mmcv.py').write_text(content)
    name, *options = script.split()
    done = run(sys.executable, ROOT / name, *options, CONFIG, cwd=tmp_path, check=False,
               env={'PYTHONPATH': str(tmp_path)})
    fails(done, 1, sys.executable, words)
    assert CONFIG.name not in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('command, stdout, words', [
    ('{} >&-', '', 'standard output is closed'), ('{} >/dev/full', '', 'No space left on device'),
    ('mkdir gone; cd gone; rmdir ../gone; {}', '', 'is gone'),
    ('PYTHONOPTIMIZE=2 PYTHONIOENCODING=ascii {}', '\\u4e2d\n', ''), ('{}', '\u4e2d\n', '')])
def test_ends_that_are_one_line(tmp_path, command, stdout, words):
    """Standard output that is closed, full, or does not have a letter; a folder that is gone; no docstrings."""
    (tmp_path / 'prints.py').write_text(PRINTS)
    done = run('bash', '-c', command.format(f'{sys.executable} {tmp_path}/prints.py'), cwd=tmp_path, check=False,
               env={'PYTHONUTF8': '1'})
    assert done.stdout == stdout and words in done.stderr
    assert done.returncode == (1 if words else 0) and len(done.stderr.splitlines()) == (1 if words else 0)


def modules_after(code):
    """The names of the modules that a new Python has after CODE. A script's main() may have printed before."""
    done = run(sys.executable, '-c', f'import sys\n{code}\nprint()\nprint(*sys.modules)', cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize('script', ['r2plus1d_infer', 'r2plus1d_predict'])
def test_scripts_start_without_slow_packages(script):
    assert not modules_after(f'import {script}') & SLOW


def test_postprocess_needs_no_slow_packages(tmp_path):
    """To import them would take longer than all else that it does."""
    infer(tmp_path, 'run')
    modules = modules_after(f'sys.argv[1:] = ["--result_path", {str(tmp_path)!r}]\n'
                            'import r2plus1d_postprocess\nr2plus1d_postprocess.main()')
    assert 'numpy' in modules and not modules & SLOW


@pytest.mark.skipif(not importlib.util.find_spec('openvino'), reason='needs OpenVINO')
def test_a_model_is_loaded_without_other_packages(small):
    modules = modules_after(f'import r2plus1d.engines; r2plus1d.engines.make_engine({str(small.sim)!r}).prepare(1)')
    assert 'openvino' in modules
    assert not modules & (SLOW - {'openvino'})
