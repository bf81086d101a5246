# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Killed runs, two runs at a time, full disks: nothing half, nothing mixed, and the same command goes on.

Here runs are killed at chosen moments; at random ones, in test_kills.py.
"""
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xxhash
from conftest import ROOT, STAND_INS, call, run
from runs import Run, processes, wait_for

import r2plus1d.store
import r2plus1d_report
from r2plus1d.bins import check_digest, read_info
from r2plus1d.output_files import OutputWriter
from r2plus1d.run import InputError
from r2plus1d.store import claim

SECONDS = 110
COPIES = 8  # of each of two short videos


@pytest.fixture(scope='session')
def videos(dataset, tmp_path_factory):
    """A data set of 16 videos, so that preprocessing takes long enough to be hit."""
    folder = tmp_path_factory.mktemp('videos')
    data = folder / 'data/ucf101'
    lines = []
    for i in range(COPIES):
        for video, frames, label in (('Basketball/v_Basketball_g01_c01', 29, 1), ('YoYo/v_YoYo_g01_c01', 64, 2)):
            name = f'{video}{i}'
            shutil.copytree(dataset / 'data/ucf101/rawframes' / video, data / 'rawframes' / name)
            lines.append(f'{name} {frames} {label}\n')
    (data / 'ucf101_val_split_1_rawframes.txt').write_text(''.join(lines))
    return folder


@pytest.fixture
def many(videos, tmp_path):
    """A folder with that data set, for one test."""
    (tmp_path / 'data').symlink_to(videos / 'data')
    return tmp_path


@pytest.fixture(scope='session')
def whole(videos, small):
    """The bins of an undisturbed run."""
    call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=whole', cwd=videos)
    return videos / 'whole'


def files(folder):
    """{name: content} of the files in a folder; of an info.json without the paths, which hang on the place of the work.
    """
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    if 'info.json' in found:
        info = json.loads(found['info.json'])
        found['info.json'] = {key: value for key, value in info.items() if key not in ('config', 'list')}
    return found


def preprocess(many, small, name, *options, **keywords):
    return Run(many, sys.executable, ROOT / 'r2plus1d_preprocess.py', f'--config={small.config}',
               f'--output_path={name}', *options, **keywords)


def infer(many, small, bins, *options, model=None, **keywords):
    return Run(many, sys.executable, ROOT / 'r2plus1d_infer.py', '--model', model or small.sim, '--input', bins,
               '--outfmt', 'TXT', '--backend', 'onnxruntime', '--output', 'out', *options, **keywords)


def one_line_of(text, *words):
    assert 'Traceback' not in text, text
    for word in words:
        assert str(word) in text.strip().splitlines()[-1], text


def done_bins(folder):
    """{name: number of its inode} of the bins that an unfinished run has noted as done."""
    journal = folder / 'done.txt'
    names = [line.split()[0] for line in journal.read_text().split('\n') if line] if journal.is_file() else []
    return {name: (folder / name).stat().st_ino for name in names}


# ---- interrupted preprocessing -----------------------------------------------------------------------


def test_a_signal_within_a_fork_is_not_lost(many, small):
    """Python only prints what is raised in the functions that it calls around a fork, where signals are handled too."""
    code = ('import os, runpy, signal, sys; os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM)); '
            'sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name="__main__")')
    done = subprocess.run([sys.executable, '-c', code, ROOT / 'r2plus1d_preprocess.py', f'--config={small.config}',
                           '--output_path=bins'], cwd=many, env={**os.environ, 'PYTHONPATH': str(ROOT)},
                          stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 143 and 'Traceback' not in done.stderr, done.stderr
    assert not (many / 'bins').exists()


@pytest.mark.parametrize('number, victim, status, words', [
    (signal.SIGTERM, 'script', 143, ['SIGTERM']),
    (signal.SIGTERM, 'group', 143, ['SIGTERM']),
    (signal.SIGINT, 'script', 130, ['Ctrl-C']),
    (signal.SIGINT, 'group', 130, ['Ctrl-C']),
    (signal.SIGKILL, 'script', -9, None),
    (signal.SIGKILL, 'group', -9, None),
    (signal.SIGKILL, 'worker', 1, ['a process that makes the files was ended']),
])
def test_preprocessing_goes_on(many, small, whole, number, victim, status, words):
    """Bins that are done are not made again, and the files are those of an undisturbed run, byte for byte."""
    first = preprocess(many, small, 'bins', '--workers=2')
    wait_for(lambda: len(done_bins(many / 'bins.part')) > 2)
    first.signal(number, victim)
    sent = time.monotonic()
    found, text = first.ended()
    assert found == status, text
    assert time.monotonic() - sent < 12  # s: PyTorch waits 5 s for each worker before it ends that one by force
    if words:
        one_line_of(text, *words)
    assert not (many / 'bins').exists()
    done = done_bins(many / 'bins.part')
    assert 2 < len(done) < 2 * COPIES
    found, text = preprocess(many, small, 'bins').ended()
    assert found == 0 and f'{len(done)} of {2 * COPIES} files were done' in text
    assert {name: (many / 'bins' / name).stat().st_ino for name in done} == done
    assert files(many / 'bins') == files(whole)
    assert not list(many.glob('bins.*'))


@pytest.mark.parametrize('change', [['--dtype=uint8'], ['--bts=2'],
                                    ['--cfg-options', 'data.test.pipeline.0.frame_interval=4'], ['--overwrite']])
def test_what_another_run_has_left_is_not_taken(many, small, change):
    started = preprocess(many, small, 'bins', '--workers=1')
    wait_for(lambda: len(done_bins(many / 'bins.part')) > 1)
    started.signal(signal.SIGKILL, 'group')
    started.ended()
    done = call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', *change, cwd=many)
    assert 'goes on' not in done.stderr
    call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=other', *change, cwd=many)
    assert files(many / 'bins') == files(many / 'other')


def test_a_damaged_state_is_not_taken(many, small, whole):
    """A bin that is too short, a bin that is noted and gone, half a line in the journal: made again."""
    started = preprocess(many, small, 'bins', '--workers=1')
    wait_for(lambda: len(done_bins(many / 'bins.part')) > 3)
    started.signal(signal.SIGKILL, 'group')
    started.ended()
    part = many / 'bins.part'
    names = list(done_bins(part))
    (part / names[0]).unlink()
    os.truncate(part / names[1], 1000)
    text = (part / 'done.txt').read_text()
    (part / 'done.txt').write_text(text.replace(f'\n{names[2]} ', f'\n{names[2][:5]}').rstrip()[:-3])
    (part / '7.part').write_bytes(b'half')
    call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', cwd=many)
    assert files(many / 'bins') == files(whole)


# ---- whole folders -----------------------------------------------------------------------------------


def killed_at(step, function):
    """Run a function in a process that ends at its STEP-th change of a folder; False if it made fewer."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1] != 0
    left = [step]

    def counting(change):
        def counted(*arguments, **keywords):
            left[0] -= 1
            if left[0] < 0:
                os._exit(1)
            return change(*arguments, **keywords)
        return counted

    for module, names in ((os, ('rename', 'replace', 'unlink', 'rmdir', 'mkdir')),):
        for name in names:
            setattr(module, name, counting(getattr(module, name)))
    shutil._use_fd_functions = False  # so that each file that rmtree() deletes is a change
    try:
        function()
    finally:
        os._exit(0)


