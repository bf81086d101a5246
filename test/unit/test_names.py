# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Names of files, videos and classes that a shell, an option parser, a browser or a terminal could take for more.

Each row of NAMES goes through the Python scripts and the report. A row that would run something makes the file "ran".
The shell scripts take long, so there all names are parts of one (EVERYTHING).
"""
import html.parser
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import CONFIG, ROOT, SMALL, call, fails, run, start
from made_runs import make_run
from test_report import text_of

from r2plus1d.class_names import read_properties
from r2plus1d.output_files import OutputWriter
from r2plus1d.run import InputError
from r2plus1d.store import file_digest

SECONDS = 30

NAMES = {
    'plain': 'name',
    'a space': 'a name',
    'quotes': 'it\'s "so"',
    'a command': '$(touch ran)',
    'backticks': '`touch ran`',
    'a second command': 'a; touch ran;',
    'a pipe': 'a|touch ran&',
    'a variable': '${HOME}$PATH',
    'a newline': 'a\nb',
    'a dash': '-rf',
    'an option': '--help',
    'dots': 'a..b',
    'wildcards': '*[0-9]?{a,b}',
    'a pattern': '.*(a+)+$',
    'a format': '%s%n{0}{__class__}',
    'backslashes': 'a\\nb\\',
    'commas': 'a,b=c',
    'Chinese': '视频 动作',
    'right to left': '\u202eavi.exe',
    'a terminal\'s': 'a\x1b[2Jb\x07',
    'not UTF-8': os.fsdecode(b'a\xff\xfe'),
    'HTML': '<img src=x onerror=alert(1)>',
    'a template': '{{ 7 * 7 }}{% raw %}',
    'a home': '~root',
}
EVERYTHING = '-a b\'c"d$(touch ran)`touch ran`;touch ran;*[0]?%s{0}\\<img src=x onerror=alert(1)>视频\nn'
VIDEO = 'Basketball/v_Basketball_g01_c01'  # of 29 frames


def is_text(name):
    """Whether a name can stand in a text file. A list of videos or of classes is refused where it is not."""
    return name.isprintable() and not any('\ud800' <= letter <= '\udfff' for letter in name)


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path):
    """No command of a name has run, in the folder of the test or in that where the tests were started."""
    yield
    for folder in (tmp_path, ROOT):
        found = subprocess.run(['find', folder, '-maxdepth', '4', '-name', 'ran', '-not', '-path', '*/.venv/*'],
                               stdout=subprocess.PIPE, check=True, text=True).stdout
        assert not found


@pytest.fixture
def folder(dataset, tmp_path, monkeypatch):
    """A data set of one video; files that are made in it may at first be written by everybody."""
    before = os.umask(0)
    frames = tmp_path / 'frames/Class/video'
    shutil.copytree(dataset / 'data/ucf101/rawframes' / VIDEO, frames)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.umask(before)


def write_config(path, video):
    """A config for the frames of one video, and its list beside it."""
    test = {'ann_file': f'{path}.txt', 'data_prefix': 'frames'}
    text = SMALL.format(base=CONFIG) + f'data = dict(test={test!r})\n'
    Path(path).write_text(text, 'utf-8', 'surrogateescape')
    Path(f'{path}.txt').write_text(f'{video} 29 1\n', 'utf-8')


def check_files(folder):
    """None of the files may be written by others than their owner, since ais_bench takes no such files."""
    for parent, _, names in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in names)]:
            assert not stat.S_IMODE(os.lstat(path).st_mode) & 0o022, path


@pytest.mark.parametrize('kind', NAMES)
def test_files_of_any_name(folder, kind):
    """Config, list, bins, outputs, their folders, and a video, where its name can stand in a list: preprocessing and
    postprocessing. Errors about them are one line.
    """
    name = NAMES[kind]
    config = f'./{name}.py'
    frames = folder / 'frames/Class' / (name if is_text(name) and ' ' not in name else 'video')
    (folder / 'frames/Class/video').rename(frames)
    write_config(config, f'Class/{frames.name}')
    preprocess = ['r2plus1d_preprocess', f'--config={config}', f'--output_path={name}']
    call(*preprocess)
    check_files(folder / name)
    assert sorted(os.listdir(name)) == ['bin0-0_1.bin', 'info.json']
    info = json.loads((folder / name / 'info.json').read_text())
    assert info['num_videos'] == 1 and info['config'] == os.path.abspath(config)
    with OutputWriter(f'out {name}', None, 'TXT') as outputs:
        outputs.add(0, [os.path.join(name, 'bin0-0_1.bin')], [np.eye(3, 400, 1)])
        outputs.finish({'args': ['infer', '--model', name], 'num_videos': None})
    done = call('r2plus1d_postprocess', f'--result_path=out {name}')
    assert json.loads(done.stdout)['num_expected'] == 1
    for line in done.stderr.splitlines():  # nothing that moves a terminal's cursor, and a line for each message
        assert line.isprintable() and line.startswith('[INFO] '), line

    shutil.rmtree(name)
    (folder / name).mkdir()
    (folder / name / 'notes.txt').touch()
    for script, *arguments in (['r2plus1d_postprocess', f'--result_path={name}'], preprocess):
        done = call(script, *arguments, check=False)
        line, = done.stderr.splitlines()
        assert done.returncode == 1 and line.isprintable() and line.startswith(f'{script}.py: ')
    (frames / 'img_00001.jpg').unlink()
    fails(call(*preprocess, check=False), 1, f'Class/{frames.name}/img_00001.jpg: no such file')


# ---- the report ----------------------------------------------------------------------------------------


def tags_of(page):
    """Each tag with the names of its attributes. A name that is taken for HTML would add a tag or an attribute."""
    tags = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, sorted(name for name, _ in attributes)))
    parser.feed(page)
    return tags


def report(folder, classes, names):
    """The page of the same run each time, with these CLASSES and with NAMES for those videos that it shows."""
    made = make_run(folder)
    (folder / 'classInd.txt').write_text(''.join(f'{i} {text}\n' for i, text in enumerate(classes, 1)))
    text = (folder / 'list.txt').read_text()
    for number, name in zip((3, 8, 11, 24), names):  # the mistakes
        video = made.videos[number]
        renamed = f'{os.path.dirname(video)}/{name}'
        (folder / 'frames' / video).rename(folder / 'frames' / renamed)
        text = text.replace(f'{video} ', f'{renamed} ')
    (folder / 'list.txt').write_text(text)
    for summary in folder.glob('*_out/*_summary.json'):  # as of a run of this list
        summary.write_text(summary.read_text().replace(made.list_sha256, file_digest(str(folder / 'list.txt'))))
    return made.report(f'--output={folder}/<b>report/index.html')


def test_a_report_shows_names_as_they_are(tmp_path):
    texts = [' '.join(name.split()) for name in NAMES.values() if is_text(name)]
    videos = [text.replace(' ', '_').replace('/', '') for text in texts[-4:]]
    plain = report(tmp_path / 'plain', [f'class {i}' for i in range(6)], [])
    hostile = report(tmp_path / 'hostile', texts[1:7], videos)
    assert tags_of(plain) == tags_of(hostile)
    assert not any(attribute.startswith('on') for _, attributes in tags_of(plain) for attribute in attributes)
    for name in [*texts[1:7], *videos]:
        assert name in text_of(hostile), name


# ---- scripts that run a model, and the shell scripts ---------------------------------------------------


@pytest.fixture
def everything(folder, dataset, small):
    """A folder of the worst name, with a config, a model, a video and a class list of that name in it."""
    work = folder / EVERYTHING
    work.mkdir()
    write_config(str(work / f'{EVERYTHING}.py'), 'Class/video')
    shutil.copy(small.sim, work / f'{EVERYTHING}.onnx')
    shutil.copy(dataset / 'data/ucf101/videos' / f'{VIDEO}.avi', work / f'{EVERYTHING}.avi')
    (work / f'{EVERYTHING}.txt').write_text('1 <img src=x onerror=alert(1)>\n2 $(touch ran)\n')
    return work


def test_models_of_the_worst_name(everything):
    path = f'{everything}/{EVERYTHING}'
    start(ROOT / 'r2plus1d_infer.py', '--model', f'{path}.onnx', '--config', f'{path}.py', '--outfmt', 'TXT',
          '--output', f'{path}_out', cwd=everything.parent)
    done = call('r2plus1d_postprocess', '--result_path', f'{path}_out', cwd=everything.parent)
    assert json.loads(done.stdout)['num_videos'] == 1
    done = start(ROOT / 'r2plus1d_predict.py', '--model', f'{path}.onnx', '--config', f'{path}.py', '--video',
                 f'{path}.avi', '--classes', f'{path}.txt', cwd=everything.parent)
    assert len(done.stdout.splitlines()) == 6 and done.stdout.replace('\n', '').isprintable()  # its name and 5 classes
    check_files(f'{path}_out')


def test_shell_scripts_in_a_folder_of_the_worst_name(everything, small, npu):
    """From the folder above, so that the options begin with a dash, too."""
    shutil.copy(small.checkpoint, everything / f'{EVERYTHING}.pth')
    folder = everything.parent
    options = ['--config', f'{EVERYTHING}/{EVERYTHING}.py', '--work_dir', EVERYTHING, '--batch_sizes', '1']
    done = run('bash', ROOT / 'test/pth2om.sh', *options, '--checkpoint', f'{EVERYTHING}/{EVERYTHING}.pth',
               '--compare_videos', '0', cwd=folder)
    assert done.stdout.endswith('success\n') and (everything / 'r2plus1d_sim.onnx').is_file()
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', *options, '--reference', '0', cwd=folder)
    assert done.stdout.endswith('success\n') and (everything / 'result_bs1.json').is_file()
    check_files(everything / 'predata_bts1')
    # ATC takes no such paths.
    done = run('bash', ROOT / 'test/pth2om.sh', '--model', f'{EVERYTHING}/{EVERYTHING}.onnx', *options[2:], cwd=folder,
               env=npu, check=False)
    assert done.returncode == 1 and done.stderr.endswith('fail!\n')
    assert 'invalid characters' in done.stdout + done.stderr
    assert not (everything / 'r2plus1d_bs1.om').exists()


# ---- what no code here may do --------------------------------------------------------------------------


def test_no_shell_script_evaluates_text():
    """Python has ruff's S rules for that (ruff.toml)."""
    paths = [path for folder in ('.', 'test', 'demo', '.ci') for path in (ROOT / folder).iterdir() if path.is_file()]
    scripts = [path for path in paths if path.suffix == '.sh' or path.read_bytes().startswith(b'#!/usr/bin/env bash')]
    assert len(scripts) > 10
    for path in scripts:
        for line in path.read_text().splitlines():
            assert not re.search(r'(?:^|[;&|({]|then|do|else)\s*eval\s', line.split(' #')[0]), f'{path}: {line}'
            assert 'chmod' not in line or 'chmod 640 ' in line, f'{path}: {line}'


def test_properties_are_those_that_onnx_reads(small, tmp_path):
    """Without the package; of what is no whole model, the package says what it is."""
    model = onnx.load(small.onnx)
    onnx.helper.set_model_props(model, {'class_names': '["左", "right"]', 'empty': '', 'long': 'x' * 1000})
    path = tmp_path / 'm.onnx'
    onnx.save(model, path)
    content = path.read_bytes()
    assert read_properties(str(path)) == {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    for damaged in (content[:-1], content[:1000], b'\xff' * 100, b'<!DOCTYPE html>', content + b'\x01'):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match='m.onnx: not an ONNX model'):
            read_properties(str(path))
