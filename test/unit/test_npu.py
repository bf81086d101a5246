# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The way through an NPU, on stand-ins: the engine; ais_bench of all ages, one device and two, an ordinary user."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import onnx
import pytest
from conftest import ROOT, STAND_INS, call, checked, run, start, write_program
from runs import Run, wait_for
from test_compare import change_head

SECONDS = 45
AGES = ['2023', '2025', '2026']


def write_om(path, onnx_file, batch_size):
    """An .om of the stand-in of ATC, which only that of aclruntime can run."""
    path.write_text(json.dumps({'onnx': str(onnx_file), 'shape': [batch_size, 3, 3, 8, 256, 256]}))
    path.chmod(0o640)
    return path


@pytest.fixture(scope='module')
def om(small):
    return {size: write_om(small.folder / f'm_bs{size}.om', small.sim, size) for size in (1, 2)}


def environment(age='2025', **more):
    return dict(PYTHONPATH=str(STAND_INS), PATH=f'{STAND_INS}{os.pathsep}{os.environ["PATH"]}', STAND_IN_AIS_BENCH=age,
                **more)


def infer(*options, **more):
    return start(ROOT / 'r2plus1d_infer.py', *options, **more)


def postprocess(path):
    return call('r2plus1d_postprocess', '--result_path', path).stdout


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- the engine --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def expected(small, bins, tmp_path_factory):
    """The outputs of the ONNX file that the stand-in computes with, by the same engine, and their accuracy."""
    folder = tmp_path_factory.mktemp('expected')
    infer('--model', small.sim, '--input', bins, '--backend', 'onnxruntime', '--outfmt', 'TXT', '--output', folder,
          '--output_dirname', 'run')
    return files(folder / 'run'), postprocess(folder)


@pytest.mark.parametrize('age', AGES)
@pytest.mark.parametrize('source', ['--input', '--config'])
def test_an_om_gives_what_its_onnx_file_gives(dataset, small, bins, om, expected, tmp_path, age, source):
    """Five videos at batch size 2: the last batch is filled up. On one device and on two."""
    options = [source, bins if source == '--input' else small.config, '--outfmt', 'TXT', '--output_dirname', 'run']
    for device in ('0', '0,1'):
        done = infer('--model', om[2], *options, '--device', device, '--output', tmp_path / device,
                     env=environment(age), cwd=dataset)
        assert files(tmp_path / device / 'run') == expected[0]
        assert postprocess(tmp_path / device) == expected[1]
        summary = json.loads((tmp_path / device / 'run_summary.json').read_text())
        assert summary['batchsize'] == 2 and summary['NPU_compute_time']['count'] == 3
        assert list(summary['filesinfo']) == [str(i) for i in range(5)]
        assert summary['engine']['name'] == 'ais_bench InferSession' and summary['engine']['cpu'] == 'NPU 0'
        assert done.stderr.count('ais_bench InferSession') == len(device.split(','))
    assert summary['batches_by_device'] == {'device0': 2, 'device1': 1}
    times = summary['npu_compute_time_list']
    assert summary['throughput'] == pytest.approx(2000 / np.mean(times[:2]) + 2000 / np.mean(times[2:]))


def test_pure_inference_of_an_om(om):
    done = infer('--model', om[2], '--loop', 3, env=environment())
    assert 'batchsize(2)' in done.stderr and 'count = 3' in done.stderr


def test_an_om_of_other_classes_is_refused_before_any_video(dataset, small, om):
    """It says how many it has when it is warmed up."""
    done = infer('--model', om[1], '--config', small.config, '--cfg-options', 'model.cls_head.num_classes=101',
                 env=environment(), cwd=dataset, check=False)
    assert done.returncode == 1 and 'm_bs1.om: has 400 classes, and the head in' in done.stderr.splitlines()[-1]


def test_prediction_with_an_om(dataset, small, om, tmp_path):
    """At batch size 2 the video is there twice; the probabilities are those of the ONNX file."""
    (tmp_path / 'classes.txt').write_text('1 A\n2 B\n')
    video = next(dataset.glob('data/ucf101/videos/YoYo/*.avi'))
    outputs = [start(ROOT / 'r2plus1d_predict.py', '--model', model, '--precision', 'f32', '--video', video, '--config',
                     small.config, '--classes', tmp_path / 'classes.txt', env=environment()).stdout
               for model in (small.sim, om[1], om[2])]
    assert outputs[0] == outputs[1] == outputs[2] and len(outputs[0].splitlines()) == 6


