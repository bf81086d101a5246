# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Kills at random moments, over the whole chain: the same command then ends as if nothing had happened.

    KILLS=200 python -m pytest test/unit/test_kills.py     # without KILLS, a tenth of that

Each step of the chain is started where the steps before it have left its folder, and gets SIGTERM, SIGKILL or Ctrl-C:
the script, one of the processes that it has started, or the group. Then nothing of it may go on. The same command then
has to leave the files of an undisturbed run, byte for byte, and no other. Of an inference the times differ.

set-up and the demo run with stand-ins for what takes long in them: pip, Python, and the scripts that the demo starts.
"""
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import sys
import tarfile
import time

import pytest
from conftest import ROOT, SMALL, annotations, run, save_random_checkpoint
from runs import ForkedRun, Run
from test_setup import COPIED

SECONDS = 100
KILLS = int(os.environ.get('KILLS', 20))
ORDER = ['preprocess', 'infer', 'evaluate', 'setup', 'postprocess', 'model', 'demo', 'optimize', 'infer', 'report',
         'preprocess', 'setup', 'demo', 'infer', 'optimize', 'preprocess', 'report', 'postprocess', 'infer', 'report']
SHAPE = '3 3 8 64 64'  # of a sample; a small one takes less time
CONFIG = SMALL + """
data = dict(test=dict(pipeline=[
    dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=1, test_mode=True),
    dict(type='RawFrameDecode'), dict(type='Resize', scale=(-1, 64)), dict(type='ThreeCrop', crop_size=64),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])]))