def write_run(folder, value, count):
    """What an inference with COUNT files does, with outputs that all are VALUE."""
    with OutputWriter(str(folder), 'run', 'TXT') as outputs:
        for i in range(count):
            outputs.add(i, [f'bins/bin{i}-{i}_0.bin'], [np.full((3, 5), value)])
        outputs.finish({'value': value})


def test_outputs_of_two_runs_are_never_mixed(tmp_path):
    """A run of 4 with another model into the folder of a run of 6, killed at each of its steps."""
    step = 0
    killed = True
    while killed:
        shutil.rmtree(tmp_path / 'out', ignore_errors=True)
        write_run(tmp_path / 'out', 1, 6)
        killed = killed_at(step, lambda: write_run(tmp_path / 'out', 2, 4))
        step += 1
        summary = tmp_path / 'out/run_summary.json'
        if summary.exists() and (tmp_path / 'out/run').exists():  # the old outputs go before their summary
            value = json.loads(summary.read_text())['value']
            outputs = sorted((tmp_path / 'out/run').iterdir())
            assert len(outputs) == {1: 6, 2: 4}[value]
            assert all((np.loadtxt(path) == value).all() for path in outputs)
        write_run(tmp_path / 'out', 2, 4)
        assert sorted(os.listdir(tmp_path / 'out')) == ['run', 'run_summary.json']
        assert len(os.listdir(tmp_path / 'out/run')) == 4
    assert step > 10


