# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The patched build_rawframes.py --use-opencv: the frames that a player shows, of whole videos alone."""
import os
import shutil

import av
import cv2
import pytest
from conftest import REAL, ROOT, VIDEO_SAMPLES, make_video, start
from test_frames import SAMPLES

import mmcv

SECONDS = 10


def extract(folder, *options, level=2, check=True):
    return start(ROOT / 'mmaction2/tools/data/build_rawframes.py', 'videos/', 'frames/', '--task', 'rgb', '--level',
                 level, '--use-opencv', '--num-worker', 2, *options, cwd=folder, check=check)


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
    names = ('whole', 'cut_off', 'cut_off_between_frames', 'damaged', 'empty')
    videos = [tmp_path / f'videos/a/{name}.avi' for name in names]
    for i, path in enumerate(videos):
        make_video(path, 40, i)
    _, cut_off, between_frames, damaged, empty = videos
    with av.open(str(between_frames)) as video:
        end = [packet.pos for packet in video.demux(video=0)][30]
    os.truncate(between_frames, end)
    os.truncate(cut_off, cut_off.stat().st_size // 2)
    os.truncate(empty, 0)
    with open(damaged, 'r+b') as f:
        f.seek(20000)
        f.write(bytes(2000))
    earlier = tmp_path / 'frames/a/whole'
    earlier.mkdir(parents=True)
    for name in ('img_00041.jpg', 'flow_x_00001.jpg'):
        (earlier / name).touch()
    done = extract(tmp_path, check=False)
    assert done.returncode == 1 and '4 of 5 videos failed' in done.stderr
    causes = ('damaged or cut off near frame', 'cut off: 30 of 40', 'damaged or cut off near frame',
              'cannot be read as a video')
    for name, cause in zip(names[1:], causes):
        line, = [line for line in done.stderr.splitlines() if line.startswith(f'videos/a/{name}.avi: ')]
        assert cause in line
    assert os.listdir(tmp_path / 'frames/a') == ['whole']
    assert sorted(os.listdir(earlier)) == ['flow_x_00001.jpg', *(f'img_{i:05d}.jpg' for i in range(1, 41))]
    assert (tmp_path / 'build_report.txt').read_text() == 'videos/a/whole.avi\n'


@pytest.mark.skipif(not SAMPLES, reason='no folder of videos of many kinds (VIDEO_SAMPLES)')
def test_videos_that_people_have(tmp_path):
    """Against the table beside them: how many frames a player shows, and of which size. Mirrored ones are mirrored."""
    names = {row['file']: row['file'].replace('.', '_', 1) for row in SAMPLES}
    (tmp_path / 'videos').mkdir()
    for file, name in names.items():
        (tmp_path / 'videos' / name).symlink_to(VIDEO_SAMPLES / file)
    extract(tmp_path, '--mixed-ext', level=1, check=False)
    found, expected = {}, {}
    for row in SAMPLES:
        images = sorted((tmp_path / 'frames' / names[row['file']]).glob('*.jpg'))
        height, width = cv2.imread(str(images[0])).shape[:2] if images else (0, 0)
        found[row['file']] = (len(images), f'{width}x{height}')
        is_read = row['expected'] in ('read', 'refused: one frame')
        expected[row['file']] = (int(row['frames']), row['size']) if is_read else (0, '0x0')
    assert found == expected
    mirrored, plain = (cv2.imread(str(tmp_path / f'frames/{name}/img_00001.jpg')) for name in ('hflip_mp4', 'grey_mp4'))
    assert mirrored.shape == plain.shape
