# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What all shell scripts have in common, and what set-up and the demo do to the folders that they are given."""
import os
import pathlib
import re
import shutil
import sys

import pytest
from conftest import ROOT, run

SECONDS = 20

SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob('*.sh'), *ROOT.glob('*/*.sh')]
                 if path.read_text(encoding='utf-8').startswith('#!'))
MADE_BY_DEMO = ['data/ucf101/videos/a.avi', 'r2plus1d.onnx', 'result_bs1.json', 'dataset.done', 'dataset.log',
                'report/index.html']


@pytest.fixture
def copy(tmp_path):
    """The shell scripts, in a folder of their own; its set-up ends at once, with status 7."""
    folder = tmp_path / 'copy'
    for name in ('benchmarks', 'cluster', 'demo', 'test'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '*.pth'))
    (folder / 'setup.sh').write_text('exit 7\n')
    return folder


def shell(folder, script, *arguments, **environment):
    environment = {'VIRTUAL_ENV': '', 'CONDA_PREFIX': '', **environment}
    return run('bash', script, *arguments, cwd=folder, env=environment, check=False)


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


def write_files(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('x')


# ---- options ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('script', SCRIPTS)
def test_help_and_slips(copy, script):
    """Help with an example; an unknown option is refused; and both before anything is made."""
    if script == 'setup.sh':
        shutil.copy(ROOT / script, copy)
    before = list_files(copy)
    for option in ('-h', '--help'):
        done = shell(copy, script, option)
        assert done.returncode == 0 and f'bash {script}' in done.stdout and not done.stderr
    if script != 'test/atc.sh':  # whose options are ATC's
        done = shell(copy, script, '--no_such_thing', '1')
        assert done.returncode == 2 and '--no_such_thing: unknown' in done.stderr and '--help' in done.stderr
        assert 'Did you mean' not in done.stderr and done.stderr.count('\n') == 1
    assert list_files(copy) == before


@pytest.mark.parametrize('script, slip, meant', [
    ('test/pth2om.sh', '--batch_size', '--batch_sizes'),
    ('test/eval_acc_perf.sh', '--batchsizes=1', '--batch_sizes'),
    ('test/eval_acc_perf.sh', '--work-dir', '--work_dir'),
    ('test/offline_inference_testcase.sh', '--checkpiont', '--checkpoint'),
    ('test/pth2om.sh', '--soc', '--soc_version'),
    ('demo/run.sh', '--claen', '--clean'),
    ('demo/run.sh', '-clean', '--clean'),
    ('setup.sh', '--halp', '--help'),
])
def test_the_nearest_option_is_suggested(copy, script, slip, meant):
    shutil.copy(ROOT / 'setup.sh', copy)
    done = shell(copy, script, slip)
    assert done.returncode == 2 and f'Did you mean {meant}?' in done.stderr


def test_run_tests_takes_its_own_options_and_files(copy):
    assert shell(copy, 'test/run_tests.sh', '--maxfail', '1').returncode == 2
    done = shell(copy, 'test/run_tests.sh', 'test/unit/test_demos.py')
    assert done.returncode == 2 and 'test/unit/test_demos.py: no such file' in done.stderr
    for arguments in (['-k', 'readme', '-x'], ['test/unit/test_demo.py::test_full_size_graph'],
                      ['--', '--maxfail', '1']):
        assert shell(copy, 'test/run_tests.sh', *arguments).returncode == 7  # as far as set-up


# ---- folders that the demo and its training are given ----------------------------------------------


@pytest.mark.parametrize('script, option', [('demo/run.sh', '--clean'), ('demo/run.sh', None), ('demo/train.sh', None)])
@pytest.mark.parametrize('folder', ['keep', '.', 'keep/../keep'])
def test_a_folder_of_the_user_is_left_alone(copy, script, option, folder):
    write_files(copy / 'keep', ['notes.txt', *MADE_BY_DEMO])
    before = list_files(copy)
    done = shell(copy, script, *([option] if option else []), folder)
    assert done.returncode == 2 and 'this script has not made them' in done.stderr
    assert list_files(copy) == before


def test_clean_deletes_what_the_demo_has_made(copy):
    assert shell(copy, 'demo/run.sh', 'work').returncode == 7  # the folder is made, then set-up ends
    write_files(copy / 'work', ['notes.txt', *MADE_BY_DEMO])
    assert shell(copy, 'demo/run.sh', 'work').returncode == 7
    assert (copy / 'work/report/index.html').exists()
    assert shell(copy, 'demo/run.sh', '--clean', 'work').returncode == 7
    assert list_files(copy / 'work') == ['.r2plus1d_demo', 'notes.txt']


STEPS = """set -euo pipefail
{functions}
root=$PWD environment=$1 count=0 steps=2
once first "say one" "" code.txt "one*.txt" cp code.txt one.txt
once second "say two" first "" two.txt make_two
"""


def test_a_step_is_done_again_when_something_has_changed(tmp_path):
    """The functions that run a step, as demo/run.sh has them: code, environment, products and earlier steps count."""
    text = (ROOT / 'demo/run.sh').read_text(encoding='utf-8')
    functions = '\n'.join(re.search(rf'^{name}\(\) {{\n.*?^}}\n', text, re.M | re.S)[0]
                          for name in ('describe_step', 'is_done', 'once'))
    work = tmp_path / 'work'
    work.mkdir()

    def go(environment='torch 2', two='cat one.txt >two.txt'):
        helpers = f'. "{ROOT}/test/shell.sh"\nwork=$PWD\nfail() {{ exit 1; }}\nmake_two() {{ {two}; }}\n'
        done = run('bash', '-c', STEPS.format(functions=helpers + functions), 'steps', environment, cwd=work)
        return [int(number) for number in re.findall(r'(\d) of 2: ', done.stdout)]

    (work / 'code.txt').write_text('1')
    assert go() == [1, 2] and go() == []
    (work / 'code.txt').write_text('2')
    assert go() == [1, 2] and go() == [] and (work / 'two.txt').read_text() == '2'
    assert go(environment='torch 3') == [1, 2]
    (work / 'two.txt').unlink()
    assert go(environment='torch 3') == [2]
    (work / 'one.txt').unlink()
    (work / 'one_b.txt').write_text('of an older run')
    assert go(environment='torch 3') == []  # one*.txt is there
    assert go(environment='torch 3', two='echo >two.txt') == [2]


# ---- set-up ----------------------------------------------------------------------------------------


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\n' + text)
    path.chmod(0o755)


@pytest.fixture
def setup(tmp_path):
    """setup.sh in a folder of its own, with pip that finds nothing: it ends where it would install packages."""
    folder = tmp_path / 'setup'
    (folder / 'test').mkdir(parents=True)
    for name in ('setup.sh', 'requirements.txt', 'constraints.txt', 'test/shell.sh'):
        shutil.copy(ROOT / name, folder / name)

    def go(**environment):
        return shell(folder, 'setup.sh', PIP_NO_INDEX='1', PIP_FIND_LINKS='', **environment)
    return folder, go


def test_the_python_is_checked_before_a_venv_is_made(setup):
    folder, go = setup
    write_program(folder / 'old', 'if [ "$1" = --version ]; then echo Python 3.7.17; else exit 1; fi\n')
    before = list_files(folder)
    done = go(PYTHON='./old')
    assert done.returncode == 1 and 'Python 3.7.17' in done.stderr and 'PYTHON=python3.11' in done.stderr
    assert list_files(folder) == before
    assert 'no python9' in go(PYTHON='python9').stderr
    assert list_files(folder) == before


@pytest.mark.parametrize('kept', [True, False])
def test_a_venv_of_another_python_is_made_anew(setup, kept):
    """A .venv of a Python that is good enough is kept, unless another one is asked for."""
    folder, go = setup
    version = '.'.join(map(str, sys.version_info[:3]))
    other = ('case "$*" in\n*pip\\ --version*) ;;\n*sys.version\\)) echo "3.9.1 (other)" ;;\n'
             '*version_info\\ \\<*) ;;\n*) exit 5 ;;\nesac\n')
    write_program(folder / '.venv/bin/python', other)
    done = go() if kept else go(PYTHON=sys.executable)
    assert done.returncode != 0  # no package to be had, or not a Python
    made_anew = f'making .venv with Python {version}; it was made with Python 3.9.1' in done.stdout
    assert made_anew is not kept
    config = folder / '.venv/pyvenv.cfg'
    assert config.exists() is not kept
    if not kept:
        assert version in config.read_text() and 'pip could not install the packages' in done.stderr


def test_a_patch_for_one_version_leaves_others_out(tmp_path):
    text = (ROOT / 'setup.sh').read_text(encoding='utf-8')
    function = text[text.index('is_for() {'):text.index('\n}\n', text.index('is_for() {')) + 3]
    (tmp_path / 'mmcv').mkdir()

    def is_for(version, patch):
        (tmp_path / 'mmcv/version.py').write_text(f"__version__ = '{version}'\n")
        return run('bash', '-c', f'{function}is_for . "$0"', patch, cwd=tmp_path, check=False).returncode == 0

    patches = ROOT / 'patches/mmcv'
    notice, = patches.glob('*-no-notice-of-mmcv-2.patch')
    for_all, = patches.glob('*-set-up-without-torch.patch')
    assert is_for('1.7.2', notice) and not is_for('1.3.6', notice)
    assert is_for('1.7.2', for_all) and is_for('1.3.6', for_all)


def test_pip_gets_a_source_on_python_3_13_and_later(tmp_path):
    """What set-up puts before pip there: the setup.py of a package that looks for what exec() defined in locals()."""
    newer = find_pythons('3.13') + find_pythons('3.14')
    if not newer:
        pytest.skip('no Python 3.13 or later on this machine')
    text = (ROOT / 'setup.sh').read_text(encoding='utf-8')
    shim = re.search(r"sitecustomize.py\" <<'EOF'\n(.*?)^EOF$", text, re.M | re.S)[1]
    (tmp_path / 'sitecustomize.py').write_text(shim)
    (tmp_path / 'setup.py').write_text("def get_version():\n    exec('version = 7')\n    return locals()['version']\n"
                                       "print(get_version())\n")
    for python in newer:
        assert 'KeyError' in run(python, '-I', tmp_path / 'setup.py', check=False).stderr
        assert run(python, tmp_path / 'setup.py', env={'PYTHONPATH': str(tmp_path)}).stdout == '7\n'


def find_pythons(version):
    """The Pythons of this version on the path, and those of pyenv, which need not be on the path."""
    pyenv = pathlib.Path(os.environ.get('PYENV_ROOT', pathlib.Path.home() / '.pyenv'))
    paths = [*pyenv.glob(f'versions/{version}.*/bin/python'), shutil.which(f'python{version}')]
    return [path for path in paths if path and run(path, '-c', '', check=False).returncode == 0]


# ---- warnings --------------------------------------------------------------------------------------


def test_the_imports_of_mmcv_and_mmaction2_warn_of_nothing_that_set_up_has_done():
    code = 'import mmcv, mmcv.cnn, mmcv.cnn.bricks.transformer, mmaction.apis, mmaction.datasets'
    done = run(sys.executable, '-W', 'always', '-c', code, cwd='/')
    assert 'MMCV will release' not in done.stderr and 'mmcv-full' not in done.stderr


def test_videos_are_counted_from_one(tmp_path, capsys):
    from tools.data.parse_file_list import parse_directory
    for name in 'abc':
        (tmp_path / name).mkdir()
    parse_directory(str(tmp_path), level=1)
    lines = capsys.readouterr().out.splitlines()
    assert '3 of 3 videos parsed' in lines and not [line for line in lines if line.startswith('0 ')]


# ---- a fresh machine -------------------------------------------------------------------------------


def test_fresh_debian_is_for_root_and_shares_only_folders_that_exist(copy):
    done = shell(copy, 'test/fresh_debian.sh', '--share', '/no/such/folder')
    assert done.returncode == 2
    assert re.search('/no/such/folder: no such folder|only root|no debootstrap', done.stderr)


def test_commands_of_the_readme_need_only_what_it_names():
    """The first word of each command is of the shell, of Debian's essential packages or of Python, or is in a table."""
    base = {'bash', 'cd', 'mkdir', 'mv', 'source', 'head', 'python', 'python3', 'chip_name=310P3'}
    for name in ('README.md', 'README.en.md'):
        text = (ROOT / name).read_text(encoding='utf-8')
        blocks = re.findall(r'^ *```bash\n(.*?)^ *```', text, re.M | re.S)
        words = {line.split()[0] for block in blocks for line in block.splitlines() if line.strip()}
        table = '\n'.join(line for line in text.splitlines() if line.startswith('| '))
        missing = {word for word in words - base if word not in table}
        assert missing <= {'npu-smi'}, name  # which comes with an NPU's driver
