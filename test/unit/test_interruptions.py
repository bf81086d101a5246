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
LIST = 'data/ucf101/ucf101_val_split_1_rawframes.txt'
OTHER_INTERVAL = ['--cfg-options', 'data.test.pipeline.0.frame_interval=4']


@pytest.fixture(scope='module')
def videos(dataset, tmp_path_factory):
    """A data set of 15 videos, so that preprocessing takes long enough to be hit."""
    folder = tmp_path_factory.mktemp('videos')
    copy_short_videos(dataset, folder, COPIES)
    return folder


@pytest.fixture
def many(videos, tmp_path):
    """A folder with that data set, for one test."""
    (tmp_path / 'data').symlink_to(videos / 'data')
    return tmp_path


@pytest.fixture(scope='module')
def whole(videos, small):
    """The bins of an undisturbed run."""
    preprocess(videos, small, '--output_path=whole')
    return videos / 'whole'


@pytest.fixture(scope='module')
def killed(videos, small):
    """A folder with what a run that was killed has left of its bins."""
    started = start_preprocess(videos, small, '--workers=1')
    wait_for(lambda: len(done_bins(videos / 'bins.part')) > 3)
    started.signal(signal.SIGKILL, 'group')
    started.ended()
    return videos


@pytest.fixture
def left(many, killed):
    """The same, for one test."""
    shutil.copytree(killed / 'bins.part', many / 'bins.part')
    shutil.copy(killed / 'bins.lock', many)
    return many


def files(folder):
    """{name: content} of the files in a folder; of an info.json without the paths, which hang on the place of the work.
    """
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    if 'info.json' in found:
        info = json.loads(found['info.json'])
        found['info.json'] = {key: value for key, value in info.items() if key not in ('config', 'list')}
    return found


def preprocess(folder, small, *options, check=True):
    return call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', *options, cwd=folder,
                check=check)


def start_preprocess(folder, small, *options):
    return ForkedRun(folder, ROOT / 'r2plus1d_preprocess.py', f'--config={small.config}', '--output_path=bins/',
                     *options)


def inference(model, bins, *options):
    return [ROOT / 'r2plus1d_infer.py', '--model', model, '--input', bins, '--outfmt', 'TXT', '--backend',
            'onnxruntime', '--output', 'out', *options]


def evaluate(folder, small):
    shutil.copy(small.sim, folder / 'r2plus1d_sim.onnx')
    return Run(folder, 'bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--batch_sizes', '2',
               '--reference', '0')


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
def test_preprocessing_goes_on(many, small, whole, number, victim, status, words):
    """Bins that are done are not made again, and the files are those of an undisturbed run, byte for byte."""
    first = start_preprocess(many, small, '--workers=2')
    wait_for(lambda: len(done_bins(many / 'bins.part')) > 2)
    first.signal(number, victim)
    sent = time.monotonic()
    found, text = first.ended()
    assert found == status, text
    assert time.monotonic() - sent < 12 and words in last_line(text)
    assert not (many / 'bins').exists()
    done = done_bins(many / 'bins.part')
    assert 2 < len(done) < VIDEOS
    assert f'{len(done)} of {VIDEOS} files were done' in preprocess(many, small).stderr
    assert {name: (many / 'bins' / name).stat().st_ino for name in done} == done
    assert files(many / 'bins') == files(whole)
    assert not list(many.glob('bins.*'))


@pytest.mark.parametrize('change', [['--dtype=uint8'], ['--bts=3'], OTHER_INTERVAL, ['--overwrite']])
def test_what_another_run_has_left_is_not_taken(left, small, change):
    """All bins are of the new run, and info.json notes their digests."""
    assert 'goes on' not in preprocess(left, small, *change).stderr
    preprocess(left, small, '--output_path=other', *change)
    found = files(left / 'bins')
    assert found == files(left / 'other')
    assert found.pop('info.json')['bins'] == {
        name: xxhash.xxh3_128_hexdigest(content) for name, content in found.items()} != {}


def test_a_damaged_state_is_not_taken(left, small, whole):
    """A bin that is too short, a bin that is noted and gone, half a line in the journal: made again."""
    part = left / 'bins.part'
    names = list(done_bins(part))
    (part / names[0]).unlink()
    os.truncate(part / names[1], 1000)
    text = (part / 'done.txt').read_text()
    (part / 'done.txt').write_text(text.replace(f'\n{names[2]} ', f'\n{names[2][:5]}').rstrip()[:-3])
    (part / '7.part').write_bytes(b'half')
    preprocess(left, small)
    assert files(left / 'bins') == files(whole)


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
def test_a_second_run_is_refused(many, small, whole, name, lock, made, at_the_end):
    """Because of the first one, which is stopped as long, and then ends as always."""
    def begin():
        if name == 'infer':
            return ForkedRun(many, *inference(small.sim, whole, '--output_dirname', 'a'))
        return evaluate(many, small) if name == 'evaluate' else start_preprocess(many, small)

    first, lock = begin(), many / lock
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
    assert sorted(str(path.relative_to(many)) for path in many.glob(made)) == at_the_end
    if name == 'preprocess':
        assert files(many / 'bins') == files(whole)
    if name == 'evaluate':
        assert json.loads((many / 'result_bs2.json').read_text())['num_videos'] == VIDEOS