@pytest.mark.parametrize('options, env, words', [
    (['--batchsize', 4], {}, 'was converted for batch size 2, and 4 is asked for'),
    (['--device', '7'], {}, 'NPU 7'),
    ([], {'STAND_IN_NO_ACLRUNTIME': '1'}, 'aclruntime (ModuleNotFoundError'),
    ([], {'STAND_IN_NO_ACLRUNTIME': 'libascendcl'}, 'source the set_env.sh'),
])
def test_errors_of_the_engine_are_one_line(om, bins, tmp_path, options, env, words):
    done = infer('--model', om[2], '--input', bins, '--output', tmp_path / 'out', *options, env=environment(**env),
                 check=False)
    assert done.returncode == 1 and words in done.stderr.splitlines()[-1], done.stderr
    assert 'Traceback' not in done.stderr and not list(tmp_path.glob('out/*'))


def test_a_device_that_has_died_before_it_is_asked():
    """The message is that of a device that dies while it works."""
    from r2plus1d.npu import AisBench
    from r2plus1d.run import InputError
    engine = object.__new__(AisBench)
    engine.model, engine.cpu, engine.process = 'm.om', 'NPU 0', ProcessPoolExecutor(1)
    assert engine.ask(abs, -1) == 1
    for _ in range(2):
        with pytest.raises(InputError, match='m.om: .* NPU 0 has ended'):
            engine.ask(os._exit, 1)


def test_a_device_that_dies_is_noticed(om, bins, tmp_path):
    """The process of the device is killed in the middle: one line, nothing left, no process goes on."""
    started = Run(tmp_path, sys.executable, ROOT / 'r2plus1d_infer.py', '--model', om[1], '--input', bins, '--output',
                  'out', env=environment(STAND_IN_LATENCY_MS='300', STAND_IN_NO_COMPUTE='1'))
    wait_for(lambda: list(tmp_path.glob('out/*.part/*')))
    started.signal(signal.SIGKILL, 'worker')
    status, errors = started.ended()
    assert status == 1 and 'has ended' in errors.splitlines()[-1] and 'Traceback' not in errors
    assert not list(tmp_path.glob('out/*'))


OVERLAP = """
import sys, threading, time
import numpy as np
from r2plus1d.npu import AisBench
engine = AisBench(sys.argv[1], 'f32', 0)
woken = []
thread = threading.Thread(target=lambda: woken.append(time.sleep(0.05) or time.time()))
start = time.time()
thread.start()
engine(np.zeros([1, *engine.sample_shape], engine.dtype))
print(time.time() - start, woken[0] - start)
"""


def test_decoding_can_go_on_while_the_device_computes(om):
    """The process of the device holds Python's lock while it computes, as the real one does; this one does not."""
    env = environment(STAND_IN_LATENCY_MS='300', STAND_IN_NO_COMPUTE='1')
    computed, woken = map(float, run(sys.executable, '-c', OVERLAP, om[1], env=env, cwd=ROOT).stdout.split())
    assert computed >= 0.3 and woken < 0.25


def test_comparison_with_an_om(dataset, small, om, tmp_path):
    """A good .om passes; one that was made from another checkpoint is found, and the step is the conversion."""
    model = onnx.load(small.sim)
    change_head(model)
    onnx.save(model, tmp_path / 'other.onnx')
    other = write_om(tmp_path / 'other.om', tmp_path / 'other.onnx', 1)

    def compare(*models, **more):
        return start(ROOT / 'r2plus1d_compare.py', '--config', small.config, '--checkpoint', small.checkpoint,
                     '--videos', 2, '--models', *models, env=environment(), cwd=dataset, **more)

    good = compare(om[1], om[2], small.sim, '--device', '0,1')
    rows = [(row['step'], row['engine']['cpu']) for row in json.loads(good.stdout)['models']]
    assert rows[1:] == 2 * [('conversion', 'NPU 0'), ('conversion', 'NPU 1')] and rows[0][0] == 'export'
    bad = compare(other, small.sim, check=False)
    report = json.loads(bad.stdout)
    assert bad.returncode == 1 and [row['passed'] for row in report['models']] == [True, False]
    assert report['first_difference']['step'] == 'conversion'
    assert 'conversion' in bad.stderr.splitlines()[-1]


