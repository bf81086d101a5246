# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""test/pth2om.sh and test/atc.sh on an NPU server of stand-ins: Python, chip, set_env.sh, .om files, AMCT, AOE, errors.

The server has an active environment with a NumPy that CANN cannot use, a system Python that CANN was installed for, and
the toolkit where its installer puts it (stand_ins/cann.py). The model is one Relu. The export is a stub, except in
test_chain.py and test_readme.py.
"""
import json
import os
import platform
import re
import signal
import stat
import subprocess
import sys
import time

import cann_python
import numpy as np
import onnx
import pytest
from conftest import ROOT, STAND_INS
from onnx import TensorProto, helper

sys.path.append(str(STAND_INS))
from cann import make_cann, make_python

SECONDS = 30
SHAPE = '1 1 1 4 4'
TOOLKIT = 'usr/local/Ascend/ascend-toolkit'
# Stands for `python` in the steps before ATC: the "export" copies $STUB_ONNX after $STUB_SECONDS.
PYTHON_STUB = """#!/usr/bin/env bash
case "$*" in
*pytorch2onnx.py*)
    sleep "${STUB_SECONDS:-0}"
    [[ $* =~ --output-file=([^ ]*) ]] && cp "$STUB_ONNX" "${BASH_REMATCH[1]}"
    ;;
