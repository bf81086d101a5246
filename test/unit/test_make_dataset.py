# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The demo's data set: UCF-101's form, as mmaction2 reads it; and the arguments of the demo's scripts."""
import re

import cv2
import pytest
from conftest import REAL, ROOT, call, fails, start

SECONDS = 15

SCRIPT = ROOT / 'demo' / 'make_dataset.py'


def videos(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted((folder / 'videos').glob('*/*.avi'))}


def lines(folder, name):
    data = (folder / 'annotations' / name).read_bytes().decode()
    assert data.endswith('\r\n')
    return data.split('\r\n')[:-1]


def test_the_form_is_that_of_ucf101(tmp_path):
    for name, options in (('a', ['--workers', '1']), ('b', ['--workers', '2']), ('c', ['--seed', '1'])):
        start(SCRIPT, '--out', tmp_path / name, '--split', 'test', '--classes', '2', '--clips', '1', *options)
    a, b, c = (videos(tmp_path / name) for name in 'abc')
    assert a == b  # whatever the number of processes
    assert list(a) == list(c) and all(a[name] != c[name] for name in a)
    classes = lines(tmp_path / 'a', 'classInd.txt')
    assert [line.split()[0] for line in classes] == ['1', '2']
    for split in '123':
        test, train = (lines(tmp_path / 'a', f'{part}list0{split}.txt') for part in ('test', 'train'))
        groups = [{re.search(r'_g(\d\d)_c\d\d\.avi', line)[1] for line in part} for part in (test, train)]
        assert not groups[0] & groups[1] and len(test) == 14 and len(train) == 36
        assert {line.split()[1] for line in train} == {'1', '2'}
    assert sorted(lines(tmp_path / 'a', 'testlist01.txt')) == sorted(name[len('videos/'):] for name in a)
    for name in a:
        video = cv2.VideoCapture(str(tmp_path / 'a' / name))
        assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (320, 240)
        assert video.get(cv2.CAP_PROP_FPS) == 25 and 29 <= video.get(cv2.CAP_PROP_FRAME_COUNT) <= 150


def test_mmaction2_reads_it(tmp_path, monkeypatch):
    """build_file_list.py, and RawframeDataset and VideoDataset with mmaction2's own decoders, training and test."""
    import mmcv
    from mmaction.datasets import build_dataset
    monkeypatch.chdir(tmp_path)
    data, tools = 'data/ucf101', ROOT / 'mmaction2/tools/data'
    start(SCRIPT, '--out', data, '--classes', '2', '--clips', '1')
    start(tools / 'build_rawframes.py', f'{data}/videos/', f'{data}/rawframes/', '--task', 'rgb', '--level', '2',
           '--ext', 'avi', '--use-opencv')
    for form in ('rawframes', 'videos'):
        start(tools / 'build_file_list.py', 'ucf101', f'{data}/{form}/', '--level', '2', '--format', form)
    cfg = mmcv.Config.fromfile(str(ROOT / 'demo/r2plus1d_r18_demo.py')).data
    for part, listed, count in (('train', 'train', 36), ('test', 'val', 14)):
        steps = cfg[part].pipeline
        as_video = [dict(type='OpenCVInit')] + [
            dict(type='OpenCVDecode') if step['type'] == 'RawFrameDecode' else step for step in steps]
        for kind, form, pipeline in (('RawframeDataset', 'rawframes', steps), ('VideoDataset', 'videos', as_video)):
            dataset = build_dataset(dict(type=kind, pipeline=pipeline, data_prefix=f'{data}/{form}',
                                         ann_file=f'{data}/ucf101_{listed}_split_1_{form}.txt'))
            assert len(dataset) == count and {info['label'] for info in dataset.video_infos} == {0, 1}
            for i in range(0, count, 5):
                assert dataset[i]['imgs'].shape[-4:-2] == (3, 8) and dataset[i]['imgs'].std() > 0.1


@pytest.mark.skipif(not (REAL / 'annotations').is_dir(), reason='no official lists at UCF101_REAL')
def test_official_names(tmp_path):
    """--names takes official lists; here the first lines of them."""
    (tmp_path / 'names').mkdir()
    for name in ('classInd.txt', 'testlist01.txt'):
        text = (REAL / 'annotations' / name).read_bytes().splitlines(keepends=True)
        (tmp_path / 'names' / name).write_bytes(b''.join(text[:3] if name == 'testlist01.txt' else text))
    start(SCRIPT, '--out', tmp_path / 'out', '--split', 'test', '--names', tmp_path / 'names')
    assert [name[len('videos/'):] for name in videos(tmp_path / 'out')] == lines(tmp_path / 'out', 'testlist01.txt')


@pytest.mark.parametrize('command, words', [
    ('make_dataset --out {}/x --classes 0', '--classes'), ('make_dataset --out {}/x --names {}', 'classInd.txt'),
    ('shuffle_frames {}/none {}/x', '{}/none'), (f'shuffle_frames {ROOT}/demo {{}}/x', f'{ROOT}/demo')])
def test_bad_arguments(tmp_path, command, words):
    script, *options = command.replace('{}', str(tmp_path)).split()
    done = call(script, *options, check=False)
    fails(done, 2, words.replace('{}', str(tmp_path)))
    assert len(done.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