# ---- ais_bench, by test/run_ais_bench.py ---------------------------------------------------------------


def run_ais_bench(model, bins, output, *options, age='2025', **more):
    return start(ROOT / 'test/run_ais_bench.py', '--model', model, '--input', bins, '--batchsize', 1, '--output',
                 output, *options, env=environment(age, STAND_IN_DEVICES='8'), check=False, **more)


def to_link(path):
    path.rename(path.with_name('x.om'))
    path.symlink_to('x.om')


@pytest.mark.parametrize('change, words', [
    (lambda om: om.chmod(0o664), '{om}: its mode is 664, which ais_bench refuses; chmod go-w {om}'),
    (to_link, '{om}: is a link'),
    pytest.param(lambda om: os.chown(om, 12345, 12345), '{om}: belongs to another user',
                 marks=pytest.mark.skipif(bool(os.geteuid()), reason='only root can give a file away')),
])
def test_what_ais_bench_would_refuse_is_said_before(om, bins, tmp_path, change, words):
    path = tmp_path / 'r2plus1d_bs1.om'
    shutil.copy(om[1], path)
    change(path)
    done = run_ais_bench(path, bins, tmp_path / 'out')
    assert done.returncode == 1 and words.format(om=path) in done.stderr, done.stderr


def test_a_user_without_a_name(om, monkeypatch):
    """As in a container that is started with the number of a user."""
    from r2plus1d.npu import path_problem

    def unknown(number):
        raise KeyError(f'uid not found: {number}')

    monkeypatch.setattr(pwd, 'getpwuid', unknown)
    monkeypatch.setattr(os, 'geteuid', lambda: 54321)
    monkeypatch.setattr(os, 'getgroups', list)
    for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME'):
        monkeypatch.delenv(name, raising=False)
    assert 'as root: chown 54321 ' in path_problem(str(om[1]), 0o022, 'go-w')


@pytest.mark.parametrize('age, devices, words', [
    ('2023', '0,1,2,3', 'cannot divide 5 files among 4 devices'),  # 2, 2, 1 and none
    ('2025', '0,1,2,3', None),
    ('2025', '0,1,2,3,4,5', 'cannot divide 5 files among 6 devices'),
])
def test_more_devices_than_files(om, bins, tmp_path, age, devices, words):
    done = run_ais_bench(om[1], bins, tmp_path / 'out', '--device', devices, age=age)
    if words:
        assert done.returncode == 1 and words in done.stderr
    else:
        assert done.returncode == 0 and len(list(tmp_path.glob('out/*/device*_summary.json'))) == 4, done.stderr


def test_a_folder_with_other_characters(om, bins, tmp_path):
    folder = tmp_path / 'my work'
    folder.mkdir()
    shutil.copy(om[1], folder / 'm.om')
    done = run_ais_bench('m.om', bins, 'out', cwd=folder)
    assert done.returncode == 1 and 'move the work to another folder' in done.stderr
    assert run_ais_bench('m.om', bins, 'out', cwd=folder, age='2023').returncode == 0  # which looks at nothing


# ---- and by test/eval_acc_perf.sh ----------------------------------------------------------------------


@pytest.fixture(scope='module')
def user():
    """The words before a command that let an ordinary user run it. There are none where this process is not root's.

    The user may read what root may: the Python of these tests and the models may lie in a folder of root.
    """
    if os.geteuid():
        return []
    account = pwd.getpwnam('nobody')
    return ['setpriv', f'--reuid={account.pw_uid}', f'--regid={account.pw_gid}', '--clear-groups',
            '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']


@pytest.fixture
def work(small, om, dataset, user):
    """A folder of that user with the models and the data set. (Those of pytest are for root only.)"""
    with tempfile.TemporaryDirectory() as parent:
        os.chmod(parent, 0o755)
        folder = pathlib.Path(parent, 'work')
        shutil.copytree(dataset / 'data', folder / 'data')
        for batch_size, path in om.items():
            shutil.copy(path, folder / f'r2plus1d_bs{batch_size}.om')
        shutil.copy(small.config, folder / 'config.py')
        account = pwd.getpwnam('nobody')
        for path in [folder, *folder.rglob('*')] if user else ():
            os.chown(path, account.pw_uid, account.pw_gid)
        yield folder


