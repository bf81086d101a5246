# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_preprocess.py: what is refused before anything is made, which bins are kept, and which are made again."""
import collections
import json
import os
import shutil

import pytest
from conftest import ROOT, call, fails, refusal

from r2plus1d.bins import read_info

SECONDS = 10
LIST = 'data/ucf101/ucf101_val_split_1_rawframes.txt'


@pytest.fixture
def folder(dataset, small, tmp_path, monkeypatch):
    """A data set that a test may break: the two videos shorter than a clip, of which frame 1 is always used."""
    monkeypatch.chdir(tmp_path)
    lines = [line for line in (dataset / LIST).read_text().splitlines() if line.startswith('Basketball')]
    for line in lines:
        name = line.split()[0]
        shutil.copytree(dataset / 'data/ucf101/rawframes' / name, tmp_path / 'data/ucf101/rawframes' / name)
    (tmp_path / LIST).write_text('\n'.join(lines) + '\n')
    shutil.copy(small.config, 'config.py')
    return tmp_path


def preprocess(*options, check=False):
    return call('r2plus1d_preprocess', '--config=config.py', '--output_path=bins', *options, check=check)


def names():
    return sorted(os.listdir('bins'))


@pytest.mark.parametrize('command, status, words', [
    ('r2plus1d_preprocess', 2, ['--output_path']),
    ('r2plus1d_preprocess -- output_path=bins/', 2, ['without the space: --output_path=bins/']),
    ('r2plus1d_preprocess --output_path=bins --bts=0', 2, ['--bts']),
    ('r2plus1d_preprocess --output_path=bins --config=config.py --bts=120', 1, ['--bts 120']),
    ('r2plus1d_preprocess --output_path=bins --config=no.py', 2, ['no.py: no such file in']),
    ('sample_shape no.py', 2, ['no.py: no such file in']),
    ('r2plus1d_preprocess --output_path=bins --config=broken.py', 1, ['broken.py']),
    ('r2plus1d_preprocess --output_path=bins --config=empty.py', 1, ['empty.py', 'data']),
    ('r2plus1d_preprocess --output_path=bins --config=test/stand_ins/cann.py', 2,
     ['test/stand_ins/cann.py: no such file in {}', f'start it in {ROOT}']),
    ('r2plus1d_preprocess --output_path=bins --cfg-options data.test.ann_file=empty.txt', 1, ['empty.txt']),
    ('r2plus1d_preprocess --output_path=bins --cfg-options data.test.ann_file=no.txt', 1,
     ['no.txt: no such file in {}']),
])
def test_what_is_refused(folder, command, status, words):
    """The paths of the config are looked for in the folder where the script was started, which the message names."""
    (folder / 'broken.py').write_text('model = (')
    (folder / 'empty.py').write_text('a = 1')
    (folder / 'empty.txt').write_text('')
    script, *options = command.split()
    fails(call(script, *options, check=False), status, *(text.format(folder) for text in words))
    assert not (folder / 'bins').exists()


def test_files_of_the_user_and_damaged_frames(folder):
    """The bins of before stay, whole."""
    (folder / 'bins').mkdir()
    (folder / 'bins/notes.txt').write_text('mine')
    fails(preprocess(), 1, 'bins', 'notes.txt')
    assert names() == ['notes.txt']
    fails(preprocess('--output_path=bins/notes.txt'), 1, 'notes.txt')
    (folder / 'bins/notes.txt').unlink()
    preprocess(check=True)
    before = names()
    frame = sorted((folder / 'data/ucf101/rawframes').glob('*/*/img_00001.jpg'))[0]
    for damage in (lambda: frame.write_bytes(b'no jpeg'), frame.unlink):
        damage()
        fails(preprocess('--overwrite'), 1, frame.parent.name)
        assert names() == before and not list(folder.glob('*.part'))


def test_paths_outside_on_demand(folder):
    first, second = (line.split(' ', 1) for line in (folder / LIST).read_text().splitlines())
    outside = f'../rawframes/{first[0]} {first[1]}\n{folder}/data/ucf101/rawframes/{second[0]} {second[1]}\n'
    (folder / LIST).write_text(outside)
    fails(preprocess(), 1, 'line 1: ', 'line 2: ', '--allow_outside')
    preprocess('--allow_outside', check=True)
    assert len(names()) == 3


@pytest.mark.parametrize('text', ['', '{', '[]', '"x"', '\x00', '{"num_videos": "x"}', '{"num_videos": -1}',
                                  '{"num_videos": true}', '{"version": 4}', '{"version": 3}', '{"bts": 0}',
                                  '{"dtype": 5}', '{"dtype": "float64"}'])
def test_a_damaged_info_json_is_refused(tmp_path, text):
    path = tmp_path / 'info.json'
    path.write_text(text)
    with refusal('--overwrite', path):
        read_info(str(tmp_path))


