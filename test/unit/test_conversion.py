# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""test/pth2om.sh and test/atc.sh from end to end, on an NPU server of stand-ins.

The server has an active environment with a NumPy that CANN cannot use, a system Python that CANN was installed for, and
the toolkit where its installer puts it (stand_ins/cann.py). The model is one Relu. The export is a stub, except in
test_chain.py and test_readme.py. What the scripts ask of Python is tested in test_convert.py.
"""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from conftest import ROOT, STAND_INS, write_program
from runs import wait_for
from test_convert import make_bins, save_model

sys.path.append(str(STAND_INS))
from cann import make_cann, make_python

SECONDS = 12
TOOLKIT = 'usr/local/Ascend/ascend-toolkit'
ATC = ['--framework=5', '--output=m', '--input_shape=0:1,1,1,1,4,4', '--soc_version=Ascend310P3']
# Stands for `python` in the steps before ATC: the "export" copies $STUB_ONNX after $STUB_SECONDS.
PYTHON_STUB = """case "$*" in
*pytorch2onnx.py*)
    sleep "${STUB_SECONDS:-0}" >/dev/null 2>&1 9<&- # what is left of it after a kill holds nothing
    for word; do
        case $word in --output-file=*) cp "$STUB_ONNX" "${word#*=}" ;; esac
    done
    ;;
*"-m onnxsim"*)
    shift 3
    cp "$1" "$2"
    ;;
*r2plus1d_compare.py*)
    echo "r2plus1d_compare.py: list.txt: line 3 is not one" >&2
    exit 1
    ;;