*"-m onnxsim"*) cp "${@: -2:1}" "${@: -1}" ;;
esac
"""


def save_model(path, opset=11, name='0', op_type='Relu', value=1, external=False):
    """An ONNX file with one input of batch x 1 x 1 x 1 x 4 x 4; VALUE makes two of them differ."""
    shape = ['N', 1, 1, 1, 4, 4]
    weight = helper.make_tensor('weight', TensorProto.FLOAT, [1], [value])
    if external:
        weight.data_location = TensorProto.EXTERNAL
    graph = helper.make_graph(
        [helper.make_node(op_type, [name], ['x']), helper.make_node('Add', ['x', 'weight'], ['scores'])], 'graph',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, shape)], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8), path)
    return path


class Server:
    """An NPU server below a folder, and commands on it."""

    def __init__(self, folder):
        self.folder, self.root, self.home = folder, folder / 'root', folder / 'home'
        self.work, self.programs, self.system = folder / 'work', folder / 'programs', folder / 'system'
        for path in (self.home, self.work, self.programs):
            path.mkdir()
        for program in ('npu-smi', 'amct_onnx'):
            (self.programs / program).symlink_to(STAND_INS / program)
        self.model = save_model(folder / 'model.onnx')

    def environment(self, **variables):
        foreign = ('ASCEND', 'STAND_IN', 'CANN', 'CONDA', 'PYTHON', 'VIRTUAL_ENV', 'LD_LIBRARY_PATH')
        clean = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        path = [self.programs, f'{sys.prefix}/bin', self.system / 'bin', '/usr/bin', '/bin']
        server = dict(PATH=':'.join(map(str, path)), HOME=str(self.home), VIRTUAL_ENV=sys.prefix,
                      CANN_SYSTEM_ROOT=str(self.root), NPU_SECONDS='1')
        return {**clean, **server, **variables}

    def run(self, *command, cwd=None, **variables):
        return subprocess.run([str(c) for c in command], cwd=cwd or self.folder, text=True, capture_output=True,
                              env=self.environment(**variables), timeout=60)

    def convert(self, *options, **variables):
        """pth2om.sh --model for batch size 1."""
        return self.run('bash', ROOT / 'test/pth2om.sh', *self.arguments(*options), **variables)

    def arguments(self, *options):
        return ['--model', self.model, '--shape', SHAPE, '--work_dir', self.work, '--batch_sizes', '1', *options]

    def start_export(self, **variables):
        """pth2om.sh --checkpoint with the stub of the export, in a process group of its own."""
        stub = self.programs / 'python'
        stub.write_text(PYTHON_STUB)
        stub.chmod(0o755)
        (self.folder / 'any').touch()
        return subprocess.Popen(
            ['bash', ROOT / 'test/pth2om.sh', '--config', 'any', '--checkpoint', 'any', *self.arguments()[2:]],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env=self.environment(STUB_ONNX=str(self.model), **variables))

    def om(self, name='r2plus1d_bs1'):
        return json.loads((self.work / f'{name}.om').read_text())

    def files(self):
        return sorted(path.name for path in self.work.iterdir())


@pytest.fixture
def bare(tmp_path):
    """A server without CANN and without its Python."""
    return Server(tmp_path)


@pytest.fixture
def server(bare):
    make_cann(bare.root)
    make_python(bare.system)
    return bare


def succeeded(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith('success\n')
    return done


def failed(done, *words, status=1):
    """It ended with STATUS, no traceback, and all WORDS in one line of its messages."""
    assert done.returncode == status, done.stdout + done.stderr
    assert 'Traceback (most recent call last):\n  File' not in done.stderr
    assert any(all(word in line for word in words) for line in done.stderr.splitlines()), done.stderr
    if status == 1:
        assert done.stderr.endswith('fail!\n') and done.stdout.splitlines()[-1:] != ['success']


# ---- Python ------------------------------------------------------------------------------------------

def test_the_stand_in_fails_in_the_active_environment(server):
    """The fault that atc.sh is for: the same command without it."""
    command = ['atc', '--framework=5', f'--model={server.model}', '--output=m', '--input_shape=0:1,1,1,1,4,4',
               '--soc_version=Ascend310P3']
    script = f'. {server.root}/{TOOLKIT}/set_env.sh && "$@"'
    done = server.run('bash', '-c', script, 'bash', *command)
    assert done.returncode == 255 and 'E40020' in done.stdout
    assert server.run('bash', ROOT / 'test/atc.sh', *command[1:]).returncode == 0
    assert json.loads((server.folder / 'm.om').read_text())['shape'] == [1, 1, 1, 1, 4, 4]
    done = server.run('bash', '-c', script, 'bash', 'bash', ROOT / 'test/atc.sh', *command[1:])
    assert done.returncode == 0 and f'ATC of CANN 8.0.0 will use Python {platform.python_version()}' in done.stdout


def test_atc_runs_in_the_system_python(server):
    done = succeeded(server.convert())
    assert re.search(rf'will use Python \S+ \({server.system}/bin/python3\) has the packages of CANN', done.stdout)
    assert server.om()['shape'] == [1, 1, 1, 1, 4, 4]


def test_atc_runs_in_the_environment_if_cann_was_installed_for_it(bare):
    make_cann(bare.root)
    environment = make_python(bare.folder / 'environment')
    done = succeeded(bare.convert(PATH=f'{environment}:{bare.programs}:/usr/bin:/bin',
                                  VIRTUAL_ENV=str(environment.parent)))
    assert f'{environment}/python3' in done.stdout


def test_the_environment_is_the_last_choice(server):
    environment = make_python(server.folder / 'environment')
    done = succeeded(server.convert(PATH=f'{environment}:{server.environment()["PATH"]}',
                                    VIRTUAL_ENV=str(environment.parent)))
    assert f'({server.system}/bin/python3)' in done.stdout


@pytest.mark.parametrize('version, numpy, without, word', [
    ('8.0.RC2', '2.0.0', (), 'numpy<=1.24 (it has 2.0.0)'),
    ('8.5.0', '2.1.0', (), 'numpy<2 (it has 2.1.0)'),
    ('7.0.0', '2.1.0', (), 'numpy<2 (it has 2.1.0)'),
    ('8.0.0', '1.24.4', ['numpy'], 'lacks numpy'),
])
def test_a_python_that_cannot_do_stops_it(bare, version, numpy, without, word):
    make_cann(bare.root, version=version)
    python = make_python(bare.system, numpy, without)
    path = f'{bare.programs}:{python}:/usr/bin:/bin'
    failed(bare.convert(PATH=path), f'CANN {version} cannot use Python', word, 'CANN_PYTHON=')
    assert bare.files() == []
    # Named by the user, it is tried.
    done = bare.convert(PATH=path, CANN_PYTHON=str(python / 'python3'))
    assert word in done.stdout and 'E40020' in done.stdout


@pytest.mark.parametrize('version, numpy', [('8.0.0', '1.24.4'), ('8.5.0', '1.26.4'), ('9.1.0', '2.4.0'),
                                            ('6.0.1', '1.23.5')])
def test_a_python_within_the_bounds(bare, version, numpy):
    make_cann(bare.root, version=version)
    make_python(bare.system, numpy)
    assert f'CANN {version} will use' in succeeded(bare.convert()).stdout


def test_a_numpy_above_the_limit_of_the_guide(bare):
    """It is tried, because NumPy 1.26 has what 1.24 has. A Python within the limit is taken rather, wherever it is."""
    make_cann(bare.root, version='8.2.RC1')
    first = make_python(bare.folder / 'first', '1.26.4')
    path = f'{bare.programs}:{first}:{bare.system}/bin:/usr/bin:/bin'
    done = bare.convert(PATH=path)
    assert 'warning' in done.stdout and 'lacks numpy<=1.24 (it has 1.26.4)' in done.stdout and 'E40020' in done.stdout
    make_python(bare.system)
    assert f'will use Python {platform.python_version()} ({bare.system}' in succeeded(bare.convert(PATH=path)).stdout


def test_a_package_is_missing(bare):
    make_cann(bare.root)
    make_python(bare.system, without=['decorator', 'absl'])
    done = bare.convert()
    warning, = [line for line in done.stdout.splitlines() if 'warning' in line]
    assert 'lacks decorator, absl-py' in warning and 'CANN_PYTHON=' in warning
    failed(done, 'E40020', 'operator compiler')


@pytest.mark.parametrize('version, word', [('8.5.0', 'lacks protobuf==3.20.* (it has 4.25.3)'),
                                           ('9.1.0', 'has the packages of CANN')])
def test_a_protobuf_above_the_limit_of_the_guide(bare, version, word):
    make_cann(bare.root, version=version)
    make_python(bare.system, protobuf='4.25.3')
    assert word in succeeded(bare.convert()).stdout


def test_a_python_is_named(bare):
    """One that is not called python3, beside a python3 without packages."""
    make_cann(bare.root)
    named = bare.folder / 'python3.9'
    named.write_text(f'#!/bin/sh\nexec {make_python(bare.folder / "named")}/python3 "$@"\n')
    named.chmod(0o755)
    failed(bare.convert(), 'cannot use')
    done = succeeded(bare.convert(CANN_PYTHON=str(named)))
    assert f'({bare.folder}/named/bin/python3) has the packages of CANN' in done.stdout
    failed(bare.convert(CANN_PYTHON='no_python'), 'CANN_PYTHON=no_python: no such program')


def test_no_python_works(bare):
    make_cann(bare.root)
    broken = bare.programs / 'python3'
    broken.write_text('#!/bin/sh\nexit 1\n')
    broken.chmod(0o755)
    failed(bare.convert(CANN_PYTHON=str(broken)), 'ATC of CANN 8.0.0 starts python3', str(broken), 'CANN_PYTHON=')


@pytest.mark.parametrize('folder', ['/opt/b/lib', ''])
def test_the_folder_of_libpython(bare, folder):
    """What cann_python.py says of it reaches ATC, and not that of another Python."""
    make_cann(bare.root)
    atc, = bare.root.glob('**/bin/atc')
    atc.unlink()
    atc.write_text('#!/bin/sh\necho "LD_LIBRARY_PATH=$LD_LIBRARY_PATH python3=$(command -v python3)"\nexit 1\n')
    atc.chmod(0o755)
    for name, lib, status in (('a', '/opt/a/lib', 3), ('b', folder, 0), ('c', '/opt/c/lib', 0)):
        (bare.folder / name).mkdir()
        python = bare.folder / name / 'python3'
        python.write_text(f'#!/bin/sh\necho Python {name}\necho {lib}\nexit {status}\n')
        python.chmod(0o755)
    path = ':'.join(str(bare.folder / name) for name in 'abc')
    done = bare.convert('--soc_version', '310P3', PATH=f'{bare.programs}:{path}:/usr/bin:/bin')
    assert 'will use Python b' in done.stdout
    library_path, python = re.search(r'LD_LIBRARY_PATH=(\S*) python3=(\S+)', done.stdout).groups()
    assert [path for path in library_path.split(':') if path.startswith('/opt')] == ([folder] if folder else [])
    assert python == f'{bare.folder}/b/python3'


@pytest.mark.parametrize('place, variables, expected', [
    ('lib', {}, 'lib'),  # that of this Python, outside the loader's folders
    ('elsewhere', {'LD_LIBRARY_PATH': '/nonexistent:elsewhere'}, ''),
    ('elsewhere', {}, None),
])
def test_libpython_is_found(monkeypatch, tmp_path, place, variables, expected):
    name = 'libpython{}.{}.so.1.0'.format(*sys.version_info)
    for folder in ('lib', 'elsewhere'):
        (tmp_path / folder).mkdir()
    (tmp_path / place / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cann_python.sysconfig, 'get_config_var', lambda name: 'lib')
    monkeypatch.setattr(cann_python.sys, 'base_prefix', '/nonexistent')
    monkeypatch.setattr(cann_python.ctypes.util, 'find_library', lambda name: None)
    monkeypatch.setenv('LD_LIBRARY_PATH', variables.get('LD_LIBRARY_PATH', ''))
    assert cann_python.find_libpython() == (name, expected)
    monkeypatch.setattr(cann_python, 'LOADER_FOLDERS', ('lib',))
    assert cann_python.find_libpython() == (name, expected and '')


def test_variables_of_another_python_do_no_harm(server):
    succeeded(server.convert(PYTHONHOME='/nonexistent'))


# ---- chip --------------------------------------------------------------------------------------------

@pytest.mark.parametrize('acl', ['', 'none'])
@pytest.mark.parametrize('npu, expected', [
    ('310', 'Ascend310'), ('310P3', 'Ascend310P3'), ('310B4', 'Ascend310B4'), ('910B4', 'Ascend910B4'),
    ('910B4-1', 'Ascend910B4-1'), ('A3', 'Ascend910_9392'), ('950', 'Ascend950PR_9579'),
])
def test_chips(server, npu, acl, expected):
    succeeded(server.convert(STAND_IN_NPU=npu, STAND_IN_ACL=acl))
    assert server.om()['soc_version'] == expected


@pytest.mark.parametrize('given', ['310P3', 'Ascend310P3'])
def test_a_chip_is_given(server, given):
    succeeded(server.convert('--soc_version', given, STAND_IN_NPU='hang'))
    assert server.om()['soc_version'] == 'Ascend310P3'


@pytest.mark.parametrize('npu, word', [('none', 'names no chip'), ('processes', 'names no chip'),
                                       ('hang', 'does not answer within 1 s')])
@pytest.mark.parametrize('acl', ['', 'none'])
def test_no_chip(server, npu, acl, word):
    failed(server.convert(STAND_IN_NPU=npu, STAND_IN_ACL=acl), word, '--soc_version')
    assert server.files() == []


@pytest.mark.parametrize('npu, expected', [('310', 'Ascend310'), ('310P3', 'Ascend310P3'), ('A3', 'Ascend910'),
                                           ('processes', None)])
def test_damaged_tables(server, npu, expected):
    """npu-smi info without one of its lines: the chip, or none; not the 0 of a row of another table."""
    lines = server.run('npu-smi', 'info', STAND_IN_NPU=npu).stdout.splitlines()
    smi = server.programs / 'npu-smi'
    smi.unlink()
    smi.write_text('#!/bin/sh\n[ $# -eq 1 ] && cat table\n')
    smi.chmod(0o755)
    script = f'. {ROOT}/test/common.sh; . {ROOT}/test/cann.sh; cd {server.folder}; find_chip'
    found = set()
    for i, line in enumerate(lines):
        if not line.startswith('+'):
            (server.folder / 'table').write_text('\n'.join(lines[:i] + lines[i + 1:]))
            found.add(server.run('bash', '-c', script, STAND_IN_ACL='none').stdout)
    assert found - {''} == ({expected} if expected else set())


def test_no_npu_smi(server):
    (server.programs / 'npu-smi').unlink()
    failed(server.convert(STAND_IN_ACL='none'), 'no npu-smi', '--soc_version')
    succeeded(server.convert())  # pyACL is enough


# ---- set_env.sh --------------------------------------------------------------------------------------

@pytest.mark.parametrize('place, variable', [
    ('root/usr/local/Ascend/ascend-toolkit', None),
    ('root/usr/local/Ascend/cann', None),
    ('home/Ascend/ascend-toolkit', None),
    ('home/Ascend/cann', None),
    ('opt/ascend-toolkit', ('ASCEND_TOOLKIT_HOME', 'opt/ascend-toolkit')),
    ('opt/ascend-toolkit', ('ASCEND_TOOLKIT_HOME', 'opt/ascend-toolkit/latest')),
    ('opt/cann', ('ASCEND_HOME_PATH', 'opt/cann')),
])
def test_set_env_is_found(bare, place, variable):
    make_cann(bare.folder, place, '8.5.0')
    make_cann(bare.root, 'usr/local/Ascend/nnrt')  # has no ATC
    make_python(bare.system)
    variables = {variable[0]: str(bare.folder / variable[1])} if variable else {}
    assert 'CANN 8.5.0' in succeeded(bare.convert(**variables)).stdout


def test_nnrt_has_no_atc(bare):
    make_cann(bare.root, 'usr/local/Ascend/nnrt')
    failed(bare.convert(), 'no atc')
    failed(bare.run('bash', ROOT / 'test/atc.sh', '--framework=5'), 'no atc', 'set_env.sh')


def test_a_set_env_that_ends_the_shell(server):
    (server.root / TOOLKIT / 'set_env.sh').write_text('set -e\nfalse\n')
    done = server.convert()
    failed(done, 'no atc')
    assert 'set_env.sh ends with an error' in done.stderr


def test_the_version_of_cann(server):
    home = server.root / TOOLKIT / 'latest'
    info, = home.glob('*/ascend_toolkit_install.info')
    info.unlink()
    (home / 'version.cfg').write_text('# version: 1.0\nruntime_running_version=[7.3.0.1.231:8.0.RC2]\n'
                                      'compiler_running_version=[7.3.0.1.231:8.0.RC2]\n')
    assert 'ATC of CANN 8.0.RC2 will use' in succeeded(server.convert()).stdout


# ---- the .om -----------------------------------------------------------------------------------------

def test_the_name_with_the_platform(server):
    """Also where the folder's name has .om in it: CANN puts the platform before the first one of the path."""
    server.work = server.folder / 'a.om.b'
    succeeded(server.convert(STAND_IN_ATC_SUFFIX='1'))
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']
    command = [f'--model={server.model}', '--output', 'm', '--input_shape=0:1,1,1,1,4,4', '--framework=5',
               '--soc_version=Ascend310P3']
    assert server.run('bash', ROOT / 'test/atc.sh', *command, STAND_IN_ATC_SUFFIX='1').returncode == 0
    assert [path.name for path in server.folder.glob('m*.om')] == ['m.om']


