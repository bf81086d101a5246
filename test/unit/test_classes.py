# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Class lists: a list that is cut off or was altered is refused, with the file and the line.

A row of CLASSES is the content of a list of three classes, and words of the message; None where the list is good. The
lists of BESIDE lie in the folder of UCF-101's own lists, which know the classes.
"""
import json

import pytest
from conftest import CONFIG, REAL, refusal, write_annotations
from onnx import helper, save

from r2plus1d.class_names import class_names
from r2plus1d.lists import check_names_of_videos, read_classes

from mmcv import Config

A, B, C = 'ApplyEyeMakeup', 'Basketball', 'YoYo'
GOOD = f'1 {A}\n2 {B}\n3 {C}\n'
CLASSES = {
    'good': (GOOD, None),
    'good, as Windows writes it': (GOOD.replace('\n', '\r\n'), None),
    'good, without an end of its last line': (GOOD[:-1], None),
    'good, with a byte-order mark': (b'\xef\xbb\xbf' + GOOD.encode(), None),
    'good, with spaces': (GOOD.replace(' ', '\t  ').replace('\n', '  \n'), None),
    'good, names of several words': ('1 jumping rope\n2 打篮球\n3 it\'s "so" & <b>\n', None),
    'good, blank lines': (GOOD + '\n\n', None),
    'no numbers': (f'{A}\n{B}\n{C}\n', f'line 1 is "{A}", expected "1 <class name>"'),
    'numbers from 0 on': (f'0 {A}\n1 {B}\n', 'line 1 is "0 ApplyEyeMakeup", expected "1 <class name>"'),
    'a line lost': (f'1 {A}\n3 {C}\n', 'line 2 is "3 YoYo", expected "2 <class name>"'),
    'a line lost, a blank one in its place': (f'1 {A}\n\n3 {C}\n', 'line 3 is "3 YoYo", expected "2 <class name>"'),
    'a line twice': (f'1 {A}\n2 {B}\n2 {B}\n', 'line 3 is "2 Basketball"'),
    'a name twice': (f'1 {A}\n2 {B}\n3 {A}\n', f'line 3: "{A}" is the name of line 1, too'),
    'no name': (f'1 {A}\n2\n3 {C}\n', 'line 2 is "2"'),
    'a name of spaces': (f'1 {A}\n2   \n3 {C}\n', 'line 2 is "2"'),
    'digits of another script': (f'１ {A}\n', 'line 1'),
    'a number of many digits': (f'{"1" * 5000} {A}\n', 'line 1'),
    'a comment': (f'# classes\n{GOOD}', 'line 1'),
    'a control character': (f'1 {A}\n2 Basket\x07ball\n', 'line 2'),
    'another control character': (f'1 {A}\n2 Basket\x85ball\n', 'line 2'),
    'half a character': (f'1 {A}\n'.encode() + b'2 Basket\xe4\n', 'byte 25 is not UTF-8'),
    'UTF-16': (GOOD.encode('utf-16'), 'not UTF-8'),
    'zeros': (GOOD.encode() + bytes(40), 'line 4'),
    'binary': (bytes(range(256)), 'not UTF-8'),
    'random bytes that are text': (bytes(range(1, 128)), 'line 1'),
    'empty': (b'', 'is empty'),
    'blank': ('\n\n', 'no class'),
}
# The same, beside UCF-101's own lists.
BESIDE = {
    'good': (GOOD, None),
    'cut off between two lines': (f'1 {A}\n2 {B}\n', 'line 3 is missing, and in trainlist01.txt class 3 is YoYo'),
    'cut off in a name': (GOOD[:-3], 'line 3 is "3 Yo", and in trainlist01.txt class 3 is YoYo'),
    'two names swapped': (f'1 {B}\n2 {A}\n3 {C}\n', f'line 1 is "1 {B}", and in trainlist01.txt class 1 is {A}'),
    'a letter altered': (GOOD.replace('Yo', 'yo', 1), 'line 3 is "3 yoYo"'),
    'a class too many': (GOOD + '4 Another\n', None),
}


def check(path, content, words):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with refusal(words, path):
        read_classes(str(path))


@pytest.mark.parametrize('content, words', CLASSES.values(), ids=CLASSES)
def test_classes(tmp_path, content, words):
    check(tmp_path / 'classInd.txt', content, words)


@pytest.mark.parametrize('content, words', BESIDE.values(), ids=BESIDE)
def test_classes_beside_the_official_lists(tmp_path, content, words):
    write_annotations(tmp_path)
    check(tmp_path / 'classInd.txt', content, words)


def test_names(tmp_path):
    (tmp_path / 'c.txt').write_bytes(' 1 jumping  rope \r\n2\t打篮球'.encode())
    assert read_classes(str(tmp_path / 'c.txt')) == ['jumping rope', '打篮球']


@pytest.mark.parametrize('name, words', [('.', 'a folder'), ('no', 'no such file')])
def test_what_is_no_file(tmp_path, name, words):
    with refusal(words, tmp_path / name):
        read_classes(str(tmp_path / name))


# the class folders and labels of videos, and words of the message about GOOD
VIDEOS = {
    'all fit': ({A: 0, B: 1, C: 2}, None),
    'some videos only': ({C: 2}, None),
    'another way of writing': ({'apply_eye_makeup': 0, B: 1}, None),
    'another data set': ({'abseiling': 0, 'yoga': 1}, None),
    'a class at another place': ({A: 0, B: 2}, 'class 2 is Basketball, and the videos of Basketball have label 2'),
    'one name altered': ({A: 0, 'Basket': 1, C: 2}, 'class 2 is Basketball, and the videos of label 1 (from 0) lie in'),
    'too few names': ({A: 0, B: 1, C: 2, 'Another': 3}, '3 classes, and the videos of Another have label 3'),
}


@pytest.mark.parametrize('labels, words', VIDEOS.values(), ids=VIDEOS)
def test_classes_and_the_folders_of_videos(tmp_path, labels, words):
    videos = [(f'data/rawframes/{folder}/v_{i}', label) for i, (folder, label) in enumerate(labels.items())]
    path = tmp_path / 'classes.txt'
    path.write_text(GOOD)
    with refusal(words, path):
        check_names_of_videos(path, read_classes(path), videos)


# what a model notes, the list of --classes, the config's classes and their number; the names, or words of the message
NAMES = {
    'those of the model': ([A, '打 篮球'], None, [C], 400, [A, '打 篮球']),
    'the same list': ([A, B, C], GOOD, [], 3, [A, B, C]),
    'another order': ([A, C, B], GOOD, [], 3, 'classes.txt: class 2 is Basketball, and in {model} it is YoYo'),
    'one too many': ([A, B], GOOD, [], 3, 'classes.txt: class 3 is YoYo, and in {model} it is missing'),
    'one too few': ([A, B, C, 'D'], GOOD, [], 3, 'classes.txt: class 4 is missing, and in {model} it is D'),
    'a model without names': (None, GOOD, [C], 400, [A, B, C]),
    'those of the config': (None, None, [A, B], 400, [A, B]),
    'those of a base of the config': (None, None, [A, B, C], 2, []),
    'no list': ('{"a": 1}', None, [], 2, '{model}: its class_names are no list of names'),
    'no JSON': ('[', None, [], 2, '{model}: its class_names are no list of names'),
    'a control character': (['a\x1b[2J'], None, [], 2, '{model}: line 1'),
    'a name twice': (['a', 'a'], None, [], 2, '{model}: line 2: "a" is the name of line 1, too'),
}


@pytest.mark.parametrize('ending', ['onnx', 'om'])
@pytest.mark.parametrize('noted, listed, own, num_classes, expected', NAMES.values(), ids=NAMES)
def test_the_names_of_a_model(tmp_path, monkeypatch, ending, noted, listed, own, num_classes, expected):
    monkeypatch.chdir(tmp_path)
    model = f'model.{ending}'
    text = noted if isinstance(noted, str) else json.dumps(noted)
    if ending == 'om':
        (tmp_path / f'{model}.json').write_text(f'{{"class_names": {text}}}' if noted else '{}')
    else:
        made = helper.make_model(helper.make_graph([], 'empty', [], []))
        helper.set_model_props(made, {'class_names': text} if noted else {})
        save(made, model)
    (tmp_path / 'classes.txt').write_text(GOOD)
    (tmp_path / 'config.py').write_text(f'classes = {own}\nmodel = dict(cls_head=dict(num_classes={num_classes}))')
    cfg = Config.fromfile('config.py')
    with refusal(expected.format(model=model) if isinstance(expected, str) else None):
        source = 'classes.txt' if listed else model if noted else cfg.filename
        assert class_names(model, cfg, listed and 'classes.txt') == (source, expected)


def test_the_config_has_the_official_names():
    cfg = Config.fromfile(str(CONFIG))
    official = REAL / 'annotations/classInd.txt'
    assert len(cfg.classes) == 101 and (not official.exists() or cfg.classes == read_classes(str(official)))
