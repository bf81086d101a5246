# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the tests share: a small data set in UCF-101's form and a small R(2+1)D.

The clips are made here; with the real ones of UCF101_REAL (a folder with videos/, short_rawframes/ and
annotations/) the data set has those too.
"""
import contextlib
import importlib
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from unittest import mock

import cv2
import forked
import jinja2
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell without job control ignores Ctrl-C for what it starts in the background, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = [str(ROOT), str(ROOT / 'demo'), str(ROOT / 'test')]
STAND_INS = ROOT / 'test' / 'stand_ins'
CONFIG = ROOT / 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py'
REAL = pathlib.Path(os.environ.get('UCF101_REAL', ROOT.parent / 'shared' / 'data' / 'ucf101_real'))
VIDEO_SAMPLES = pathlib.Path(os.environ.get('VIDEO_SAMPLES', REAL.parent / 'videos'))
SMALL = """_base_ = ['{base}']
model = dict(backbone=dict(depth=18, base_channels=8, conv1_stride_s=4), cls_head=dict(in_channels=64))
classes = None
"""
SHARED_FOLDERS = ('dataset', 'small')  # of the fixtures of all tests
# name: (test split 1 or training, frames); two are shorter than the 64 frames that a clip spans
VIDEOS = {
    'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01': (True, 164),
    'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01': (False, 40),
    'Basketball/v_Basketball_g01_c01': (True, 29),
    'Basketball/v_Basketball_g01_c02': (True, 63),
    'Basketball/v_Basketball_g08_c01': (False, 90),
    'YoYo/v_YoYo_g01_c01': (True, 64),
    'YoYo/v_YoYo_g02_c01': (True, 101),
    'YoYo/v_YoYo_g08_c01': (False, 80),
}


def pytest_collection_modifyitems(items):
    """The longest files first, so that the processes end at about the same time.

    A file that takes long says so by its variable SECONDS.
    """
    items.sort(key=lambda item: -getattr(item.module, 'SECONDS', 0))


def checked(done, check=True):
    """What a command gave; its output is shown when it failed and should not have."""
    if check:
        assert done.returncode == 0, f'{done.args}\n{done.stdout}\n{done.stderr}'
    return done


def fails(done, status, *words):
    """A command failed with STATUS, printed nothing and ended with one line on standard error that has all WORDS."""
    assert done.returncode == status, done.stderr
    assert 'Traceback' not in done.stderr and not done.stdout
    line = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert str(word) in line, done.stderr


@contextlib.contextmanager
def refusal(words, path=None):
    """Within this context an InputError is raised, one line about the file PATH that has the WORDS; none for None."""
    from r2plus1d.run import InputError
    if words is None:
        yield
        return
    with pytest.raises(InputError, match=re.escape(words)) as error:
        yield
    message = str(error.value)
    assert '\n' not in message and len(message) < 300 + len(str(path))
    assert path is None or message.startswith(f'{path}: ')


def run(*command, check=True, **options):
    """Run any command in a new process, with text output."""
    environment = dict(os.environ, PYTHONWARNINGS='ignore', **options.pop('env', {}))
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment, **options)
    return checked(done, check)


def start(*command, cwd=None, check=True, env=()):
    """Run a Python script, or a module after -m, in a new process, which has PyTorch imported already (forked.py)."""
    return checked(forked.run(*command, cwd=cwd, env=env), check)


def call(script, *arguments, cwd=None, check=True):
    """The main() of a script of the root, in this process: it gives what start() gives and takes less time.

    Not for scripts that load an inference engine: the threads of two of those beside PyTorch's in a process that
    forks (the workers of a DataLoader) ended in a segmentation fault now and then.
    """
    stdout, stderr, here, status = io.StringIO(), io.StringIO(), os.getcwd(), 0
    arguments = [str(a) for a in arguments]
    os.chdir(cwd or here)
    try:
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr), \
                mock.patch.object(sys, 'argv', [script + '.py'] + arguments):
            importlib.import_module(script).main()
    except SystemExit as e:
        status = e.code or 0
        if isinstance(status, str):
            stderr.write(status + '\n')
            status = 1
    finally:
        os.chdir(here)
    return checked(subprocess.CompletedProcess([script] + arguments, status, stdout.getvalue(), stderr.getvalue()),
                   check)


def make_video(path, frames, seed, size=(320, 240), codec='XVID'):
    """A clip as UCF-101's are: 320x240, 25 fps, MPEG-4 in .avi; noise that drifts."""
    rng = np.random.default_rng(seed)
    width, height = size
    canvas = cv2.resize(rng.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8), (2 * width, 2 * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, size)
    for i in range(frames):
        x, y = width // 2 + int(width / 3.2 * np.sin(i / 15 + seed)), height // 2 + int(height / 3 * np.cos(i / 11))
        writer.write(canvas[y:y + height, x:x + width])
    writer.release()


def make_videos(folder):
    """The class folders of VIDEOS; the first video is the real one where it is there."""
    for seed, (name, (_, frames)) in enumerate(VIDEOS.items()):
        path, real = folder / (name + '.avi'), REAL / 'videos' / (name + '.avi')
        path.parent.mkdir(parents=True, exist_ok=True)
        if real.is_file():
            path.write_bytes(real.read_bytes())
        else:
            make_video(path, frames, seed)


def annotations():
    """{file name: text} of the official lists for VIDEOS, with their CRLF line ends."""
    classes = sorted({name.split('/')[0] for name in VIDEOS})
    lists = {'classInd.txt': [f'{i} {name}' for i, name in enumerate(classes, 1)]}
    for split in '123':
        lists[f'testlist0{split}.txt'] = [f'{name}.avi' for name, (test, _) in VIDEOS.items() if test]
        lists[f'trainlist0{split}.txt'] = [f'{name}.avi {classes.index(name.split("/")[0]) + 1}'
                                           for name, (test, _) in VIDEOS.items() if not test]
    return {name: ''.join(line + '\r\n' for line in lines) for name, lines in lists.items()}