@pytest.mark.parametrize('umask, mode', [(0o000, '666'), (0o002, '600'), (0o077, '666')])
def test_modes_that_ais_bench_accepts(server, umask, mode):
    server.work = server.folder / 'new' / 'folder'
    before = os.umask(umask)
    try:
        succeeded(server.convert(STAND_IN_ATC_MODE=mode))
        with server.start_export() as export:
            assert export.wait() == 0
        done = server.run('bash', ROOT / 'test/atc.sh', '--framework=5', f'--model={server.model}', '--output=m',
                          '--input_shape=0:1,1,1,1,4,4', '--soc_version=Ascend310P3', STAND_IN_ATC_MODE=mode)
    finally:
        os.umask(before)
    assert done.returncode == 0
    assert stat.S_IMODE(server.work.stat().st_mode) == 0o750
    for path in (*server.work.iterdir(), server.folder / 'm.om'):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path


def test_nothing_but_the_models_is_left(server):
    succeeded(server.convert('--batch_sizes', '1 4'))
    assert server.files() == [f'r2plus1d_bs{bs}.om{end}' for bs in (1, 4) for end in ('', '.json')]
    assert not {'kernel_meta', 'fusion_result.json'} & {path.name for path in server.folder.iterdir()}


def change_model(server):
    save_model(server.model, value=2)