def test_outputs_replace_nothing_else(tmp_path):
    (tmp_path / 'out/run').mkdir(parents=True)
    (tmp_path / 'out/run/notes.txt').write_text('mine')
    with pytest.raises(InputError, match='notes.txt'):
        write_run(tmp_path / 'out', 1, 2)
    assert os.listdir(tmp_path / 'out') == ['run'] and os.listdir(tmp_path / 'out/run') == ['notes.txt']


def test_a_folder_is_replaced_whole(tmp_path):
    """At each moment the name stands for all of the old files, all of the new ones, or nothing."""
    old, new = ({f'{kind}{i}': kind.encode() for i in range(5)} for kind in ('old', 'new'))
    step = 0
    killed = True
    while killed:
        for path in (tmp_path / 'f', tmp_path / 'f.part', tmp_path / 'f.old'):
            shutil.rmtree(path, ignore_errors=True)
        for name, content in (('f', old), ('f.part', new)):
            (tmp_path / name).mkdir()
            for file_name, data in content.items():
                (tmp_path / name / file_name).write_bytes(data)
        killed = killed_at(step, lambda: r2plus1d.store.replace_folder(f'{tmp_path}/f.part', f'{tmp_path}/f'))
        step += 1
        assert not (tmp_path / 'f').exists() or files(tmp_path / 'f') in (old, new)
    assert step > 6 and files(tmp_path / 'f') == new


# ---- one writer --------------------------------------------------------------------------------------


def refused_while(first, lock, second):
    """SECOND() is refused because of FIRST, a Run, which is stopped as long. Then FIRST ends as always."""
    # For a moment after it is made, the lock file is empty and does not name FIRST yet.
    wait_for(lambda: (lock.exists() and lock.read_text()) or first.has_ended())
    assert lock.exists(), first.log.read_text()
    os.killpg(first.pid, signal.SIGSTOP)
    started = time.monotonic()
    status, text = second().ended()
    seconds = time.monotonic() - started
    os.killpg(first.pid, signal.SIGCONT)
    assert status == 1 and seconds < 15
    # The shell scripts know by a lock of their own that there is another run, and not which.
    assert (str(first.pid) in text or 'another run works there' in text) and 'Traceback' not in text
    assert first.ended()[0] == 0


def test_a_second_preprocess_is_refused(many, small, whole):
    refused_while(preprocess(many, small, 'bins'), many / 'bins.lock', lambda: preprocess(many, small, 'bins/'))
    assert files(many / 'bins') == files(whole) and not list(many.glob('bins.*'))


def test_a_second_inference_is_refused(many, small, whole):
    refused_while(infer(many, small, whole, '--output_dirname', 'a'), many / 'out/a.lock',
                  lambda: infer(many, small, whole, '--output_dirname', 'a'))
    assert sorted(os.listdir(many / 'out')) == ['a', 'a_summary.json']


def test_inferences_of_the_same_second(many, small, whole):
    """Without a name each has a folder of its own, and all outputs in it."""
    for status, text in [started.ended() for started in [infer(many, small, whole) for _ in range(2)]]:
        assert status == 0, text
    outputs = [files(folder) for folder in (many / 'out').iterdir() if folder.is_dir()]
    assert len(outputs) == 2 and len(outputs[0]) == 2 * COPIES and outputs[0] == outputs[1]
    assert len(os.listdir(many / 'out')) == 4


def test_a_lock_ends_with_its_process(tmp_path):
    """A lock file without a lock, of a process that was killed, is no obstacle. Another host is named."""
    (tmp_path / 'f.lock').write_text('r2plus1d, process 1 on elsewhere\n')
    with claim(str(tmp_path / 'f')):
        (tmp_path / 'f.lock').write_text('r2plus1d, process 77 on elsewhere\n')
        with pytest.raises(InputError, match='process 77 on elsewhere'), claim(str(tmp_path / 'f')):
            pass
    assert not os.listdir(tmp_path)


# ---- provenance --------------------------------------------------------------------------------------


@pytest.mark.parametrize('bts, dtype', [(1, 'float32'), (3, 'uint8')])
def test_info_has_the_digests_of_the_bins(many, small, bts, dtype):
    call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', f'--bts={bts}', f'--dtype={dtype}',
         cwd=many)
    info = json.loads((many / 'bins/info.json').read_text())
    names = sorted(path.name for path in (many / 'bins').glob('*.bin'))
    assert sorted(info['bins']) == names
    for name in names:
        assert info['bins'][name] == xxhash.xxh3_128_hexdigest((many / 'bins' / name).read_bytes())