def evaluate(work, user, *options, age='2025', check=True, **more):
    """test/eval_acc_perf.sh as that user, with a umask that ais_bench's check of paths does not like."""
    command = ['bash', '-c', 'umask 0002; exec "$@"', 'eval', 'bash', str(ROOT / 'test/eval_acc_perf.sh'),
               '--config', 'config.py', '--batch_sizes', '1 2', '--reference', '0', *map(str, options)]
    env = dict(os.environ, HOME=str(work), PYTHONWARNINGS='ignore', MPLCONFIGDIR=str(work), **environment(age, **more))
    done = subprocess.run([*user, *command], cwd=work, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    assert done.stdout.splitlines()[-1:] == ['success'] if not done.returncode else done.stderr.endswith('\nfail!\n')
    return checked(done, check)


@pytest.mark.parametrize('age', AGES)
def test_evaluation_as_an_ordinary_user(work, user, expected, age):
    """One device, two devices, and without bins: success, and the same accuracy, byte for byte. The ages differ in the
    words that several devices need; all else is tested above.
    """
    two = ['--device', '0,1']
    runs = [([], '1 2'), (two, '2'), (['--direct'], '2'), (['--direct', *two], '1')]
    for options, sizes in runs if age == '2025' else [(two, '1 2')]:
        done = evaluate(work, user, *options, '--batch_sizes', sizes, age=age)
        for batch_size in sizes.split():
            assert (work / f'result_bs{batch_size}.json').read_text() == expected[1]
        if '0,1' in options:
            assert 'device0: ' in done.stdout and 'device1: ' in done.stdout
        assert f'on NPU {"0,1" if "0,1" in options else "0"}, batch size {sizes[-1]}' in done.stdout


def test_without_aclruntime_the_onnx_file_is_run(work, user, small):
    assert evaluate(work, user, check=False, STAND_IN_NO_ACLRUNTIME='1').returncode == 1
    shutil.copy(small.sim, work)
    done = evaluate(work, user, '--batch_sizes', '1', STAND_IN_NO_ACLRUNTIME='1')
    assert 'needs aclruntime (' in done.stdout and 'without an NPU' in done.stdout


# ---- test/offline_inference_testcase.sh --------------------------------------------------------------


# Stands for `python`: the export and onnxsim copy what they would make. test_readme.py runs it as it is.
PYTHON_STUB = """case "$*" in
*pytorch2onnx.py*) for word; do case $word in --output-file=*) exec cp {onnx} "${{word#*=}}" ;; esac; done ;;
*'-m onnxsim'*) shift $(($# - 1)) && exec cp {sim} "$1" ;;
*) exec {python} "$@" ;;
esac
"""


@pytest.mark.parametrize('npu', [True, False])
def test_the_offline_testcase(small, dataset, tmp_path, npu):
    """On two NPUs of stand-ins, and on a machine without any: it ends in success, with figures."""
    stub = write_program(tmp_path / 'bin/python', PYTHON_STUB.format(onnx=small.onnx, sim=small.sim,
                                                                     python=sys.executable))
    env = environment() if npu else dict(STAND_IN_NO_ACLRUNTIME='1', PATH=os.environ['PATH'])
    env.update(VIRTUAL_ENV=sys.prefix, PATH=f'{stub.parent}:{sys.prefix}/bin:{env["PATH"]}')
    done = run('bash', ROOT / 'test/offline_inference_testcase.sh', '--config', small.config, '--checkpoint',
               small.checkpoint, '--work_dir', tmp_path / 'work', '--videos', 2, '--loop', 3, '--device', '0,1',
               cwd=dataset, env=env)
    assert done.stdout.splitlines()[-1] == 'Run testcase success!'
    rows = json.loads((tmp_path / 'work/compare.json').read_text())['models']
    assert [row['step'] for row in rows] == ['export', 'simplification', 'conversion', 'conversion'][:4 if npu else 2]
    assert 'throughput 1000*batchsize' in done.stdout + done.stderr


def test_the_offline_testcase_fails(small, dataset):
    done = run('bash', ROOT / 'test/offline_inference_testcase.sh', '--config', small.config, '--checkpoint',
               small.checkpoint, '--work_dir', small.config, cwd=dataset, check=False)  # which is a file
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == 'Run testcase failed!'