def test_inferences_of_the_same_second(many, small, whole):
    """Without a name each has a folder of its own, and all outputs in it."""
    for started in [ForkedRun(many, *inference(small.sim, whole)) for _ in range(2)]:
        status, text = started.ended()
        assert status == 0, text
    outputs = [files(folder) for folder in (many / 'out').iterdir() if folder.is_dir()]
    assert len(outputs) == 2 and len(outputs[0]) == VIDEOS and outputs[0] == outputs[1]
    assert len(os.listdir(many / 'out')) == 4


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


def test_what_is_changed_after_the_inference(many, small, whole):
    """The model is said. Bins that were made anew are refused: of another list, of as many videos, the labels stand in
    the names; of another pipeline, that is only in info.json.
    """
    def link_bins():
        shutil.copytree(whole, many / 'bins', copy_function=os.link)

    def postprocess(check=True):
        return call('r2plus1d_postprocess', '--result_path=out/run', cwd=many, check=check)

    link_bins()
    shutil.copy(small.sim, many / 'm.onnx')
    start(*inference('m.onnx', 'bins', '--output_dirname', 'run'), cwd=many)
    good = postprocess()
    assert 'not checked' not in good.stderr and 'm.onnx' not in good.stderr
    with open(many / 'm.onnx', 'ab') as f:
        f.write(b' ')
    done = postprocess()
    assert done.stdout == good.stdout and 'm.onnx was changed since the inference' in done.stderr
    (many / 'other.txt').write_text(''.join((many / LIST).read_text().splitlines(keepends=True)[::-1]))
    for options in (OTHER_INTERVAL, ['--cfg-options', 'data.test.ann_file=other.txt']):
        preprocess(many, small, *options)
        done = postprocess(check=False)
        assert done.returncode == 1 and not done.stdout
        assert re.search('run_summary.json.*made anew', last_line(done.stderr))
    shutil.rmtree(many / 'bins')
    done = postprocess()
    assert done.stdout == good.stdout and 'not checked: whether its .bin files' in done.stderr

    link_bins()
    summary = json.loads((many / 'out/run_summary.json').read_text())
    for key in ('model_sha256', 'info_sha256'):  # which ais_bench does not write
        assert len(summary.pop(key)) == 64
    (many / 'out/run_summary.json').write_text(json.dumps(summary))
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


def test_preprocessing_on_a_full_disk(many, small, whole, disk, monkeypatch):
    """The disk fills up although there was room at the beginning."""
    usage = collections.namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 1 << 40))
    path = disk(5 * SAMPLE + 10 ** 6) / 'bins'
    done = preprocess(many, small, f'--output_path={path}', check=False)
    assert done.returncode == 1 and not path.exists()
    assert re.search(r'bins\.part/.*No space left on device; make room', last_line(done.stderr))
    disk(20 * SAMPLE)
    assert 'goes on' in preprocess(many, small, f'--output_path={path}').stderr
    assert files(path) == files(whole) and os.listdir(path.parent) == ['bins']


@pytest.mark.parametrize('kind', ['TXT', 'NPY', 'BIN'])
def test_inference_on_a_full_disk(small, whole, disk, kind):
    folder = disk(40000)
    command = inference(small.sim, whole, '--output', folder / 'out', '--output_dirname', 'run', '--outfmt', kind)
    done = start(*command, check=False)
    assert done.returncode == 1 and os.listdir(folder / 'out') == []
    assert re.search('run.part/bin.*No space left on device; make room', last_line(done.stderr))
    disk(10 ** 6)
    start(*command)
    assert len(os.listdir(folder / 'out/run')) == VIDEOS


def test_a_file_that_grows_too_large(many, small):
    """The limit of a user's files (ulimit -f), which needs no mounted file system."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SAMPLE // 2, limits[1]))
    try:
        done = preprocess(many, small, check=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.returncode == 1 and not list(many.glob('bins*'))
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
def test_an_evaluation_ends_with_all_its_processes(many, small, whole, number, victim, status, moment):
    if 'out' in moment:
        shutil.copytree(whole, many / 'predata_bts1', copy_function=os.link)
    started = evaluate(many, small)
    wait_for(lambda: list(many.glob(moment)))
    started.signal(number, victim)
    found, text = started.ended()
    assert found == status and 'Traceback' not in text
    assert number == signal.SIGKILL or text.endswith('fail!\n')
    assert not list(many.glob('result*'))


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
import os, signal, sys, time
from r2plus1d.run import fork_workers, script_main

@script_main
def main():
    if sys.argv[1] == 'in a fork':
        os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))
        fork_workers(1)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print('cleans up', flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

main()
"""


@pytest.mark.parametrize('place, status, stdout', [('in a fork', 143, ''),
                                                   ('at the end', -signal.SIGINT, 'cleans up\n')])
def test_signals_in_odd_places(place, status, stdout):
    """Within a fork, where Python only prints what a handler raises; a second one while a script ends: at once."""
    done = run(sys.executable, '-c', SCRIPT, place, check=False, timeout=30, cwd=ROOT)
    assert (done.returncode, done.stdout) == (status, stdout) and 'Traceback' not in done.stderr
    assert done.stderr.count('\n') == (1 if status == 143 else 0)