esac
"""


@pytest.fixture(scope='module')
def system(tmp_path_factory):
    """The folder of the Python that CANN was installed for."""
    return make_python(tmp_path_factory.mktemp('system')).parent


class Server:
    """An NPU server below a folder, and commands on it. PYTHON: the CANN_PYTHON that they are told; '': they look."""

    def __init__(self, folder, system, python=''):
        self.folder, self.root, self.home = folder, folder / 'root', folder / 'home'
        self.work, self.programs, self.system, self.python = folder / 'work', folder / 'programs', system, python
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
                      CANN_PYTHON=str(self.python), CANN_SYSTEM_ROOT=str(self.root))
        return {**clean, **server, **variables}

    def start(self, *options, script='pth2om.sh', **variables):
        """The script in a process group of its own, which begins a session."""
        return subprocess.Popen(['bash', str(ROOT / 'test' / script), *map(str, options)], cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                                env=self.environment(**variables))

    def start_export(self, *options, **variables):
        """pth2om.sh --checkpoint with the stub of the export."""
        write_program(self.programs / 'python', PYTHON_STUB)
        (self.folder / 'any').touch()
        return self.start('--config', 'any', '--checkpoint', 'any', *self.options(), '--compare_videos', '0', *options,
                          STUB_ONNX=str(self.model), **variables)

    def atc(self, *options, **variables):
        return finish(self.start(*options, script='atc.sh', **variables))

    def convert(self, *options, **variables):
        """pth2om.sh --model for batch size 1."""
        return finish(self.start('--model', self.model, *self.options(), *options, **variables))

    def export(self, *options, **variables):
        return finish(self.start_export(*options, **variables))

    def options(self):
        return ['--shape', '1 1 1 4 4', '--work_dir', self.work, '--batch_sizes', '1']

    def om(self, name='r2plus1d_bs1'):
        return json.loads((self.work / f'{name}.om').read_text())

    def files(self):
        return sorted(path.name for path in self.work.iterdir())


@pytest.fixture
def bare(tmp_path):
    """A server without CANN and without its Python."""
    return Server(tmp_path, tmp_path)


@pytest.fixture
def server(tmp_path, system):
    made = Server(tmp_path, system, system / 'bin/python3')
    make_cann(made.root)
    return made


def finish(process):
    stdout, stderr = process.communicate(timeout=100)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


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
        assert done.stderr.endswith('fail!\n') and done.stderr.count('fail!') == 1
        assert done.stdout.splitlines()[-1:] != ['success']
    return done


# ---- the conversion ----------------------------------------------------------------------------------


def test_atc_in_the_python_that_cann_was_installed_for(server):
    """The same command without it fails: the stand-in is as strict as ATC."""
    server.python = ''
    command = [*ATC, f'--model={server.model}']
    script = f'. {server.root}/{TOOLKIT}/set_env.sh && "$@"'
    done = subprocess.run(['bash', '-c', script, 'bash', 'atc', *command], env=server.environment(), cwd=server.folder,
                          stdout=subprocess.PIPE, text=True)
    assert done.returncode == 255 and 'E40020' in done.stdout
    done = server.atc(*command, STAND_IN_ATC_SUFFIX='1')
    assert done.returncode == 0 and f'({server.system}/bin/python3)' in done.stdout
    assert [path.name for path in server.folder.glob('m*.om')] == ['m.om']
    done = server.atc(*command[1:])
    assert done.returncode == 1 and '--framework' in done.stdout and done.stderr.endswith('fail!\n')
    next(server.root.glob('**/bin/atc')).unlink()
    failed(server.atc(*command), 'no atc', 'set_env.sh')


def test_a_conversion(server):
    """Two models and nothing else in any folder, whatever CANN calls them; kept by the next run."""
    server.python = ''
    server.work = server.folder / 'a.om.b'  # CANN puts the platform before the first .om of the path
    done = succeeded(server.convert('--batch_sizes', '1 4', '--precision_mode_v2', 'mixed_float16',
                                    STAND_IN_ATC_SUFFIX='1', PYTHONHOME='/nonexistent'))
    assert f'({server.system}/bin/python3)' in done.stdout and done.stdout.count('ATC run success') == 2
    assert server.files() == [f'r2plus1d_bs{bs}.om{end}' for bs in (1, 4) for end in ('', '.json')]
    assert not {'kernel_meta', 'fusion_result.json'} & {path.name for path in server.folder.iterdir()}
    om = server.om('r2plus1d_bs4')
    assert om['shape'] == [4, 1, 1, 1, 4, 4] and om['precision_mode_v2'] == 'mixed_float16'
    assert om['soc_version'] == 'Ascend310P3' and om['input_format'] == 'NCHW'
    options = ['--batch_sizes', '4', '--precision_mode_v2', 'mixed_float16', '--soc_version', '310P3']
    done = succeeded(server.convert(*options, STAND_IN_NPU='hang'))  # the driver is not asked
    assert 'kept: ' in done.stdout and 'ATC run success' not in done.stdout
    assert 'kept: ' not in succeeded(server.convert(*options, '--input_format', 'ND', STAND_IN_ATC_NEEDS_ND='1')).stdout


def test_a_failing_conversion_leaves_no_om(server):
    succeeded(server.convert('--batch_sizes', '1 4'))
    save_model(server.model, value=2)
    done = failed(server.convert('--batch_sizes', '1 4', STAND_IN_ATC_FAIL='EZ9999'), 'EZ9999', 'inside CANN')
    assert 'the last errors in' in done.stderr and 'failed: convert to' in done.stderr.splitlines()[-2]
    assert server.files() == []


@pytest.mark.parametrize('umask, mode', [(0o000, '666'), (0o002, '600'), (0o077, '666')])
def test_modes_that_ais_bench_accepts(server, umask, mode):
    server.work = server.folder / 'new' / 'folder'
    before = os.umask(umask)
    try:
        succeeded(server.export(STAND_IN_ATC_MODE=mode))
        done = server.atc(*ATC, f'--model={server.model}', STAND_IN_ATC_MODE=mode)
    finally:
        os.umask(before)
    assert done.returncode == 0
    assert stat.S_IMODE(server.work.stat().st_mode) == 0o750 and len(server.files()) == 4
    for path in (*server.work.iterdir(), server.folder / 'm.om'):
        assert stat.S_IMODE(path.stat().st_mode) == 0o640, path


def test_an_odd_folder(server):
    name = '-dash with space a$(touch x)b ü "quote"'
    server.work = server.folder / name
    succeeded(server.convert('--work_dir', name))
    assert server.om()['shape'] == [1, 1, 1, 1, 4, 4] and not list(server.folder.rglob('x'))


def test_no_atc(bare):
    failed(bare.convert(), 'no atc on this machine')
    assert 'no atc on this machine' in succeeded(bare.export()).stderr
    assert bare.files() == ['r2plus1d.onnx', 'r2plus1d_sim.onnx']


def test_the_comparison_fails_for_another_reason_than_the_models(bare):
    """It says that reason, and not that the models are too far."""
    done = failed(bare.export('--compare_videos', '5'))
    assert done.stderr.endswith('\nr2plus1d_compare.py: list.txt: line 3 is not one\n'
                                'pth2om.sh: failed: compare with PyTorch on 5 test videos\nfail!\n')
    assert bare.files() == ['r2plus1d.onnx', 'r2plus1d_sim.onnx']


# ---- the end of a run --------------------------------------------------------------------------------


def kill(process, when):
    """SIGKILL the whole group as soon as WHEN() holds."""
    wait_for(lambda: process.poll() is not None or when())
    assert process.poll() is None, process.communicate()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_conversion_is_killed(server):
    process = server.start('--model', server.model, *server.options(), STAND_IN_ATC_HANG='1')
    kill(process, lambda: [p for p in server.work.glob('.conv*/*.om') if p.stat().st_size])
    assert not list(server.work.glob('*.om'))
    succeeded(server.convert())
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']


def test_an_export_is_killed(server):
    succeeded(server.export())
    files = server.files()
    assert files == ['r2plus1d.onnx', 'r2plus1d_bs1.om', 'r2plus1d_bs1.om.json', 'r2plus1d_sim.onnx']
    inode = (server.work / 'r2plus1d_bs1.om').stat().st_ino

    # The model is another one, and the run is killed before it knows that: nothing of the old one is left in sight.
    kill(server.start_export(STUB_SECONDS='30'), lambda: not (server.work / 'r2plus1d_sim.onnx').exists())
    assert not [name for name in server.files() if not name.startswith('.')]

    # The same model again: its .om comes back.
    succeeded(server.export())
    assert server.files() == files and (server.work / 'r2plus1d_bs1.om').stat().st_ino == inode


def test_two_runs_in_one_folder(server):
    process = server.start_export(STUB_SECONDS='60')
    wait_for(lambda: list(server.work.glob('.conv*')))
    write_program(server.programs / 'flock', f'exec {shutil.which("flock")} -n "$3"')  # instead of -w 5
    failed(server.convert(), f'--work_dir {server.work}', 'another run works there')
    kill(process, lambda: True)
    succeeded(server.convert())


# ---- options -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('options, words', [
    (['--amct=yes'], ['--amct takes no value']),
    (['--precision_mode_v2', 'origin'], ['--precision_mode_v2 "origin"', 'mixed_float16']),  # as test_convert.py
])
def test_wrong_arguments(server, options, words):
    server.work.rmdir()
    done = failed(server.convert(*options), *words, status=2)
    assert not server.work.exists() and done.stderr.count('\n') == 1


@pytest.mark.parametrize('work_dir, words', [
    ('file', ['--work_dir file', 'is a file']),
    ('file/folder', ['--work_dir file/folder', 'cannot be made']),
    ('/proc/folder', ['--work_dir /proc/folder', 'cannot be made']),
])
def test_no_such_folder(server, work_dir, words):
    (server.folder / 'file').touch()
    failed(server.convert('--work_dir', work_dir), *words)


# ---- errors of ATC -----------------------------------------------------------------------------------


def test_what_atc_refuses(bare):
    """The stand-in, as CANN's pages have it. What the codes mean to a user is tested in test_convert.py."""
    def atc(*options, env=(), **model):
        save_model(bare.model, **model)
        done = subprocess.run([STAND_INS / 'atc', f'--model={bare.model}', *ATC, *options], cwd=bare.folder,
                              env=bare.environment(**dict(env)), stdout=subprocess.PIPE, text=True)
        return re.search(r'^E\w+|run success', done.stdout, re.M)[0]

    assert [atc(opset=opset) for opset in (8, 9, 18, 19)] == ['E19010', 'run success', 'run success', 'E19010']
    for option, result in (('_v2=origin', 'EZ3003'), ('=must_keep_origin_dtype', 'EZ3003'), ('_v2=fp16', 'run success'),
                           ('_v2=cube_fp16in_fp32out', 'run success'), ('_v2=fp32', 'E10001')):
        assert atc('--precision_mode' + option, op_type='Conv') == result  # a 3-D one, which cannot stay f32
    assert atc('--precision_mode_v2=origin') == 'run success'
    assert atc(external=True) == atc('--soc_version=Ascend999') == 'E10001'
    assert atc(name='input') == 'E10016' and atc(batch=2) == 'E10018' and atc(op_type='QuantizeLinear') == 'E19010'
    assert atc(env={'STAND_IN_ATC_NEEDS_ND': '1'}) == 'E10001'
    assert atc(env={'STAND_IN_CANN_OPS': 'Ascend910B4'}) == 'EZ3003'