def write_annotations(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in annotations().items():
        (folder / name).write_bytes(text.encode())


def write_annotation_zip(path):
    with zipfile.ZipFile(path, 'w') as f:
        for name, text in annotations().items():
            f.writestr('ucfTrainTestlist/' + name, text)


@pytest.fixture(scope='module', autouse=True)
def delete_folders_of_fixtures(request, tmp_path_factory):
    """What the fixtures of a file of tests have written goes with it; what all share stays. See pytest.ini, too."""
    before, failed = set(tmp_path_factory.getbasetemp().iterdir()), request.session.testsfailed
    yield
    if request.session.testsfailed == failed:
        for path in set(tmp_path_factory.getbasetemp().iterdir()) - before:
            if not path.name.startswith(SHARED_FOLDERS):
                shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope='session', autouse=True)
def templates_are_compiled_once():
    """As the template of the report, of which hundreds are made in this process, for 0.1 s each."""
    known, compile_template = {}, jinja2.Environment.compile

    def compile_once(environment, source, name, filename):
        if source not in known:
            known[source] = compile_template(environment, source, name, filename)
        return known[source]

    with mock.patch.object(jinja2.Environment, 'compile', compile_once):
        yield


@pytest.fixture(scope='session')
def dataset(tmp_path_factory):
    """A folder with data/ucf101: videos, annotations, and frames and lists made by mmaction2's tools."""
    folder = tmp_path_factory.mktemp('dataset')
    data = folder / 'data' / 'ucf101'
    make_videos(data / 'videos')
    write_annotations(data / 'annotations')
    tools = ROOT / 'mmaction2' / 'tools' / 'data'
    start(tools / 'build_rawframes.py', './data/ucf101/videos/', './data/ucf101/rawframes/', '--task', 'rgb',
           '--level', '2', '--ext', 'avi', '--use-opencv', cwd=folder)
    start(tools / 'build_file_list.py', 'ucf101', 'data/ucf101/rawframes/', '--level', '2', '--format', 'rawframes',
           '--shuffle', cwd=folder)
    return folder


def copy_short_videos(dataset, folder, copies):
    """A data set in FOLDER of COPIES of each of the three test videos that have less than 100 frames."""
    data, lines = folder / 'data/ucf101', []
    for line in (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines():
        video, frames, label = line.split()
        for i in range(copies if int(frames) < 100 else 0):
            shutil.copytree(dataset / 'data/ucf101/rawframes' / video, data / 'rawframes' / f'{video}{i}')
            lines.append(f'{video}{i} {frames} {label}\n')
    (data / 'ucf101_val_split_1_rawframes.txt').write_text(''.join(lines))


def save_random_checkpoint(config, path):
    """A checkpoint as mmcv writes it, with a NumPy number in its meta, of random weights."""
    import torch
    from random_weights import random_model
    meta = {'hook_msgs': {'best_score': np.float64(0.5)}}
    torch.save({'state_dict': random_model(config).state_dict(), 'meta': meta}, path)


def export(folder, config, checkpoint):
    """folder/r2plus1d.onnx and r2plus1d_sim.onnx by the guide's two commands; what the first one printed."""
    exported = start(ROOT / 'mmaction2/tools/deployment/pytorch2onnx.py', config, checkpoint, '--verify',
                      f'--output-file={folder}/r2plus1d.onnx', '--shape', 1, 3, 3, 8, 256, 256, cwd=folder)
    start('-m', 'onnxsim', '--test-input-shape=1,3,3,8,256,256', 'r2plus1d.onnx', 'r2plus1d_sim.onnx', cwd=folder)
    return exported.stdout


class Model:
    """A config, a checkpoint and its two ONNX files in one folder."""

    def __init__(self, folder, config_text):
        self.folder = folder
        self.config, self.checkpoint = folder / 'config.py', folder / 'model.pth'
        self.config.write_text(config_text)
        save_random_checkpoint(self.config, self.checkpoint)
        self.log = export(folder, self.config, self.checkpoint)
        self.onnx, self.sim = folder / 'r2plus1d.onnx', folder / 'r2plus1d_sim.onnx'


@pytest.fixture(scope='session')
def small(tmp_path_factory):
    return Model(tmp_path_factory.mktemp('small'), SMALL.format(base=CONFIG))


@pytest.fixture(scope='session')
def bins(dataset, small):
    """The bins of the data set's test split, one sample a file."""
    call('r2plus1d_preprocess', '--config', small.config, '--bts=1', '--output_path=bins', cwd=dataset)
    return dataset / 'bins'


@pytest.fixture(scope='session')
def npu():
    """The environment of an NPU server, with stand-ins of CANN's programs and of ais_bench."""
    return dict(PATH=f'{STAND_INS}{os.pathsep}{os.environ["PATH"]}', PYTHONPATH=str(STAND_INS))


def write_program(path, text='exit 0'):
    """A program of the shell; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


def list_files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if '__pycache__' not in path.parts)


def pytest_terminal_summary(terminalreporter):
    """The counts of test_mutations.py, one row for each kind of file."""
    rows = [value for report in terminalreporter.stats.get('passed', ())
            for name, value in report.user_properties if name == 'mutations' and report.when == 'call']
    if not rows:
        return
    terminalreporter.section('mutations')
    for name, counts in sorted(rows):
        texts = [f'{counts[key]} {key}' for key in sorted(counts)]
        terminalreporter.write_line(f'{name} ({sum(counts.values())}): {"; ".join(texts)}')