def test_an_older_info_json_is_taken(tmp_path):
    """It has other digests, and notes no sources."""
    old = {'dtype': 'float32', 'shape': [1], 'bts': 1, 'num_videos': 1, 'bins': {'bin0-0_7.bin': '0' * 32}}
    (tmp_path / 'info.json').write_text(json.dumps(old))
    info = read_info(str(tmp_path))
    assert info.num_videos == 1 and info.sources is None and info.has_old_digests()
    assert not check_digest('bin0-0_7.bin', np.ones(1, np.float32), info)
    with pytest.raises(InputError, match='is not one of the 1 files'):
        check_digest('bin1-1_7.bin', np.ones(1, np.float32), info)


@pytest.mark.parametrize('damage', ['a lost page', 'two files exchanged', 'a file of another list'])
def test_changed_bins_are_not_inferred(many, small, whole, damage):
    shutil.copytree(whole, many / 'bins')
    first, second = sorted((many / 'bins').glob('*.bin'))[:2]
    if damage == 'a lost page':
        with open(first, 'r+b') as f:
            f.seek(100 * 4096)
            f.write(bytes(4096))
    elif damage == 'two files exchanged':
        os.rename(first, many / 'bins/other')
        os.rename(second, first)
        os.rename(many / 'bins/other', second)
    else:
        first = first.rename(many / 'bins/bin0-0_7.bin')
    status, text = infer(many, small, 'bins').ended()
    assert status == 1 and os.listdir(many / 'out') == []
    one_line_of(text, first.name, 'info.json')


def test_bins_made_anew_after_the_inference(many, small, whole):
    """Another list, of as many videos: the labels stand in the names. Another pipeline: only in info.json."""
    shutil.copytree(whole, many / 'bins')
    assert infer(many, small, 'bins', '--output_dirname', 'run').ended()[0] == 0

    def postprocess():
        return call('r2plus1d_postprocess', '--result_path=out/run', cwd=many, check=False)

    good = postprocess()
    assert good.returncode == 0 and 'not checked' not in good.stderr
    for options in (['--cfg-options', 'data.test.pipeline.0.frame_interval=4'],
                    ['--cfg-options', 'data.test.ann_file=other.txt']):
        text = (many / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text()
        (many / 'other.txt').write_text(''.join(text.splitlines(keepends=True)[::-1]))
        call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', *options, cwd=many)
        done = postprocess()
        assert done.returncode == 1 and not done.stdout
        one_line_of(done.stderr, 'run_summary.json', 'made anew')
    shutil.rmtree(many / 'bins')
    done = postprocess()
    assert done.stdout == good.stdout and 'not checked: whether its .bin files' in done.stderr

    # As ais_bench writes it: no digests.
    shutil.copytree(whole, many / 'bins')
    summary = json.loads((many / 'out/run_summary.json').read_text())
    for key in ('model_sha256', 'info_sha256'):
        assert len(summary.pop(key)) == 64
    (many / 'out/run_summary.json').write_text(json.dumps(summary))
    done = postprocess()
    assert done.stdout == good.stdout and done.stderr.count('not checked') == 1


def test_another_model_file_is_said(many, small, whole):
    shutil.copy(small.sim, many / 'm.onnx')
    assert infer(many, small, whole, '--output_dirname', 'run', model='m.onnx').ended()[0] == 0
    with open(many / 'm.onnx', 'ab') as f:
        f.write(b' ')
    done = call('r2plus1d_postprocess', '--result_path=out', cwd=many)
    assert 'm.onnx was changed since the inference' in done.stderr


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


SAMPLE = 3 * 3 * 8 * 256 * 256 * 4


def test_preprocessing_on_a_full_disk(many, small, whole, disk, monkeypatch):
    """The disk fills up although there was room at the beginning."""
    import collections
    usage = collections.namedtuple('usage', 'total used free')
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 1 << 40))
    path = disk(5 * SAMPLE + 10 ** 6) / 'bins'
    options = [f'--config={small.config}', f'--output_path={path}']
    done = call('r2plus1d_preprocess', *options, cwd=many, check=False)
    assert done.returncode == 1 and not path.exists()
    one_line_of(done.stderr, 'bins.part/', 'No space left on device; make room')
    disk(20 * SAMPLE)
    done = call('r2plus1d_preprocess', *options, cwd=many)
    assert 'goes on' in done.stderr and files(path) == files(whole)
    assert os.listdir(path.parent) == ['bins']