"""
TIME_OF_DAY = re.compile(r'\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d')
TIMES = ('npu_compute_time_list', 'NPU_compute_time', 'throughput', 'pid', 'environment', 'time',
         'speed_sha256')  # of a summary
WRITTEN = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d|"peak_memory": ?\d+')  # when a report was written, and by how much


@dataclasses.dataclass
class Step:
    """A step of the chain. START(logs) starts it; BEFORE and AFTER: copies of its folder; SECONDS: its duration."""

    start: object
    before: object = None
    after: object = None
    seconds: float = 0


def read_folder(folder):
    """{path: content} of all files below a folder, without what differs from one run to another."""
    found = {}
    for path in sorted(folder.rglob('*')):
        name = TIME_OF_DAY.sub('TIME', str(path.relative_to(folder)))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif name.endswith('_summary.json'):
            summary = json.loads(TIME_OF_DAY.sub('TIME', path.read_text()))
            found[name] = {key: value for key, value in summary.items() if key not in TIMES}
        elif path.is_file():
            found[name] = WRITTEN.sub(b'', path.read_bytes()) if path.suffix == '.html' else path.read_bytes()
        else:
            found[name] = 'a folder'
    return found


def replace_folder(folder, by):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(by, folder, symlinks=True)


# ---- the chain ---------------------------------------------------------------------------------------


def chain_steps(work):
    """{name: Step} of what runs in the folder WORK, in the order of the chain."""

    def python(script, *options, stdout=os.devnull):
        return Step(lambda logs: ForkedRun(work, ROOT / script, *options, logs=logs, stdout=str(stdout)))

    def bash(script, *options):
        return Step(lambda logs: Run(work, 'bash', ROOT / script, *options, logs=logs))

    sim = 'r2plus1d_sim.onnx'
    return {
        'model': bash('test/pth2om.sh', '--config', 'config.py', '--checkpoint', 'model.pth', '--shape', SHAPE,
                      '--compare_videos', '0'),
        'preprocess': python('r2plus1d_preprocess.py', '--config=config.py', '--output_path=predata_bts1',
                             '--workers=2'),
        'infer': python('r2plus1d_infer.py', '--model', sim, '--input', 'predata_bts1', '--outfmt', 'TXT', '--backend',
                        'onnxruntime', '--output', 'out', '--output_dirname', 'run'),
        'postprocess': python('r2plus1d_postprocess.py', '--result_path=out', stdout=work / 'result.json'),
        'optimize': python('r2plus1d_optimize.py', '--model', sim, '--config', 'config.py', '--uint8_input',
                           '--output', 'r2plus1d_uint8.onnx'),
        'evaluate': bash('test/eval_acc_perf.sh', '--config', 'config.py', '--batch_sizes', '2', '--reference', '0'),
        'report': python('r2plus1d_report.py', '--config=config.py', '--batch_sizes=2', '--classes=classes.txt',
                         '--reference=0'),
    }


@pytest.fixture(scope='module')
def work(dataset, tmp_path_factory):
    """A folder with all that the chain begins with: six videos, a config and a checkpoint."""
    folder = tmp_path_factory.mktemp('chain')
    (folder / 'work').mkdir()
    data = folder / 'data/ucf101'
    lines = []
    for i in range(2):
        for line in (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines():
            video, frames, label = line.split()
            if int(frames) < 100:
                shutil.copytree(dataset / 'data/ucf101/rawframes' / video, data / 'rawframes' / f'{video}{i}')
                lines.append(f'{video}{i} {frames} {label}\n')
    assert len(lines) == 6
    (data / 'ucf101_val_split_1_rawframes.txt').write_text(''.join(lines))
    (folder / 'work/data').symlink_to(folder / 'data')
    (folder / 'work/config.py').write_text(CONFIG.format(base=ROOT / 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'))
    (folder / 'work/classes.txt').write_text(annotations()['classInd.txt'])
    save_random_checkpoint(folder / 'work/config.py', folder / 'work/model.pth')
    return folder / 'work'


def run_undisturbed(step, work, name):
    step.before = work.parent / f'before_{name}'
    step.after = work.parent / f'after_{name}'
    shutil.copytree(work, step.before, symlinks=True)
    started = time.monotonic()
    status, text = step.start(work.parent).ended()
    step.seconds = time.monotonic() - started
    assert status == 0, text
    shutil.copytree(work, step.after, symlinks=True)


@pytest.fixture(scope='module')
def chain(work):
    """The steps, each of which has run once."""
    steps = chain_steps(work)
    for name, step in steps.items():
        run_undisturbed(step, work, name)
    return steps


# ---- set-up and the demo, with stand-ins -------------------------------------------------------------


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/bash\nset -e\n' + text)
    path.chmod(0o755)


PYTHON_OF_SETUP = """case "$*" in
*'print(sys.prefix)'*) echo "$VIRTUAL_ENV" ;;
*'pip download'*)
    words=("$@")
    sleep 0.2
    name=${words[-1]//==/-}
    head -c 1000 "$SOURCES/$name.tar.gz" >"${words[-2]}/$name.tar.gz"
    sleep 0.1
    cp "$SOURCES/$name.tar.gz" "${words[-2]}/"
    ;;
*'pip install --help'*) echo --config-settings ;;
*'pip list'*) ;;
*'pip install'*) sleep 0.3 ;;
*'r2plus1d.installed plan'*) touch "$4"/{requirements,kept,pins}.txt ;;
*'r2plus1d.installed check'*) sleep 0.2 ;;
*) exec "$PYTHON_OF_TEST" "$@" ;;
esac
"""


def pack_source(name, archive, work):
    """A source package of as much of ./mmcv or ./mmaction2 as the patches change, without the patches."""
    patches = sorted((ROOT / 'patches' / name).glob('*.patch'))
    texts = [patch.read_text() for patch in patches]
    paths = {path for text in texts for path in re.findall(r'^\+\+\+ b/(\S+)', text, re.M)} | {'setup.py'}
    paths.add('mmcv/version.py' if name == 'mmcv' else 'mmaction/version.py')
    for path in paths:
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name / path).exists():
            shutil.copy(ROOT / name / path, work / path)
    (work / 'configs/recognition/r2plus1d').mkdir(parents=True)
    for patch in patches[::-1]:
        run('git', 'apply', '-R', '--whitespace=nowarn', patch, cwd=work, check=False,
            env={'GIT_CEILING_DIRECTORIES': str(work.parent)})
    with tarfile.open(archive, 'w:gz') as f:
        f.add(work, arcname='source')


def setup_step(folder):
    """setup.sh on an environment whose packages are there."""
    work = folder / 'work'
    for name in COPIED:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, work / name)
    (folder / 'sources').mkdir()
    pack_source('mmcv', folder / 'sources/mmcv-full-1.7.2.tar.gz', folder / 'mmcv')
    pack_source('mmaction2', folder / 'sources/mmaction2-0.24.1.tar.gz', folder / 'mmaction2')
    write_program(work / 'env/bin/python', PYTHON_OF_SETUP)
    env = {'VIRTUAL_ENV': str(work / 'env'), 'PATH': f'{work}/env/bin:{os.environ["PATH"]}', 'CONDA_PREFIX': '',
           'SOURCES': str(folder / 'sources'), 'PYTHON_OF_TEST': sys.executable}
    return work, Step(lambda logs: Run(work, 'bash', 'setup.sh', logs=logs, env=env))


WRITE = """write() { # FILE…: each in four parts
    local i path
    for path; do
        mkdir -p "$(dirname "$path")"
        for i in 1 2 3 4; do
            echo "$i" >>"$path"
            sleep 0.02
        done
    done
}
"""
PYTHON_OF_DEMO = WRITE + r"""case "$*" in
*make_dataset.py*) write data/ucf101/videos/{1..6}.avi data/ucf101/annotations/classInd.txt ;;
*build_rawframes.py*) write data/ucf101/rawframes/{1..6}/img_00001.jpg ;;
*build_file_list.py*) write data/ucf101/ucf101_{train,val}_split_1_rawframes.txt ;;
*random_weights.py*) write full_models/random.pth ;;
*pytorch2onnx.py*) write "${*: -1}" ;;
*r2plus1d_infer.py*--output\ fullframe_out*) write fullframe_out/1.txt ;;
*r2plus1d_infer.py*) write "${*: -1}/1.txt" ;;
*r2plus1d_optimize.py*) write fullframe/r2plus1d_uint8.onnx ;;
*r2plus1d_preprocess.py*) write predata_fullframe/{1..6}.bin ;;
*r2plus1d_compare.py*) echo '{}' ;;
*r2plus1d_report.py*) write report/index.html ;;
esac
"""
PTH2OM_OF_DEMO = WRITE + """work=.
while [ $# -gt 0 ]; do
    [ "$1" != --work_dir ] || work=$2
    shift
done
rm -f "$work"/*.onnx
write "$work"/.part
mv "$work"/.part "$work"/r2plus1d.onnx
cp "$work"/r2plus1d.onnx "$work"/r2plus1d_sim.onnx
"""
EVALUATION_OF_DEMO = WRITE + """rm -rf predata_bts1_bs{1,16}_out result_bs{1,16}.json
write predata_bts1_bs{1,16}_out/1.txt result_bs{1,16}.json
"""


def demo_step(folder):
    """demo/run.sh in a copy of the scripts that it looks at."""
    work = folder / 'work'
    root = folder / 'copy'
    for name in ('demo/run.sh', 'test/shell.sh'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / 'setup.sh').write_text('')
    write_program(root / 'test/pth2om.sh', PTH2OM_OF_DEMO)
    write_program(root / 'test/eval_acc_perf.sh', EVALUATION_OF_DEMO)
    write_program(root / 'env/bin/python', PYTHON_OF_DEMO)
    work.mkdir()
    (work / '.r2plus1d_demo').touch()
    env = {'VIRTUAL_ENV': str(root / 'env'), 'PATH': f'{root}/env/bin:{os.environ["PATH"]}'}
    return work, Step(lambda logs: Run(work, 'bash', root / 'demo/run.sh', work, logs=logs, env=env))


# ---- the kills ---------------------------------------------------------------------------------------


def kill_at_random(step, logs, choice):
    """Start a step and send it a signal. All of it has to end, without a traceback."""
    started = step.start(logs)
    time.sleep(choice.uniform(0, step.seconds))
    number = choice.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
    victim = choice.choice(['script', 'worker', 'group'])
    started.signal(number, victim)
    _, text = started.ended()
    # Until a script imports what it needs, within packages_needed(), Python itself answers Ctrl-C.
    at_start = '\nKeyboardInterrupt\n' in text and 'in wrapper' not in text
    assert 'Traceback' not in text or at_start, (number, victim, text)
    return f'{number.name} of the {victim}'


def kill_and_repeat(name, step, work, logs):
    for seed in [i for i in range(KILLS) if ORDER[i % len(ORDER)] == name]:
        replace_folder(work, step.before)
        what = kill_at_random(step, logs, random.Random(seed))
        status, text = step.start(logs).ended()
        assert status == 0, (seed, what, text)
        found = read_folder(work)
        expected = read_folder(step.after)
        assert sorted(found) == sorted(expected), (seed, what)
        assert [path for path in found if found[path] != expected[path]] == [], (seed, what)


@pytest.mark.parametrize('name', ['model', 'preprocess', 'infer', 'postprocess', 'optimize', 'evaluate', 'report'])
def test_kills_of_the_chain(chain, work, tmp_path, name):
    kill_and_repeat(name, chain[name], work, tmp_path)


@pytest.mark.parametrize('make', [setup_step, demo_step])
def test_kills_with_stand_ins(tmp_path, make):
    work, step = make(tmp_path)
    run_undisturbed(step, work, 'it')
    kill_and_repeat(make.__name__[:-len('_step')], step, work, tmp_path)
