# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Killed runs, two runs at a time, full disks: nothing half, nothing mixed, and the same command goes on.

Here runs are killed at chosen moments; at random ones, in test_kills.py.
"""
import collections
import itertools
import json
import os
import re
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash
from conftest import ROOT, STAND_INS, call, copy_short_videos, run, start
from runs import ForkedRun, Run, processes, wait_for

import r2plus1d_report
from r2plus1d.bins import check_digest, read_info
from r2plus1d.output_files import OutputWriter
from r2plus1d.run import InputError
from r2plus1d.store import replace_folder

SECONDS = 60
COPIES = 5  # of each of three short videos
VIDEOS = 3 * COPIES
SAMPLE = 3 * 3 * 8 * 256 * 256 * 4  # bytes
OTHER_INTERVAL = ['--cfg-options', 'data.test.pipeline.0.frame_interval=4']


@pytest.fixture(scope='module', autouse=True)
def videos(dataset, tmp_path_factory):
    """The folder of all work: a data set of 15 videos, so that preprocessing takes long enough to be hit."""
    folder = tmp_path_factory.mktemp('videos')
    copy_short_videos(dataset, folder, COPIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope='module')
def whole(videos, small):
    """The bins of an undisturbed run."""
    preprocess(small, videos / 'whole')
    return videos / 'whole'


@pytest.fixture(scope='module')
def killed(videos, small):
    """What a run that was killed has left of videos/bins."""
    started = start_preprocess(small, videos / 'bins', '--workers=1')
    wait_for(lambda: len(done_bins(videos / 'bins.part')) > 3)
    started.signal(signal.SIGKILL, 'group')
    started.ended()
    return videos


@pytest.fixture
def left(killed, tmp_path):
    """The same, for one test."""
    shutil.copytree(killed / 'bins.part', tmp_path / 'bins.part')
    shutil.copy(killed / 'bins.lock', tmp_path)
    return tmp_path / 'bins'


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def preprocess(small, output, *options, check=True):
    return call('r2plus1d_preprocess', f'--config={small.config}', f'--output_path={output}', *options, check=check)


def start_preprocess(small, output, *options):
    return ForkedRun(os.getcwd(), ROOT / 'r2plus1d_preprocess.py', f'--config={small.config}',
                     f'--output_path={output}/', *options, logs=output.parent)


def inference(model, bins, output, *options):
    return [ROOT / 'r2plus1d_infer.py', '--model', model, '--input', bins, '--outfmt', 'TXT', '--backend',
            'onnxruntime', '--output', output, *options]


def evaluate(small, folder):
    shutil.copy(small.sim, folder / 'r2plus1d_sim.onnx')
    return Run(os.getcwd(), 'bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--batch_sizes', '2',
               '--reference', '0', '--work_dir', folder, logs=folder)


def last_line(text):
    assert 'Traceback' not in text, text
    return text.strip().rpartition('\n')[2]


def done_bins(folder):
    """{name: number of its inode} of the bins that an unfinished run has noted as done."""
    journal = folder / 'done.txt'
    names = [line.split()[0] for line in journal.read_text().split('\n') if line] if journal.is_file() else []
    return {name: (folder / name).stat().st_ino for name in names}


# ---- interrupted preprocessing -----------------------------------------------------------------------


@pytest.mark.parametrize('number, victim, status, words', [
    (signal.SIGTERM, 'script', 143, 'SIGTERM'),
    (signal.SIGTERM, 'group', 143, 'SIGTERM'),
    (signal.SIGINT, 'script', 130, 'Ctrl-C'),
    (signal.SIGINT, 'group', 130, 'Ctrl-C'),
    (signal.SIGKILL, 'script', -9, ''),
    (signal.SIGKILL, 'group', -9, ''),
    (signal.SIGKILL, 'worker', 1, 'a process that makes the files was ended'),
])
def test_preprocessing_goes_on(tmp_path, small, whole, number, victim, status, words):
    """Bins that are done are not made again, and the files are those of an undisturbed run, byte for byte."""
    bins, part = tmp_path / 'bins', tmp_path / 'bins.part'
    first = start_preprocess(small, bins, '--workers=2')
    wait_for(lambda: len(done_bins(part)) > 2)
    first.signal(number, victim)
    sent = time.monotonic()
    found, text = first.ended()
    assert found == status, text
    assert time.monotonic() - sent < 12 and words in last_line(text)
    assert not bins.exists()
    done = done_bins(part)
    assert 2 < len(done) < VIDEOS
    assert f'{len(done)} of {VIDEOS} files were done' in preprocess(small, bins).stderr
    assert {name: (bins / name).stat().st_ino for name in done} == done
    assert files(bins) == files(whole)
    assert not list(tmp_path.glob('bins.*'))


@pytest.mark.parametrize('change', [['--dtype=uint8'], ['--bts=3'], OTHER_INTERVAL, ['--overwrite']])
def test_what_another_run_has_left_is_not_taken(left, small, change):
    """All bins are of the new run, and info.json notes their digests."""
    assert 'goes on' not in preprocess(small, left, *change).stderr
    preprocess(small, left.with_name('other'), *change)
    found = files(left)
    assert found == files(left.with_name('other'))
    assert json.loads(found.pop('info.json'))['bins'] == {
        name: xxhash.xxh3_128_hexdigest(content) for name, content in found.items()} != {}


def test_a_damaged_state_is_not_taken(left, small, whole):
    """A bin that is too short, a bin that is noted and gone, half a line in the journal: made again."""
    part = left.with_name('bins.part')
    names = list(done_bins(part))
    (part / names[0]).unlink()
    os.truncate(part / names[1], 1000)
    text = (part / 'done.txt').read_text()
    (part / 'done.txt').write_text(text.replace(f'\n{names[2]} ', f'\n{names[2][:5]}').rstrip()[:-3])
    (part / '7.part').write_bytes(b'half')
    preprocess(small, left)
    assert files(left) == files(whole)


# ---- whole folders -----------------------------------------------------------------------------------


def killed_at_each_change(prepare, function):
    """Yields each time when FUNCTION, after PREPARE(), ran in a process that ended at its next change of a folder.

    The first process ends at its first change, and the last one, which makes fewer changes, at the end of FUNCTION.
    """
    for step in itertools.count():
        prepare()
        pid = os.fork()
        if not pid:
            end_at_change(step)
            try:
                function()
            finally:
                os._exit(0)
        is_killed = os.waitpid(pid, 0)[1] != 0
        yield
        if not is_killed:
            assert step > 6
            return


def end_at_change(step):
    """From here on this process ends at its STEP-th change of a folder."""
    left = itertools.count(step, -1)

    def counting(change):
        def counted(*arguments, **keywords):
            if not next(left):
                os._exit(1)
            return change(*arguments, **keywords)
        return counted

    for name in ('rename', 'replace', 'unlink', 'rmdir', 'mkdir'):
        setattr(os, name, counting(getattr(os, name)))
    shutil._use_fd_functions = False  # so that each file that rmtree() deletes is a change


def write_run(folder, value, count):
    """What an inference with COUNT files does, with outputs that all are VALUE."""
    with OutputWriter(str(folder), 'run', 'TXT') as outputs:
        for i in range(count):
            outputs.add(i, [f'bins/bin{i}-{i}_0.bin'], [np.full((3, 5), value)])
        outputs.finish({'value': value})


def test_outputs_of_two_runs_are_never_mixed(tmp_path):
    """A run of 4 with another model into the folder of a run of 6, killed at each of its steps."""
    out = tmp_path / 'out'

    def prepare():
        shutil.rmtree(out, ignore_errors=True)
        write_run(out, 1, 6)

    for _ in killed_at_each_change(prepare, lambda: write_run(out, 2, 4)):
        if (out / 'run_summary.json').exists() and (out / 'run').exists():  # the old outputs go before their summary
            value = json.loads((out / 'run_summary.json').read_text())['value']
            outputs = sorted((out / 'run').iterdir())
            assert len(outputs) == {1: 6, 2: 4}[value]
            assert all((np.loadtxt(path) == value).all() for path in outputs)
        write_run(out, 2, 4)
        assert sorted(os.listdir(out)) == ['run', 'run_summary.json'] and len(os.listdir(out / 'run')) == 4


def test_a_folder_is_replaced_whole(tmp_path):
    """At each moment the name stands for all of the old files, all of the new ones, or nothing."""
    old, new = ({f'{kind}{i}': kind.encode() for i in range(5)} for kind in ('old', 'new'))

    def prepare():
        for name in os.listdir(tmp_path):
            shutil.rmtree(tmp_path / name)
        for name, content in (('f', old), ('f.part', new)):
            (tmp_path / name).mkdir()
            for file_name, data in content.items():
                (tmp_path / name / file_name).write_bytes(data)

    for _ in killed_at_each_change(prepare, lambda: replace_folder(f'{tmp_path}/f.part', f'{tmp_path}/f')):
        assert not (tmp_path / 'f').exists() or files(tmp_path / 'f') in (old, new)
    assert files(tmp_path / 'f') == new


# ---- one writer --------------------------------------------------------------------------------------


@pytest.mark.parametrize('name, lock, made, at_the_end', [
    ('preprocess', 'bins.lock', 'bins*', ['bins']),
    ('infer', 'out/a.lock', 'out/*', ['out/a', 'out/a_summary.json']),
    ('evaluate', 'predata_bts1.lock', 'result*', ['result_bs2.json']),
])
def test_a_second_run_is_refused(tmp_path, small, whole, name, lock, made, at_the_end):
    """Because of the first one, which is stopped as long, and then ends as always."""
    def begin():
        if name == 'infer':
            return ForkedRun(tmp_path, *inference(small.sim, whole, 'out', '--output_dirname', 'a'))
        return evaluate(small, tmp_path) if name == 'evaluate' else start_preprocess(small, tmp_path / 'bins')

    first, lock = begin(), tmp_path / lock
    # For a moment after it is made, the lock file is empty and does not name FIRST yet.
    wait_for(lambda: (lock.exists() and lock.read_text()) or first.has_ended())
    assert lock.exists(), first.log.read_text()
    os.killpg(first.pid, signal.SIGSTOP)
    started = time.monotonic()
    status, text = begin().ended()
    seconds = time.monotonic() - started
    os.killpg(first.pid, signal.SIGCONT)
    assert status == 1 and seconds < 15
    # The shell scripts know by a lock of their own that there is another run, and not which.
    assert (str(first.pid) in text or 'another run works there' in text) and 'Traceback' not in text
    assert first.ended()[0] == 0
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob(made)) == at_the_end
    if name == 'preprocess':
        assert files(tmp_path / 'bins') == files(whole)
    if name == 'evaluate':
        assert json.loads((tmp_path / 'result_bs2.json').read_text())['num_videos'] == VIDEOS


def test_inferences_of_the_same_second(tmp_path, small, whole):
    """Without a name each has a folder of its own, and all outputs in it."""
    for started in [ForkedRun(tmp_path, *inference(small.sim, whole, 'out')) for _ in range(2)]:
        status, text = started.ended()
        assert status == 0, text
    first, second = (files(folder) for folder in (tmp_path / 'out').iterdir() if folder.is_dir())
    assert first == second and len(first) == VIDEOS and len(os.listdir(tmp_path / 'out')) == 4


# ---- provenance --------------------------------------------------------------------------------------


def test_an_older_info_json_is_taken(tmp_path):
    """It has other digests, and notes no sources."""
    old = {'dtype': 'float32', 'shape': [1], 'bts': 1, 'num_videos': 1, 'bins': {'bin0-0_7.bin': '0' * 32}}
    (tmp_path / 'info.json').write_text(json.dumps(old))
    info = read_info(str(tmp_path))
    assert info.num_videos == 1 and info.sources is None and info.has_old_digests()
    assert not check_digest('bin0-0_7.bin', np.ones(1, np.float32), info)
    with pytest.raises(InputError, match='is not one of the 1 files'):
        check_digest('bin1-1_7.bin', np.ones(1, np.float32), info)


def test_what_is_changed_after_the_inference(tmp_path, small, whole):
    """The model is said. Bins that were made anew are refused: of another list, of as many videos, the labels stand in
    the names; of another pipeline, that is only in info.json.
    """
    bins, model, summary, other = (tmp_path / name for name in ('bins', 'm.onnx', 'out/run_summary.json', 'other.txt'))

    def postprocess(check=True):
        return call('r2plus1d_postprocess', f'--result_path={tmp_path}/out/run', check=check)

    shutil.copytree(whole, bins, copy_function=os.link)
    shutil.copy(small.sim, model)
    start(*inference(model, bins, tmp_path / 'out', '--output_dirname', 'run'))
    good = postprocess()
    assert 'not checked' not in good.stderr and 'm.onnx' not in good.stderr
    model.write_bytes(model.read_bytes() + b' ')
    done = postprocess()
    assert done.stdout == good.stdout and 'm.onnx was changed since the inference' in done.stderr
    lines = Path('data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines(keepends=True)
    other.write_text(''.join(lines[::-1]))
    for options in (OTHER_INTERVAL, ['--cfg-options', f'data.test.ann_file={other}']):
        preprocess(small, bins, *options)
        done = postprocess(check=False)
        assert done.returncode == 1 and not done.stdout
        assert re.search('run_summary.json.*made anew', last_line(done.stderr))
    shutil.rmtree(bins)
    done = postprocess()
    assert done.stdout == good.stdout and 'not checked: whether its .bin files' in done.stderr

    shutil.copytree(whole, bins, copy_function=os.link)
    content = json.loads(summary.read_text())
    for key in ('model_sha256', 'info_sha256'):  # which ais_bench does not write
        assert len(content.pop(key)) == 64
    summary.write_text(json.dumps(content))
    done = postprocess()
    assert done.stdout == good.stdout and done.stderr.count('not checked') == 1


# ---- full disks --------------------------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path):
    """A function that mounts a file system of a given size, in bytes, or changes the size of the one it has mounted."""
    folder = tmp_path / 'disk'
    folder.mkdir()

    def mount(size):
        action = 'remount,' if os.path.ismount(folder) else ''
        done = run('mount', '-t', 'tmpfs', '-o', f'{action}size={size}', 'tmpfs', folder, check=False)
        if done.returncode:
            pytest.skip('needs the right to mount file systems')
        return folder

    yield mount
    if os.path.ismount(folder):
        run('umount', folder)


def test_preprocessing_on_a_full_disk(small, whole, disk, monkeypatch):
    """The disk fills up although there was room at the beginning."""
    usage = collections.namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 1 << 40))
    path = disk(5 * SAMPLE + 10 ** 6) / 'bins'
    done = preprocess(small, path, check=False)
    assert done.returncode == 1 and not path.exists()
    assert re.search(r'bins\.part/.*No space left on device; make room', last_line(done.stderr))
    disk(20 * SAMPLE)
    assert 'goes on' in preprocess(small, path).stderr
    assert files(path) == files(whole) and os.listdir(path.parent) == ['bins']


@pytest.mark.parametrize('kind', ['TXT', 'NPY', 'BIN'])
def test_inference_on_a_full_disk(small, whole, disk, kind):
    folder = disk(40000)
    command = inference(small.sim, whole, folder / 'out', '--output_dirname', 'run', '--outfmt', kind)
    done = start(*command, check=False)
    assert done.returncode == 1 and os.listdir(folder / 'out') == []
    assert re.search('run.part/bin.*No space left on device; make room', last_line(done.stderr))
    disk(10 ** 6)
    start(*command)
    assert len(os.listdir(folder / 'out/run')) == VIDEOS


def test_a_file_that_grows_too_large(small, tmp_path):
    """The limit of a user's files (ulimit -f), which needs no mounted file system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SAMPLE // 2, limits[1]))
    try:
        done = preprocess(small, tmp_path / 'bins', check=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.returncode == 1 and not os.listdir(tmp_path)
    assert re.search(r'bins\.part/.*make room', last_line(done.stderr))


def test_a_report_is_written_whole_or_not(disk):
    folder = disk(50000) / 'report'
    with pytest.raises(OSError) as caught:
        r2plus1d_report.write_page(str(folder / 'index.html'), bytes(60000))
    assert 'index.html' in caught.value.filename and os.listdir(folder) == []
    disk(10 ** 6)
    r2plus1d_report.write_page(str(folder / 'index.html'), bytes(60000))
    assert files(folder) == {'index.html': bytes(60000)}


# ---- the shell test, and devices -----------------------------------------------------------------------


@pytest.mark.parametrize('number, victim, status', [(signal.SIGTERM, 'script', 143), (signal.SIGINT, 'group', 130),
                                                    (signal.SIGKILL, 'script', -9)])
@pytest.mark.parametrize('moment', ['predata_bts1.part/done.txt', 'predata_bts1_bs2_out/*.part'])
def test_an_evaluation_ends_with_all_its_processes(tmp_path, small, whole, number, victim, status, moment):
    if 'out' in moment:
        shutil.copytree(whole, tmp_path / 'predata_bts1', copy_function=os.link)
    started = evaluate(small, tmp_path)
    wait_for(lambda: list(tmp_path.glob(moment)))
    started.signal(number, victim)
    found, text = started.ended()
    assert found == status and 'Traceback' not in text
    assert number == signal.SIGKILL or text.endswith('fail!\n')
    assert not list(tmp_path.glob('result*'))


@pytest.fixture(scope='module')
def om(small, npu, tmp_path_factory):
    path = tmp_path_factory.mktemp('om') / 'm'
    run('atc', '--framework=5', f'--model={small.sim}', f'--output={path}', '--input_shape=0:1,3,3,8,256,256',
        '--soc_version=Ascend310P3', env=npu)
    return path.with_suffix('.om')


@pytest.mark.parametrize('number, status', [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_process_of_a_device_ends(tmp_path, whole, om, number, status):
    """In the middle of a batch too."""
    env = dict(PYTHONPATH=str(STAND_INS), STAND_IN_LATENCY_MS='300', STAND_IN_NO_COMPUTE='1')
    started = Run(tmp_path, sys.executable, ROOT / 'r2plus1d_infer.py', '--model', om, '--input', whole, '--output',
                  'out', env=env)
    wait_for(lambda: list(tmp_path.glob('out/*.part/*')))
    assert len(processes(started.pid)) == 2
    started.signal(number)
    found, text = started.ended()
    assert found == status and 'Traceback' not in text, text


# ---- signals in odd places ---------------------------------------------------------------------------

SCRIPT = """
import os, signal, sys, threading, time
from r2plus1d.pools import fork_workers
from r2plus1d.run import import_library, script_main

@script_main
def main():
    thread = threading.Thread(target=time.sleep, args=[60], daemon=True)
    thread.start()
    if 'fork' in sys.argv[1]:
        victim = thread if 'thread' in sys.argv[1] else threading.main_thread()
        os.register_at_fork(before=lambda: (signal.pthread_kill(victim.ident, signal.SIGTERM), time.sleep(0.2)))
        fork_workers(1)
    if 'import' in sys.argv[1]:
        import_library('aborts')
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print('cleans up', flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

main()
"""


ABORTS = """import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
except KeyboardInterrupt:  # as parts in C++ do
    os.abort()
"""


@pytest.mark.parametrize('place, status, stdout', [('in a fork', 143, ''), ('in a fork, to another thread', 143, ''),
                                                   ('in an import', 143, ''),
                                                   ('at the end', -signal.SIGINT, 'cleans up\n')])
def test_signals_in_odd_places(tmp_path, place, status, stdout):
    """Within a fork, where Python only prints what a handler raises; within the import of a library that aborts for it;
    a second one while a script ends: at once."""
    (tmp_path / 'aborts.py').write_text(ABORTS)
    done = run(sys.executable, '-c', SCRIPT, place, check=False, timeout=30, cwd=ROOT,
               env={'PYTHONPATH': str(tmp_path)})
    assert (done.returncode, done.stdout) == (status, stdout) and 'Traceback' not in done.stderr
    assert done.stderr.count('\n') == (1 if status == 143 else 0)