@pytest.mark.parametrize('kind', ['TXT', 'NPY', 'BIN'])
def test_inference_on_a_full_disk(many, small, whole, disk, kind):
    folder = disk(40000)
    options = ['--output', folder / 'out', '--output_dirname', 'run', '--outfmt', kind]
    status, text = infer(many, small, whole, *options).ended()
    assert status == 1 and os.listdir(folder / 'out') == []
    one_line_of(text, 'run.part/bin', 'No space left on device; make room')
    disk(10 ** 6)
    assert infer(many, small, whole, *options).ended()[0] == 0
    assert len(os.listdir(folder / 'out/run')) == 2 * COPIES


def test_a_file_that_grows_too_large(many, small, whole):
    """The limit of a user's files (ulimit -f), which needs no mounted file system."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (SAMPLE // 2, SAMPLE // 2))

    status, text = preprocess(many, small, 'bins', limit=limit).ended()
    assert status == 1 and not list(many.glob('bins*'))
    one_line_of(text, 'bins.part/', 'make room')


def test_a_report_is_written_whole_or_not(tmp_path, disk):
    folder = disk(50000) / 'report'
    with pytest.raises(OSError) as caught:
        r2plus1d_report.write_page(str(folder / 'index.html'), bytes(60000))
    assert 'index.html' in caught.value.filename and os.listdir(folder) == []
    disk(10 ** 6)
    r2plus1d_report.write_page(str(folder / 'index.html'), bytes(60000))
    assert files(folder) == {'index.html': bytes(60000)}


# ---- the shell test, and devices -----------------------------------------------------------------------


def evaluate(many, small):
    shutil.copy(small.sim, many / 'r2plus1d_sim.onnx')
    return Run(many, 'bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--batch_sizes', '2',
               '--reference', '0')


@pytest.mark.parametrize('number, victim, status', [(signal.SIGTERM, 'script', 143), (signal.SIGINT, 'group', 130),
                                                    (signal.SIGKILL, 'script', -9)])
@pytest.mark.parametrize('moment', ['predata_bts1.part/done.txt', 'predata_bts1_bs2_out/*.part'])
def test_an_evaluation_ends_with_all_its_processes(many, small, number, victim, status, moment):
    started = evaluate(many, small)
    wait_for(lambda: list(many.glob(moment)))
    started.signal(number, victim)
    found, text = started.ended()
    assert found == status and 'Traceback' not in text
    assert number == signal.SIGKILL or text.endswith('fail!\n')
    assert not list(many.glob('result*'))


def test_a_second_evaluation_is_refused(many, small):
    refused_while(evaluate(many, small), many / 'predata_bts1.lock', lambda: evaluate(many, small))
    assert json.loads((many / 'result_bs2.json').read_text())['num_videos'] == 2 * COPIES


@pytest.mark.parametrize('number, status', [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_process_of_a_device_ends(many, small, whole, npu, number, status):
    """In the middle of a batch too."""
    run('atc', '--framework=5', f'--model={small.sim}', f'--output={many}/m', '--input_shape=0:1,3,3,8,256,256',
        '--soc_version=Ascend310P3', env=npu)
    env = dict(PYTHONPATH=str(STAND_INS), STAND_IN_LATENCY_MS='300', STAND_IN_NO_COMPUTE='1')
    started = Run(many, sys.executable, ROOT / 'r2plus1d_infer.py', '--model', 'm.om', '--input', whole, '--output',
                  'out', env=env)
    wait_for(lambda: list(many.glob('out/*.part/*')))
    assert len(processes(started.pid)) == 2
    started.signal(number)
    found, text = started.ended()
    assert found == status and 'Traceback' not in text, text


# ---- signals in odd places ---------------------------------------------------------------------------

SLOW_TO_END = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from r2plus1d.run import script_main

@script_main
def main():
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        print('cleans up', flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

main()
"""


def test_a_second_signal_ends_at_once(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(SLOW_TO_END.format(root=str(ROOT)))
    done = run(sys.executable, script, check=False, timeout=30)
    assert done.returncode == -signal.SIGINT and done.stdout == 'cleans up\n' and not done.stderr
