# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Lists of videos: all faults of a list are told at once, with their lines; UCF-101's own lists beside it know more."""
import os

import pytest
from conftest import refusal, write_annotations

from r2plus1d.lists import check_list

A, B = 'Basketball/v_Basketball_g01_c01', 'Basketball/v_Basketball_g01_c02'
# A list of frames: (its bytes or text, words of the message); None: it is good
LISTS = {
    'good': (f'{A} 29 1\n{B} 63 1\n', None),
    'good, without an end of its last line': (f'{A} 29 1\n{B} 63 1', None),
    'good, as Windows writes it': (f'{A} 29 1\r\n{B} 63 1\r\n', None),
    'label -1': (f'{A} 29 -1\n', 'line 1: "-1" is not a number'),
    'label of no class': (f'{A} 29 1\n{B} 63 400\n', 'line 2: label 400, and the model has 400 classes'),
    'label of many digits': (f'{A} 29 100000\n', 'line 1: label 100000'),
    'label of very many digits': (f'{A} 29 {"1" * 5000}\n', 'line 1: "1111'),
    'digits of another script': (f'{A} 29 １\n', 'line 1: "１" is not a number'),
    'no label': (f'{A} 29\n', 'line 1: has 2 fields'),
    'a field too many': (f'{A} 29 1 1\n', 'line 1: has 4 fields'),
    'a space in a name': ('Basket ball/v 29 1\n', 'line 1: has 4 fields'),
    'a blank line': (f'{A} 29 1\n\n{B} 63 1\n', 'line 2: is blank'),
    'a comment': (f'# videos\n{A} 29 1\n', 'line 1: is a comment'),
    'a video twice': (f'{A} 29 1\n{B} 63 1\n{A} 29 1\n', 'line 3: the same video as line 1'),
    'a video with two labels': (f'{A} 29 1\n{A} 29 2\n', 'line 2: the same video as line 1'),
    'a path upwards': (f'../rawframes/{A} 29 1\n', 'line 1: "../rawframes/'),
    'an absolute path': (f'/tmp/{A} 29 1\n', 'line 1: "/tmp/'),
    'no frames': (f'{A} 0 1\n', 'line 1: 0 frames'),
    'one frame': (f'{A} 1 1\n', 'line 1: 1 frames'),
    'a byte-order mark': (b'\xef\xbb\xbf' + f'{A} 29 1\n'.encode(), 'byte-order mark'),
    'UTF-16': (f'{A} 29 1\n'.encode('utf-16'), 'byte 0 is not UTF-8'),
    'Latin-1': ('é 29 1\n'.encode('latin-1'), 'byte 0 is not UTF-8'),
    'zeros': (f'{A} 29 1\n'.encode() + bytes(100), 'zero bytes'),
    'two faults': (f'{A} 29 x\n\n{B} 63 1\n', 'line 1: "x" is not a number; line 2: is blank'),
}
TEST = [f'{name}.mp4 {label}' for name, label in (
    ('ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01', 0), (A, 1), (B, 1), ('YoYo/v_YoYo_g01_c01', 2),
    ('YoYo/v_YoYo_g02_c01', 2))]
# beside the official lists, which name .avi files: the lines of a list, what is said of it, words of the refusal
BESIDE = {
    'frames of fewer videos': ([f'{A} 29 1', f'{B} 63 1'], ['has 2 of the 5 videos of {}/testlist01.txt'], None),
    'frames of another label': ([f'{A} 29 1', f'{B} 63 2'], [], 'line 2: label 2, and'),
    'frames of a training video': ([f'{A} 29 1', 'Basketball/v_Basketball_g08_c01 90 1'], [],
                                   'line 2: Basketball/v_Basketball_g08_c01 is in the official trainlist01.txt'),
    'other endings': (TEST, [], None),
    'more videos': ([*TEST, 'Basketball/v_mine.mp4 1', 'Mine/v.webm 9'], ['2 videos that are not in'], None),
    'fewer and more': ([*TEST[1:], 'Mine/v.mp4 9'], ['has 4 of the 5 videos', '1 videos that are not in'], None),
    'a wrong label': ([*TEST[:4], 'YoYo/v_YoYo_g02_c01.mp4 1'], [], 'line 5: label 1, and'),
    'a wrong label of another video': ([*TEST, 'YoYo/v_mine.mp4 1'], [], 'line 6: label 1, and'),
    'a training video': ([*TEST, 'YoYo/v_YoYo_g08_c01.mkv 2'], [], 'is in the official trainlist01.txt'),
}


def check(path, are_frames=True):
    """Check a list of videos, or of their frames, for a model of 400 classes."""
    data = {'type': 'RawframeDataset' if are_frames else 'VideoDataset', 'ann_file': str(path)}
    check_list({'model': {'cls_head': {'num_classes': 400}}}, data)


@pytest.mark.parametrize('content, words', LISTS.values(), ids=LISTS)
def test_lists(tmp_path, content, words):
    path = tmp_path / 'list.txt'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with refusal(words, path):
        check(path)


@pytest.mark.parametrize('kind', BESIDE)
def test_lists_beside_the_official_lists(tmp_path, capsys, kind):
    lines, said, words = BESIDE[kind]
    write_annotations(tmp_path / 'annotations')
    path = tmp_path / 'ucf101_val_split_1_videos.txt'
    path.write_text('\n'.join(lines))
    with refusal(words, path):
        check(path, are_frames='frames' in kind)
    found = capsys.readouterr().err.splitlines()
    assert len(found) == len(said)
    assert all(words.format(tmp_path / 'annotations') in line for words, line in zip(said, found)), found


def test_a_damaged_class_list_beside_a_list(tmp_path):
    """The list of videos is compared with the official class list, so that has to be a good one."""
    write_annotations(tmp_path / 'annotations')
    classes = tmp_path / 'annotations/classInd.txt'
    classes.write_bytes(classes.read_bytes()[:20])
    (tmp_path / 'list.txt').write_text(f'{A} 29 1\n')
    with refusal('line 2 is "2"', classes):
        check(tmp_path / 'list.txt')


def test_a_list_that_is_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'list.txt')
    with refusal('is a named pipe', tmp_path / 'list.txt'):
        check(tmp_path / 'list.txt')
