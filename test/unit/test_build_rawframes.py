# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The patched build_rawframes.py --use-opencv: the frames that a player shows, of whole videos alone."""
import csv
import os
import shutil

import av
import cv2
import pytest
from conftest import REAL, ROOT, VIDEO_SAMPLES, make_video, start

import mmcv

SECONDS = 10

SCRIPT = ROOT / 'mmaction2/tools/data/build_rawframes.py'


def extract(folder, *options, level=2, check=True):
    return start(SCRIPT, 'videos/', 'frames/', '--task', 'rgb', '--level', level, '--use-opencv', '--num-worker', 2,
                 *options, cwd=folder, check=check)


def frames_of(folder):
    return {path.name: path.read_bytes() for path in folder.glob('*.jpg')}


@pytest.mark.parametrize('size', [(), ('--new-short', 100), ('--new-width', 64, '--new-height', 48)])
def test_the_frames_are_those_of_opencv(tmp_path, size):
    """The same JPEG files as mmcv's VideoReader and imwrite give."""
    video = tmp_path / 'videos/a/v.avi'
    real = REAL / 'videos/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi'
    make_video(video, 30, 1)
    if real.is_file() and not size:
        shutil.copy(real, video)
    extract(tmp_path, *size)
    for i, image in enumerate(mmcv.VideoReader(str(video)), 1):
        if size:
            image = mmcv.imresize(image, (133, 100) if len(size) == 2 else (64, 48))
        mmcv.imwrite(image, str(tmp_path / f'expected/img_{i:05d}.jpg'))
    assert frames_of(tmp_path / 'frames/a/v') == frames_of(tmp_path / 'expected') != {}
    assert (tmp_path / 'build_report.txt').read_text() == 'videos/a/v.avi\n'


def test_damaged_videos_have_no_frames(tmp_path):
    """They are named, and the others are extracted. Of a name, the frames of an earlier video are replaced."""
    for i, name in enumerate(('whole', 'cut_off', 'cut_off_between_frames', 'damaged', 'empty')):
        make_video(tmp_path / f'videos/a/{name}.avi', 40, i)
    content = {path.stem: path.read_bytes() for path in (tmp_path / 'videos/a').iterdir()}
    (tmp_path / 'videos/a/cut_off.avi').write_bytes(content['cut_off'][:len(content['cut_off']) // 2])
    with av.open(str(tmp_path / 'videos/a/cut_off_between_frames.avi')) as video:
        end = [packet.pos for packet in video.demux(video=0)][30]
    (tmp_path / 'videos/a/cut_off_between_frames.avi').write_bytes(content['cut_off_between_frames'][:end])
    (tmp_path / 'videos/a/damaged.avi').write_bytes(
        content['damaged'][:20000] + bytes(2000) + content['damaged'][22000:])
    (tmp_path / 'videos/a/empty.avi').write_bytes(b'')
    (tmp_path / 'frames/a/whole').mkdir(parents=True)
    for name in ('img_00041.jpg', 'flow_x_00001.jpg'):
        (tmp_path / 'frames/a/whole' / name).touch()
    done = extract(tmp_path, check=False)
    assert done.returncode == 1 and '4 of 5 videos failed' in done.stderr
    for name, cause in (('cut_off', 'damaged or cut off near frame'), ('cut_off_between_frames', 'cut off: 30 of 40'),
                        ('damaged', 'damaged or cut off near frame'), ('empty', 'cannot be read as a video')):
        line, = [line for line in done.stderr.splitlines() if line.startswith(f'videos/a/{name}.avi: ')]
        assert cause in line
    assert os.listdir(tmp_path / 'frames/a') == ['whole']
    assert sorted(os.listdir(tmp_path / 'frames/a/whole')) == [
        'flow_x_00001.jpg', *(f'img_{i:05d}.jpg' for i in range(1, 41))]
    assert (tmp_path / 'build_report.txt').read_text() == 'videos/a/whole.avi\n'


@pytest.mark.skipif(not VIDEO_SAMPLES.is_dir(), reason='no folder of videos of many kinds (VIDEO_SAMPLES)')
def test_videos_that_people_have(tmp_path):
    """Against the table beside them: how many frames a player shows, and of which size. Mirrored ones are mirrored."""
    with open(VIDEO_SAMPLES / 'expected.tsv', encoding='utf-8') as f:
        rows = list(csv.DictReader(f, delimiter='\t'))
    (tmp_path / 'videos').mkdir()
    for row in rows:
        (tmp_path / 'videos' / row['file'].replace('.', '_', 1)).symlink_to(VIDEO_SAMPLES / row['file'])
    extract(tmp_path, '--mixed-ext', level=1, check=False)
    found, expected = {}, {}
    for row in rows:
        folder = tmp_path / 'frames' / row['file'].replace('.', '_', 1)
        images = sorted(folder.glob('*.jpg'))
        shape = cv2.imread(str(images[0])).shape if images else (0, 0)
        found[row['file']] = (len(images), f'{shape[1]}x{shape[0]}')
        is_read = row['expected'] in ('read', 'refused: one frame')
        expected[row['file']] = (int(row['frames']), row['size']) if is_read else (0, '0x0')
    assert found == expected
    mirrored, plain = (cv2.imread(str(tmp_path / f'frames/{name}/img_00001.jpg')) for name in ('hflip_mp4', 'grey_mp4'))
    assert mirrored.shape == plain.shape