# ---- AMCT and AOE ------------------------------------------------------------------------------------


def test_amct(server):
    """An int8 model beside the other, which a run without --amct leaves alone, unless the model is another one."""
    make_bins(server.folder / 'bins')
    options = ['--amct', '--calibration_bins', 'bins', '--calibration_samples', '2']
    assert 'calibrate int8 on 2 samples' in succeeded(server.convert(*options)).stdout
    deploy = server.work / 'r2plus1d_amct_deploy_model.onnx'
    assert server.om('r2plus1d_int8_bs1')['onnx'] == str(deploy) and server.om()['onnx'] == str(server.model)
    assert not (server.folder / 'amct_log').exists()
    files = server.files()
    (server.programs / 'amct_onnx').unlink()
    (server.home / '.local/bin').mkdir(parents=True)
    (server.home / '.local/bin/amct_onnx').symlink_to(STAND_INS / 'amct_onnx')  # where pip puts it
    assert succeeded(server.convert(*options)).stdout.count('kept: ') == 3
    succeeded(server.convert())
    assert server.files() == files
    save_model(server.model, value=2)
    done = failed(server.convert(*options, STAND_IN_AMCT_FAIL='1'), 'failed: calibrate int8')
    assert 'amct_onnx has ended with status 1' in done.stderr
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']
    (server.home / '.local/bin/amct_onnx').unlink()
    failed(server.convert(*options), 'no amct_onnx')


def test_aoe(server):
    succeeded(server.convert('--aoe', STAND_IN_NPU='910B4', STAND_IN_ATC_SUFFIX='1'))
    assert server.om()['soc_version'] == 'Ascend910B4'
    note = json.loads((server.work / 'r2plus1d_bs1.om.json').read_text())
    assert (note['made_by'], note['soc_version']) == ('aoe', 'Ascend910B4')
    assert server.files() == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json']
    failed(server.convert('--aoe', '--soc_version', 'Ascend310P3', STAND_IN_NPU='910B4'), 'Ascend910B4')
    failed(server.convert('--aoe', STAND_IN_NPU='none'), 'names no chip')
    next(server.root.glob('**/bin/aoe')).unlink()
    failed(server.convert('--aoe'), 'no aoe')