def change_version(server):
    info, = server.root.glob('**/ascend_toolkit_install.info')
    info.write_text(info.read_text().replace('8.0.0', '8.1.0'))


def change_om(server):
    with open(server.work / 'r2plus1d_bs1.om', 'a') as f:
        f.write(' ')


@pytest.mark.parametrize('change, options', [
    (None, []),
    (change_model, []),
    (change_version, []),
    (change_om, []),
    (None, ['--soc_version', 'Ascend910B4']),
    (None, ['--precision_mode_v2', 'mixed_float16']),
    (None, ['--aoe']),
])
def test_an_om_is_kept_only_if_everything_is_the_same(server, change, options):
    succeeded(server.convert())
    path = server.work / 'r2plus1d_bs1.om'
    before = path.stat().st_mtime_ns, path.stat().st_ino
    if change:
        change(server)
    done = succeeded(server.convert(*options))
    kept = (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert kept == (not change and not options) == ('kept: ' in done.stdout)


def test_the_shape_is_part_of_the_note(server):
    """The same name, another shape."""
    succeeded(server.convert())
    note = server.work / 'r2plus1d_bs1.om.json'
    note.write_text(note.read_text().replace('0:1,1,1,1,4,4', '0:1,1,1,1,8,8'))
    assert 'kept: ' not in succeeded(server.convert()).stdout


def test_oms_of_another_model_go(server):
    succeeded(server.convert('--batch_sizes', '1 4'))
    (server.work / 'r2plus1d_bs8.om').write_text('made by the user')
    succeeded(server.convert('--batch_sizes', '16'))
    assert {'r2plus1d_bs1.om', 'r2plus1d_bs4.om', 'r2plus1d_bs16.om', 'r2plus1d_bs8.om.old'} <= set(server.files())
    assert 'r2plus1d_bs8.om' not in server.files()
    change_model(server)
    done = succeeded(server.convert('--batch_sizes', '16'))
    assert server.files() == ['r2plus1d_bs16.om', 'r2plus1d_bs16.om.json', 'r2plus1d_bs8.om.old']
    assert 'r2plus1d_bs4.om was made from another model: it is removed' in done.stdout


def test_a_failing_conversion_leaves_no_om(server):
    succeeded(server.convert('--batch_sizes', '1 4'))
    change_model(server)
    failed(server.convert('--batch_sizes', '1 4', STAND_IN_ATC_FAIL='EZ9999'), 'EZ9999')
    assert server.files() == []


def kill(process, when):
    """SIGKILL the whole group as soon as WHEN() holds."""
    deadline = time.time() + 20
    while not when():
        assert time.time() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_conversion_is_killed(server):
    command = ['bash', ROOT / 'test/pth2om.sh', *server.arguments()]
    process = subprocess.Popen([str(c) for c in command], cwd=server.folder, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, text=True,
                               env=server.environment(STAND_IN_ATC_HANG='1'))
    kill(process, lambda: [p for p in server.work.glob('.conv*/*.om') if p.stat().st_size])
    assert not list(server.work.glob('*.om'))
    succeeded(server.convert())
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']


def test_an_export_is_killed(server):
    with server.start_export() as done:
        assert done.wait() == 0
    files = server.files()
    assert files == ['r2plus1d.onnx', 'r2plus1d_bs1.om', 'r2plus1d_bs1.om.json', 'r2plus1d_sim.onnx']
    inode = (server.work / 'r2plus1d_bs1.om').stat().st_ino

    # The model is another one, and the run is killed before it knows that: nothing of the old one is left in sight.
    kill(server.start_export(STUB_SECONDS='30'), lambda: not (server.work / 'r2plus1d_sim.onnx').exists())
    assert not [name for name in server.files() if not name.startswith('.')]

    # The same model again: its .om comes back.
    with server.start_export() as done:
        assert done.wait() == 0
    assert server.files() == files and (server.work / 'r2plus1d_bs1.om').stat().st_ino == inode


def test_two_runs_in_one_folder(server):
    process = server.start_export(STUB_SECONDS='30')
    deadline = time.time() + 20
    while not list(server.work.glob('.conv*')):
        assert time.time() < deadline
        time.sleep(0.02)
    failed(server.convert(), f'--work_dir {server.work}', 'another run works there')
    kill(process, lambda: True)
    succeeded(server.convert())


# ---- options -----------------------------------------------------------------------------------------

@pytest.mark.parametrize('mode', ['', 'fp16', 'origin', 'mixed_float16'])
def test_precision(server, mode):
    succeeded(server.convert(*(['--precision_mode_v2', mode] if mode else [])))
    assert server.om()['precision_mode_v2'] == mode


@pytest.mark.parametrize('options, words', [
    (['--no', '1'], ['--no: unknown', '--batch_sizes']),
    (['--work'], ['--work: unknown']),
    (['work'], ['work: unknown']),
    (['--model'], ['--model needs a value']),
    (['--model', 'no.onnx'], ['--model no.onnx: no such file']),
    (['--amct=yes'], ['--amct takes no value']),
    (['--amct'], ['--calibration_bins']),
    (['--amct', '--calibration_bins', 'no'], ['--calibration_bins no: no such folder']),
    (['--amct', '--calibration_bins', '.', '--calibration_samples', '0'], ['--calibration_samples 0']),
    (['--amct', '--calibration_bins', '.', '--precision_mode_v2', 'origin'], ['origin is not for --amct']),
    (['--aoe', '--precision_mode_v2', 'fp16'], ['not for --aoe']),
    (['--precision_mode_v2', 'fp32'], ['--precision_mode_v2 fp32', 'mixed_float16']),
    (['--soc_version', 'Ascend 310'], ['--soc_version Ascend 310']),
    (['--shape', '3 x'], ['--shape "3 x"']),
    (['--batch_sizes', '0'], ['--batch_sizes "0"']),
])
def test_wrong_arguments(server, options, words):
    server.work.rmdir()
    failed(server.convert(*options), *words, status=2)
    assert not server.work.exists()


def test_help(server):
    for script, option in (('pth2om.sh', '--precision_mode_v2'), ('eval_acc_perf.sh', '--tolerance')):
        for flag in ('--help', '-h'):
            done = server.run('bash', ROOT / 'test' / script, '--batch_sizes', '4', flag)
            assert done.returncode == 0 and not done.stderr
            assert f'test/{script} --' in done.stdout and f'  {option}' in done.stdout and '--help' in done.stdout
            assert 'set -euo' not in done.stdout


@pytest.mark.parametrize('work_dir, words', [
    ('file', ['--work_dir file', 'is a file']),
    ('file/folder', ['--work_dir file/folder', 'cannot be made']),
    ('/proc/folder', ['--work_dir /proc/folder', 'cannot be made']),
])
def test_no_such_folder(server, work_dir, words):
    (server.folder / 'file').touch()
    failed(server.convert('--work_dir', work_dir), *words)


@pytest.mark.parametrize('name', ['-dash', 'with space', 'a$(touch x)b', 'ü', '"quote"'])
def test_odd_folders(server, name):
    server.work = server.folder / name
    succeeded(server.convert('--work_dir', name))
    assert server.om()['shape'] == [1, 1, 1, 1, 4, 4] and not (server.folder / 'x').exists()


# ---- errors of ATC -----------------------------------------------------------------------------------

@pytest.mark.parametrize('model, options, variables, code, words', [
    ({}, ['--soc_version', 'Ascend999'], {}, 'E10001', ['--soc_version', 'exact name']),
    ({'name': 'input'}, [], {}, 'E10016', ['is called 0']),
    ({'opset': 19}, [], {}, 'E19010', ['opset', '9 to 18']),
    ({'op_type': 'QuantizeLinear'}, [], {}, 'E19010', ['--amct']),
    ({}, [], {'STAND_IN_CANN_OPS': 'Ascend910B4'}, 'EZ3003', ['operator package', 'acl.get_soc_name']),
    ({}, [], {'STAND_IN_ATC_FAIL': 'E40021'}, 'E40021', ['in Python', 'package']),
    ({}, [], {'STAND_IN_ATC_FAIL': 'EZ9999'}, 'EZ9999', ['inside CANN']),
    ({}, [], {'STAND_IN_ATC_FAIL': 'E40001'}, 'E40001', ['CANN_PYTHON=']),
    ({'external': True}, [], {}, 'E10001', ['an argument']),
])
def test_errors_are_explained(server, model, options, variables, code, words):
    save_model(server.model, **model)
    done = server.convert(*options, **variables)
    failed(done, f'{code}: ', *words)
    assert 'the last errors in' in done.stderr and '[ERROR]' in done.stderr
    assert 'failed: convert to' in done.stderr.splitlines()[-2]
    assert server.files() == []


def test_atc_succeeds_without_an_om(server):
    atc, = server.root.glob('**/bin/atc')
    atc.unlink()
    atc.write_text('#!/bin/sh\necho ATC run success\n')
    atc.chmod(0o755)
    failed(server.convert(), 'atc made no r2plus1d_bs1.om')
    assert server.files() == []


def test_an_error_that_nobody_knows(server):
    done = server.convert(STAND_IN_ATC_FAIL='E12345')
    failed(done, 'failed: convert to')
    assert 'E12345' in done.stdout


@pytest.mark.parametrize('version, opset, converts', [('5.1.RC2', 13, True), ('6.0.1', 14, False), ('7.0.0', 18, True),
                                                      ('8.0.0', 19, False), ('8.0.0', 8, False)])
def test_opsets_of_the_stand_in(bare, version, opset, converts):
    make_cann(bare.root, version=version)
    make_python(bare.system, '1.23.5')
    save_model(bare.model, opset=opset)
    assert (bare.convert().returncode == 0) == converts


# ---- AMCT and AOE ------------------------------------------------------------------------------------

def make_bins(folder, count=4, dtype='float32', **info):
    folder.mkdir()
    for i in range(count):
        np.full((1, 1, 1, 4, 4), i, dtype).tofile(folder / f'bin{i}-{i}_0.bin')
    (folder / 'info.json').write_text(json.dumps(info, indent=4))
    return folder


@pytest.fixture
def amct(server):
    """pth2om.sh --amct on two of four bins."""
    make_bins(server.folder / 'bins', list='data/ucf101/ucf101_train_split_1_rawframes.txt')

    def convert(*options, **variables):
        return server.convert('--amct', '--calibration_bins', 'bins', '--calibration_samples', '2', *options,
                              **variables)
    return convert


def test_amct(server, amct):
    succeeded(amct('--batch_sizes', '1 4'))
    deploy = server.work / 'r2plus1d_amct_deploy_model.onnx'
    assert server.om('r2plus1d_int8_bs4')['onnx'] == str(deploy) and server.om()['onnx'] == str(server.model)
    assert [p.key + '=' + p.value for p in onnx.load(deploy).metadata_props] == ['stand_in_amct=deploy']
    assert not (server.folder / 'amct_log').exists()
    files = server.files()
    assert {f'r2plus1d_amct_{name}' for name in ('fake_quant_model.onnx', 'quant.json')} <= set(files)

    # Calibrated once for one model and the same bins, and kept by a run without --amct.
    inode = deploy.stat().st_ino
    assert succeeded(amct('--batch_sizes', '1 4')).stdout.count('kept: ') == 5
    succeeded(server.convert())
    assert deploy.stat().st_ino == inode and server.files() == files
    np.zeros(16, 'float32').tofile(server.folder / 'bins/bin1-1_0.bin')
    assert 'calibrate int8 on 2 samples' in succeeded(amct()).stdout

    change_model(server)
    succeeded(server.convert())
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']


def test_amct_takes_bins_of_bytes(server):
    make_bins(server.folder / 'bins', dtype='uint8')
    succeeded(server.convert('--amct', '--calibration_bins', 'bins', '--calibration_samples', '4'))


def test_amct_fails(server, amct):
    succeeded(amct())
    change_model(server)
    failed(amct(STAND_IN_AMCT_FAIL='1'), 'failed: calibrate int8')
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']
    (server.programs / 'amct_onnx').unlink()
    failed(amct(), 'no amct_onnx')
    (server.home / '.local/bin').mkdir(parents=True)
    (server.home / '.local/bin/amct_onnx').symlink_to(STAND_INS / 'amct_onnx')
    succeeded(amct())


@pytest.mark.parametrize('bins, options, words, status', [
    (dict(count=1), [], ['has 1 bins', '--calibration_samples is 2'], 1),
    (dict(dtype='float64'), [], ['bin0-0_0.bin', '128 bytes', '--bts=1'], 1),
    (dict(list='data/ucf101/ucf101_val_split_1_rawframes.txt'), [], ['test videos', 'training videos'], 2),
    (dict(list='data/testlist01.txt'), [], ['test videos'], 2),
    (dict(split='test'), [], ['test videos'], 2),
])
def test_calibration_bins_that_do_not_fit(server, bins, options, words, status):
    make_bins(server.folder / 'bins', **bins)
    failed(server.convert('--amct', '--calibration_bins', 'bins', '--calibration_samples', '2', *options), *words,
           status=status)


def test_aoe(server):
    succeeded(server.convert('--aoe', STAND_IN_NPU='910B4', STAND_IN_ATC_SUFFIX='1'))
    assert server.om()['soc_version'] == 'Ascend910B4'
    assert '"made_by": "aoe"' in (server.work / 'r2plus1d_bs1.om.json').read_text()
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']
    failed(server.convert('--aoe', '--soc_version', 'Ascend310P3', STAND_IN_NPU='910B4'), 'Ascend910B4')
    failed(server.convert('--aoe', STAND_IN_NPU='none'), 'names no chip')
    next(server.root.glob('**/bin/aoe')).unlink()
    failed(server.convert('--aoe'), 'no aoe')


def test_no_atc(bare):
    failed(bare.convert(), 'no atc on this machine')
    with bare.start_export() as export:
        stdout, stderr = export.communicate()
    assert export.returncode == 0 and 'no atc on this machine' in stdout and stdout.endswith('success\n')
    assert bare.files() == ['r2plus1d.onnx', 'r2plus1d_sim.onnx']
