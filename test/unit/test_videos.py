# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Which videos --video names, their windows, and the samples of these."""
import os
import tracemalloc

import numpy as np
import pytest
from conftest import CONFIG, refusal
from test_frames import MS, STEADY, UNSTEADY, number_in, write_video

from r2plus1d.container import Index
from r2plus1d.inference import Facts, Task, Video, Window
from r2plus1d.videos import Decoder, count_windows, find_videos, tasks_of

NAMES = ['Run', 'Jump', '7']


def test_folders(tmp_path, capsys):
    """Class folders give labels; links are followed, each folder once; a folder that cannot be read is told."""
    for name in ('all/Run/a.mts', 'all/Run/deep/b.OGV', 'all/other/c.f4v', 'all/d.divx', 'all/e.txt',
                 'elsewhere/f.vob'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'all/Jump').symlink_to('../elsewhere')
    (tmp_path / 'elsewhere/loop').symlink_to('../all')
    (tmp_path / 'all/again').symlink_to('Run')
    (tmp_path / 'all/closed').mkdir(mode=0)
    videos = find_videos([str(tmp_path / 'all')], NAMES)
    found = {os.path.relpath(video.path, tmp_path / 'all'): video.label for video in videos}
    assert found == {'Run/a.mts': 0, 'Run/deep/b.OGV': None, 'other/c.f4v': None, 'd.divx': None, 'Jump/f.vob': 1}
    if os.geteuid():  # root may read it
        assert 'closed: cannot be read' in capsys.readouterr().err
    os.mkfifo(tmp_path / 'pipe.avi')
    for name, words in (('all/closed', 'has no video files, whose names would end with'), ('pipe.avi', 'a named pipe')):
        with refusal(words, tmp_path / name):
            find_videos([str(tmp_path / name)], NAMES)


LISTS = {
    'a.avi\nb.avi Jump\n"c d.avi" 0\n': {'a.avi': None, 'b.avi': 1, 'c d.avi': 0},
    'a.avi 7\n': 'line 1: "7" is the name of class 2, from 0 on, and the number of another one',
    'a.avi Walk\n': 'line 1: "Walk" is neither a class',
    'a.avi\nb\0.avi\n': 'line 2 holds a zero byte',
    'a b c\n': 'line 1 has 3 fields, expected "path" or "path label"; put a path with spaces in quotes',
    '"a\n': 'line 1: No closing quotation',
    'a.avi 0\na.avi 1\n': 'is there twice, with different labels',
    '\n': 'lists no video',
}


@pytest.mark.parametrize('text', LISTS)
def test_lists(tmp_path, text):
    path = tmp_path / 'list.txt'
    path.write_text(text)
    with refusal(LISTS[text] if isinstance(LISTS[text], str) else None, path):
        assert {video.path: video.label for video in find_videos([str(path)], NAMES)} == LISTS[text]


def windows_of(times, every, step=.04):
    """[(start, end, numbers of the frames)] of the windows of a video with frames at these TIMES."""
    index = Index(np.array(times, float), float(times[-1]) + step)
    count = count_windows('video.mp4', index, every)
    bounds = [(round(i * every, 3), round((i + 1) * every, 3)) for i in range(count)]
    return [(start, end, index.between(start, np.inf if i == count - 1 else end))
            for i, (start, end) in enumerate(bounds)]


def test_windows_are_by_time():
    """A frame belongs to the window in whose seconds it is shown, however many were shown before."""
    found = windows_of(UNSTEADY, 2.5)
    assert [numbers for _, _, numbers in found] == [(0, 18), (18, 35), (35, 100)]
    assert windows_of(STEADY, 1.6)[1:] == [(1.6, 3.2, (40, 80)), (3.2, 4.8, (80, 100))]
    # sums of 1.6 are not what they seem to be in binary, and neither are times in milliseconds
    assert [numbers for _, _, numbers in windows_of([i / 25 for i in range(400)], 1.6)] == [
        (40 * i, 40 * i + 40) for i in range(10)]
    assert windows_of([0, .033, .067, .1, .133, .167], .1) == [(0, .1, (0, 3)), (.1, .2, (3, 6))]


@pytest.mark.parametrize('times, every, windows', [
    *(([i / 25 for i in range(frames)], 1.6, windows) for frames, windows in ((80, 2), (81, 2), (82, 3))),
    ([0, .04, .08], 1e308, 1), ([0, .04, .08], 1e-300, None), ([0, .04, 1e10], 1, 1),
    ([0, .04, 1e10, 1e10 + 1], 1, None), ([0, 1, 2, 3], 1, None), ([0, 1, 2, 3], 2, 2), ([0, 1], .1, 1)])
def test_windows_have_two_frames_and_strange_ones_take_no_memory(times, every, windows):
    tracemalloc.start()
    with refusal(None if windows else 'less than two frames'):
        assert len(windows_of(times, every)) == windows
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


@pytest.fixture(scope='module')
def decoder():
    """Of samples that are the frames themselves: one clip of 4 frames, each second frame."""
    from r2plus1d.data import read_config
    cfg = read_config(str(CONFIG))
    steps = [step for step in cfg.data.test.pipeline if step['type'] not in ('Resize', 'ThreeCrop')]
    cfg.data.test.pipeline = [dict(step, clip_len=4, frame_interval=2) if step['type'] == 'SampleFrames' else step
                              for step in steps]
    return Decoder(cfg, 'uint8', are_files=True)


def test_samples_and_facts_of_windows(tmp_path, decoder):
    """Numbers of frames and seconds are what was counted; a window without motion is refused."""
    path = write_video(tmp_path / 'video.mp4', 'libx264', UNSTEADY[:60], MS)
    tasks = list(tasks_of(Video(path), 2.5))
    *first, last = [task.window for task in tasks]
    assert first == [Window(0, 3, 0, 2.5), Window(1, 3, 2.5, 5)]
    assert last == Window(2, 3, 5, pytest.approx(5.893, abs=.03))
    numbers = []
    for task, count in zip(tasks, (18, 17, 25)):
        sample, facts = decoder.decode(task)
        assert facts == Facts(count, pytest.approx(5.893, abs=.03))
        numbers.append([number_in(np.moveaxis(image, 0, -1)) for image in np.moveaxis(sample[0], 1, 0)])
    assert numbers == [[5, 7, 9, 11], [23, 25, 27, 29], [44, 46, 48, 50]]
    sample, facts = decoder.decode(Task(Video(path)))
    assert facts == Facts(60, pytest.approx(5.893, abs=.03))
    with refusal('shows 1 frame from 0.2 s to 0.4 s'):
        decoder.decode(Task(Video(path), Window(1, 9, .2, .4)))
    (tmp_path / 'none.mp4').write_text('no video')
    task, = tasks_of(Video(str(tmp_path / 'none.mp4')), 2)  # a fault is a task
    with refusal('not a video'):
        decoder.decode(task)
