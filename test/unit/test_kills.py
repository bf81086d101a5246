# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Kills at random moments, over the whole chain: the same command then ends as if nothing had happened.

    KILLS=200 python -m pytest test/unit/test_kills.py     # without KILLS, a tenth of that

Each step of the chain is started where the steps before it have left its folder, and gets SIGTERM, SIGKILL or Ctrl-C:
the script, one of the processes that it has started, or the group. Then nothing of it may go on. The same command then
has to leave the files of an undisturbed run, byte for byte, and no other. Of an inference the times differ.

set-up and the demo run with stand-ins for what takes long in them: pip, Python, and the scripts that the demo starts.
"""
import functools
import json
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tarfile
import time

import pytest
from conftest import CONFIG, ROOT, SMALL, annotations, copy_short_videos, save_random_checkpoint
from runs import ForkedRun, Run
from test_setup import COPIED

from r2plus1d import sources

SECONDS = 60
KILLS = int(os.environ.get('KILLS', 20))
ORDER = ['preprocess', 'infer', 'evaluate', 'setup', 'postprocess', 'model', 'demo', 'optimize', 'infer', 'report',
         'preprocess', 'setup', 'demo', 'infer', 'optimize', 'preprocess', 'report', 'postprocess', 'infer', 'report']
# of a sample of 3x3x8x64x64 values; a small one takes less time
SMALL_SAMPLES = SMALL + """
data = dict(test=dict(pipeline=[
    dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=1, test_mode=True),
    dict(type='RawFrameDecode'), dict(type='Resize', scale=(-1, 64)), dict(type='ThreeCrop', crop_size=64),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'), dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])]))
"""
CHAIN = {
    'model': 'test/pth2om.sh --config config.py --checkpoint model.pth --shape "3 3 8 64 64" --compare_videos 0',
    'preprocess': 'r2plus1d_preprocess.py --config=config.py --output_path=predata_bts1 --workers=2',
    'infer': 'r2plus1d_infer.py --model r2plus1d_sim.onnx --input predata_bts1 --outfmt TXT --backend onnxruntime '
             '--output out --output_dirname run',
    'postprocess': 'r2plus1d_postprocess.py --result_path=out',
    'optimize': 'r2plus1d_optimize.py --model r2plus1d_sim.onnx --config config.py --uint8_input '
                '--output r2plus1d_uint8.onnx',
    'evaluate': 'test/eval_acc_perf.sh --config config.py --batch_sizes 2 --reference 0',
    'report': 'r2plus1d_report.py --config=config.py --batch_sizes=2 --classes=classes.txt --reference=0',
}
TIME_OF_DAY = re.compile(r'\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d')
TIMES = ('npu_compute_time_list', 'NPU_compute_time', 'throughput', 'pid', 'environment', 'time',
         'speed_sha256')  # of a summary
WRITTEN = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d|"peak_memory": ?\d+')  # when a report was written, and by how much


class Step:
    """What runs in the folder WORK by start(logs). BEFORE, AFTER: copies of the folder; SECONDS: how long it takes."""

    def __init__(self, work, start):
        self.work, self.start = work, start

    def run_undisturbed(self, name):
        self.before, self.after = (self.work.parent / f'{when}_{name}' for when in ('before', 'after'))
        shutil.copytree(self.work, self.before, symlinks=True)
        started = time.monotonic()
        status, text = self.start(self.work.parent).ended()
        self.seconds = time.monotonic() - started
        assert status == 0, text
        shutil.copytree(self.work, self.after, symlinks=True)
        return self

    def kill_at_random(self, logs, choice):
        """Start the step and send it a signal. All of it has to end, without a traceback."""
        started = self.start(logs)
        time.sleep(choice.uniform(0, self.seconds))
        number = choice.choice([signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
        victim = choice.choice(['script', 'worker', 'group'])
        started.signal(number, victim)
        _, text = started.ended()
        # Until a script imports what it needs, within packages_needed(), Python itself answers Ctrl-C.
        at_start = '\nKeyboardInterrupt\n' in text and 'in wrapper' not in text
        assert 'Traceback' not in text or at_start, (number, victim, text)
        return f'{number.name} of the {victim}'

    def kill_and_repeat(self, name, logs):
        expected = read_folder(self.after)
        for seed in [i for i in range(KILLS) if ORDER[i % len(ORDER)] == name]:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self.before, self.work, symlinks=True)
            what = self.kill_at_random(logs, random.Random(seed))
            status, text = self.start(logs).ended()
            assert status == 0, (seed, what, text)
            found = read_folder(self.work)
            assert sorted(found) == sorted(expected), (seed, what)
            assert [path for path in found if found[path] != expected[path]] == [], (seed, what)


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


# ---- the chain ---------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def chain(dataset, tmp_path_factory):
    """The steps, each of which has run once on what the one before has left; the first one on six videos."""
    work = tmp_path_factory.mktemp('chain') / 'work'
    work.mkdir()
    copy_short_videos(dataset, work.parent, 2)
    (work / 'data').symlink_to(work.parent / 'data')
    (work / 'config.py').write_text(SMALL_SAMPLES.format(base=CONFIG))
    (work / 'classes.txt').write_text(annotations()['classInd.txt'])
    save_random_checkpoint(work / 'config.py', work / 'model.pth')
    return {name: Step(work, functools.partial(start_in_chain, work, name)).run_undisturbed(name) for name in CHAIN}


def start_in_chain(work, name, logs):
    script, *options = shlex.split(CHAIN[name])
    if script.endswith('.sh'):
        return Run(work, 'bash', ROOT / script, *options, logs=logs)
    stdout = str(work / 'result.json') if name == 'postprocess' else os.devnull
    return ForkedRun(work, ROOT / script, *options, logs=logs, stdout=stdout)


@pytest.mark.parametrize('name', CHAIN)
def test_kills_of_the_chain(chain, tmp_path, name):
    chain[name].kill_and_repeat(name, tmp_path)


# ---- set-up and the demo, with stand-ins -------------------------------------------------------------


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/bash\nset -e\n' + text)
    path.chmod(0o755)


def copy_scripts(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)


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


def pack_source(name, package, folder):
    """A source package of as much of ./mmcv or ./mmaction2 as the patches change, without the patches."""
    patches = sorted((ROOT / 'patches' / name).glob('*.patch'))
    paths = {path for patch in patches for path in re.findall(r'^\+\+\+ b/(\S+)', patch.read_text(), re.M)}
    version = 'mmcv/version.py' if name == 'mmcv' else 'mmaction/version.py'
    work = folder / name
    copy_scripts(folder, [f'{name}/{path}' for path in {*paths, 'setup.py', version} if (ROOT / name / path).exists()])
    (work / 'configs/recognition/r2plus1d').mkdir(parents=True)
    for patch in patches[::-1]:
        sources.apply(work, patch, '-R')
    with tarfile.open(folder / f'{package}.tar.gz', 'w:gz') as f:
        f.add(work, arcname='source')


def setup_step(folder):
    """setup.sh on an environment whose packages are there."""
    work = folder / 'work'
    copy_scripts(work, COPIED)
    pack_source('mmcv', 'mmcv-full-1.7.2', folder)
    pack_source('mmaction2', 'mmaction2-0.24.1', folder)
    write_program(work / 'env/bin/python', PYTHON_OF_SETUP)
    env = {'VIRTUAL_ENV': str(work / 'env'), 'PATH': f'{work}/env/bin:{os.environ["PATH"]}', 'CONDA_PREFIX': '',
           'SOURCES': str(folder), 'PYTHON_OF_TEST': sys.executable}
    return Step(work, lambda logs: Run(work, 'bash', 'setup.sh', logs=logs, env=env))


PROGRAMS_OF_DEMO = r"""write() { # FILE…: each in four parts
    local i path
    for path; do
        mkdir -p "$(dirname "$path")"
        for i in 1 2 3 4; do
            echo "$i" >>"$path"
            sleep 0.01
        done
    done
}
case "$0 $*" in
*/pth2om.sh*)
    folder=.
    [[ "$*" != *"--work_dir fullframe"* ]] || folder=fullframe
    rm -f "$folder"/*.onnx "$folder"/.part
    write "$folder"/.part
    mv "$folder"/.part "$folder"/r2plus1d.onnx
    cp "$folder"/r2plus1d.onnx "$folder"/r2plus1d_sim.onnx
    ;;
*/eval_acc_perf.sh*)
    rm -rf predata_bts1_bs{1,16}_out result_bs{1,16}.json
    write predata_bts1_bs{1,16}_out/1.txt result_bs{1,16}.json
    ;;
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


def demo_step(folder):
    """demo/run.sh in a copy of the scripts that it looks at."""
    work, root = folder / 'work', folder / 'copy'
    copy_scripts(root, ['demo/run.sh', 'test/shell.sh'])
    (root / 'setup.sh').touch()
    for name in ('test/pth2om.sh', 'test/eval_acc_perf.sh', 'env/bin/python'):
        write_program(root / name, PROGRAMS_OF_DEMO)
    work.mkdir()
    (work / '.r2plus1d_demo').touch()
    env = {'VIRTUAL_ENV': str(root / 'env'), 'PATH': f'{root}/env/bin:{os.environ["PATH"]}'}
    return Step(work, lambda logs: Run(work, 'bash', root / 'demo/run.sh', work, logs=logs, env=env))


@pytest.mark.parametrize('make', [setup_step, demo_step])
def test_kills_with_stand_ins(tmp_path, make):
    name = make.__name__[:-len('_step')]
    make(tmp_path).run_undisturbed(name).kill_and_repeat(name, tmp_path)