def stamps():
    return {name: os.stat(f'bins/{name}').st_mtime_ns for name in names()}


def test_bins_that_are_there_are_kept(folder):
    """The same config, list, dtype and --bts: nothing is made. Otherwise, or on demand: made again."""
    preprocess(check=True)
    first = stamps()
    assert 'kept' in preprocess(check=True).stderr and stamps() == first
    preprocess('--overwrite', check=True)
    second = stamps()
    assert set(second) == set(first) and all(second[name] != first[name] for name in first)

    bins = sorted((folder / 'bins').glob('*.bin'))
    os.truncate(bins[0], 1000)
    preprocess(check=True)
    assert bins[0].stat().st_size == bins[1].stat().st_size
    bins[0].unlink()
    preprocess(check=True)
    assert sorted((folder / 'bins').glob('*.bin')) == bins
    options = ['--cfg-options', 'data.test.pipeline.0.frame_interval=4']
    for others, count in ((['--output_path=bins/', '--bts=2'], 1), (['--dtype=uint8'], 2), (options, 2)):
        assert 'kept' not in preprocess(*others, check=True).stderr
        assert 'kept' in preprocess(*others, check=True).stderr and len(names()) == count + 1
    lines = (folder / LIST).read_text().splitlines()
    (folder / LIST).write_text('\n'.join(lines[::-1]) + '\n')
    assert 'kept' not in preprocess(*options, check=True).stderr

    (folder / 'bins/info.json').unlink()  # then nothing says that they are ours
    before = stamps()
    fails(preprocess(), 1, 'bins', '--overwrite')
    assert stamps() == before
    preprocess('--overwrite', check=True)
    assert 'info.json' in names()
    frame = folder / 'data/ucf101/rawframes' / lines[0].split()[0] / 'img_00001.jpg'

    def overwrite(path):  # a later frame, in place
        path.with_name('img_00002.jpg').write_bytes(path.with_name('img_00003.jpg').read_bytes())

    for change in (overwrite, os.utime, os.unlink):  # the last one is noticed by the first video, which is looked at
        preprocess(*options, check=True)
        assert 'kept' in preprocess(*options, check=True).stderr
        change(frame)
        assert 'others since: the files of the videos' in preprocess(*options, check=change is not os.unlink).stderr


def test_an_info_json_of_version_2_is_kept(folder):
    """Its stamps were of the first frames alone, so they are not compared, and that is said."""
    preprocess(check=True)
    info = json.loads((folder / 'bins/info.json').read_text())
    (folder / 'bins/info.json').write_text(json.dumps(dict(info, version=2, sources=[[1, 2]] * 2)))
    found = preprocess(check=True).stderr
    assert 'not checked: whether the videos were changed' in found and 'kept' in found


def test_old_bins_make_room_for_new_ones(folder, monkeypatch):
    """Where the disk has no room for both, the old ones are removed first; where that is not enough, they stay."""
    usage = collections.namedtuple('usage', 'total used free')
    sample = 3 * 3 * 8 * 256 * 256 * 4
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, 2 * sample))
    preprocess(check=True)
    before = names()
    assert len(before) == 3
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, sample))
    fails(preprocess('--bts=4'), 1, 'bins', 'GB')
    assert names() == before
    assert 'removed first' in preprocess('--bts=2', check=True).stderr
    assert len(names()) == 2 and not list(folder.glob('bins.*'))


def test_a_run_does_not_go_on_with_bins_of_frames_that_have_changed(folder):
    """Of a killed run one of two bins is done; then frames are overwritten in place."""
    def contents():
        return [path.read_bytes() for path in sorted((folder / 'bins').glob('*.bin'))]

    def leave_unfinished():
        shutil.rmtree('bins', ignore_errors=True)
        preprocess(check=True)
        info = json.loads((folder / 'bins/info.json').read_text())
        first, second = sorted(info['bins'])
        part = (folder / 'bins').rename('bins.part')
        (part / second).unlink()
        (part / 'done.txt').write_text(f'\n{first} {info["bins"][first]}\n')
        (part / 'info.json').write_text(json.dumps(dict(info, bins={})))
        (folder / 'bins.lock').write_text('r2plus1d, process 1 on elsewhere\n')

    leave_unfinished()
    assert 'goes on: 1 of 2 files were done' in preprocess(check=True).stderr
    before = contents()
    leave_unfinished()
    for frames in (folder / 'data/ucf101/rawframes').glob('*/*'):
        for path in frames.glob('img_000[01]*.jpg'):
            path.write_bytes((frames / 'img_00020.jpg').read_bytes())
    assert 'goes on' not in preprocess(check=True).stderr
    changed = contents()
    preprocess('--overwrite', check=True)
    assert contents() == changed != before
