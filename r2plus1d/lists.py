# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The list of classes and the list of videos, checked before they are used.

A list of classes is UCF-101's classInd.txt or one of its form, "1 ApplyEyeMakeup": the number is that of the line, and
class 1 is label 0. Where UCF-101's lists of videos lie in the same folder, they know the classes as well.

A list of videos is of mmaction2's text form, which splits each line at white space and believes what it finds:

    RawframeDataset: <folder of frames> <number of frames> <label>        VideoDataset: <video file> <label>

A wrong list costs hours and gives an accuracy that means nothing, so all its faults are reported at once. Where
UCF-101's official lists lie in the folder annotations/ beside the list, the list is compared with them.
"""
from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from r2plus1d.run import InputError, explain_missing, log
from r2plus1d.store import check_regular_file

FIELDS = {
    'RawframeDataset': '<folder> <number of frames> <label>',
    'VideoDataset': '<video> <label>',
}
FEWEST_FRAMES = 2  # a video of one frame has no motion: its list is damaged
MOST_FAULTS = 10  # that are told of one list
NUMBER = re.compile(r'[0-9]{1,9}')  # not str.isdigit(), which takes digits of all scripts


def read_text(path: str, encoding: str = 'utf-8') -> str:
    """The text in a file. Raises InputError unless it is a plain file, not empty, in UTF-8."""
    check_regular_file(path)
    with open(path, 'rb') as f:
        content = f.read()
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as e:
        raise InputError(f'{path}: byte {e.start} is not UTF-8; save it as UTF-8')


# ---- classes -----------------------------------------------------------------------------------------


def read_classes(path: str) -> List[str]:
    """The names of the classes by label: the name on line 1 is that of label 0. Raises InputError."""
    names = read_names(path)
    others = (os.path.join(os.path.dirname(path), f'trainlist0{split}.txt') for split in '123')
    other = next(filter(os.path.isfile, others), None)
    if other is None:
        return names
    with open(other, encoding='utf-8', errors='replace') as f:  # lines such as "YoYo/v_YoYo_g08_c01.avi 101"
        matches = [re.fullmatch(r'([^/\s]+)/\S+ ([1-9][0-9]{0,5})', line.strip()) for line in f]
    known = {int(match[2]): match[1] for match in matches if match}
    for number in sorted(known):
        found = quote(f'{number} {names[number - 1]}') if number <= len(names) else 'missing'
        if found != quote(f'{number} {known[number]}'):
            raise InputError(f'{path}: line {number} is {found}, and in {os.path.basename(other)} class {number} is '
                             f'{known[number]}')
    if known and len(names) > max(known):
        log(f'{path}: has {len(names)} classes, and {os.path.basename(other)} knows {max(known)}')
    return names


def read_names(path: str) -> List[str]:
    """The names in a class list, which is checked by itself. Raises InputError."""
    return parse_names(path, read_text(path, 'utf-8-sig').split('\n'))


def parse_names(path: str, lines: Iterable[str]) -> List[str]:
    """The names in LINES such as "1 ApplyEyeMakeup", which are of the file PATH. Raises InputError."""
    numbers: Dict[str, int] = {}  # of the lines, by name
    for number, line in enumerate(lines, 1):
        line = line.rstrip('\r')
        if not line.strip():
            continue
        fields = line.split(None, 1)
        expected = len(numbers) + 1
        if len(fields) != 2 or fields[0] != str(expected) or not line.replace('\t', ' ').isprintable():
            raise InputError(f'{path}: line {number} is {quote(line)}, expected "{expected} <class name>"')
        name = ' '.join(fields[1].split())
        if name in numbers:
            raise InputError(f'{path}: line {number}: {quote(name)} is the name of line {numbers[name]}, too')
        numbers[name] = number
    if not numbers:
        raise InputError(f'{path}: has no class')
    return list(numbers)


def quote(text: str) -> str:
    """A text from a damaged file for a message: no more than 60 letters, all of them visible."""
    visible = ''.join(letter if letter.isprintable() else '?' for letter in text.strip()[:60])
    return f'"{visible}"'


def check_names_of_videos(path: str, names: Sequence[str], videos: Iterable[Tuple[str, int]]) -> None:
    """Raise InputError where the class list PATH, with these NAMES, contradicts the folders of videos.

    VIDEOS: (path of a video or of its frames, label) of each; the folder that it lies in is mostly that of its class.
    Where fewer than half of the folders have the name of their class, the folders have other names, and only the number
    of classes is compared.
    """
    labels = {os.path.basename(os.path.dirname(video)): label for video, label in videos}
    places = {plain(name): label for label, name in enumerate(names)}
    strange = []
    for folder, label in labels.items():
        if label >= len(names):
            raise InputError(f'{path}: {len(names)} classes, and the videos of {folder} have label {label} (from 0)')
        place = places.get(plain(folder))
        if place is None:
            strange.append(folder)
        elif place != label:
            raise InputError(f'{path}: class {place + 1} is {names[place]}, and the videos of {folder} have label '
                             f'{label} (from 0)')
    if strange and len(strange) <= len(labels) / 2:
        folder = strange[0]
        label = labels[folder]
        raise InputError(f'{path}: class {label + 1} is {names[label]}, and the videos of label {label} (from 0) lie '
                         f'in {folder}')


def plain(name: str) -> str:
    """A name without what data sets write in different ways: case, spaces, underscores and dashes."""
    return re.sub(r'[\s_-]', '', name).casefold()


def class_name(names: Sequence[str], index: int) -> str:
    """What to call the class of the model's output INDEX: its name in NAMES.

    The model may have more classes than NAMES. A class without a name is called by its number in UCF-101's way of
    counting, in which classInd.txt begins with 1.
    """
    if index < len(names):
        return names[index]
    return f'class {index + 1}, not in the list'


# ---- videos ------------------------------------------------------------------------------------------


def check_list(cfg: Any, data: Any) -> None:
    """Raise InputError where the list of DATA (cfg.data.test or like it) is missing or has faults.

    cfg.allow_outside: paths outside the data root are taken. Lists that are not of the two text forms are left to
    mmaction2.
    """
    path = data.get('ann_file')
    known_form = data.get('type') in FIELDS and not data.get('with_offset') and not data.get('multi_class')
    if path and not os.path.exists(path):
        remedy = explain_missing(path) or '; the README says how to make it, under "Prepare the data set"'
        raise InputError(f'{path}: no such file{remedy} (it is the list of videos of {cfg.filename})')
    if path and not os.path.isfile(path):  # reading a named pipe would wait for whoever writes into it
        check_regular_file(path)
    if not path or not known_form or path.endswith('.json'):
        return
    num_classes = cfg.get('model', {}).get('cls_head', {}).get('num_classes')
    official = OfficialLists(path)
    faults = []
    seen: Dict[str, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        fault = check_line(line, data['type'], num_classes, cfg.get('allow_outside', False))
        if fault is None:
            name = line.split()[0]
            fault = f'the same video as line {seen[name]}' if name in seen else official.fault(line)
            seen.setdefault(name, number)
        if fault:
            faults.append(f'line {number}: {fault}')
    if faults:
        more = f'; and {len(faults) - MOST_FAULTS} more' if len(faults) > MOST_FAULTS else ''
        raise InputError(f'{path}: {"; ".join(faults[:MOST_FAULTS])}{more}')
    official.compare(seen)


def read_lines(path: str) -> List[str]:
    """The lines of a list. Raises InputError where it is not plain UTF-8 text."""
    text = read_text(path)
    for mark, words in (('\ufeff', 'a byte-order mark'), ('\0', 'zero bytes')):
        if mark in text:
            raise InputError(f'{path}: has {words}; save it as plain UTF-8, or make it again with build_file_list.py')
    lines = text.split('\n')
    return lines if lines[-1] else lines[:-1]


def check_line(line: str, kind: str, num_classes: Optional[int], allow_outside: bool) -> Optional[str]:
    """What is wrong with a line, as text; None if nothing is."""
    fields = line.split()
    count = len(FIELDS[kind].split('> <'))
    if not fields:
        return 'is blank'
    if line.lstrip().startswith('#'):
        return 'is a comment; mmaction2 knows none'
    if len(fields) != count:
        return f'has {len(fields)} fields, expected {count}: {FIELDS[kind]}, without spaces in a name'
    name, *numbers = fields
    for text in numbers:
        if not NUMBER.fullmatch(text):
            return f'"{text[:20]}" is not a number'
    if kind == 'RawframeDataset' and int(numbers[0]) < FEWEST_FRAMES:
        return f'{numbers[0]} frames, expected {FEWEST_FRAMES} or more'
    if num_classes and int(numbers[-1]) >= num_classes:
        return f'label {numbers[-1]}, and the model has {num_classes} classes, from 0 on'
    if not allow_outside and (os.path.isabs(name) or '..' in name.split('/')):
        return f'"{name[:60]}" lies outside the data folder; --allow_outside takes it'
    return None


class OfficialLists:
    """UCF-101's own lists, in the folder annotations/ beside the list PATH. Without them nothing is compared.

    A video is known by class and name without an ending, of which a data set may have another one than UCF-101's .avi.
    """

    def __init__(self, path: str):
        self.path = path
        self.folder = os.path.join(os.path.dirname(path), 'annotations')
        classes = os.path.join(self.folder, 'classInd.txt')
        names = read_classes(classes) if os.path.lexists(classes) else []
        self.labels = {name: label for label, name in enumerate(names)}
        match = re.search(r'_(train|val|test)_split_([123])_', os.path.basename(path))
        kinds = ['train', 'test'] if match and match[1] == 'train' else ['test', 'train']
        self.name, self.other = (f'{kind}list0{match[2]}.txt' if match else '' for kind in kinds)
        self.videos, self.others = self.read(self.name), self.read(self.other)

    def read(self, name: str) -> Set[str]:
        path = os.path.join(self.folder, name)
        if not os.path.isfile(path):
            return set()
        with open(path, encoding='utf-8', errors='replace') as f:
            return {without_ending(line.split()[0]) for line in f if line.strip()}

    def fault(self, line: str) -> Optional[str]:
        """What of a good line contradicts the official lists, as text; None if nothing does."""
        name, *_, label = line.split()
        expected = self.labels.get(name.split('/')[0])
        if expected is not None and int(label) != expected:
            return f'label {label}, and {self.folder}/classInd.txt gives {name.split("/")[0]} the label {expected}'
        if without_ending(name) in self.others:
            return f'{name} is in the official {self.other}'
        return None

    def compare(self, names: Iterable[str]) -> None:
        """Say how far the videos NAMES are not those of the official list, which is a user's right."""
        found = set(map(without_ending, names))
        if self.videos - found:
            log(f'{self.path}: has {len(self.videos & found)} of the {len(self.videos)} videos of '
                f'{self.folder}/{self.name}; an accuracy is that of these videos')
        if self.videos and found - self.videos:
            log(f'{self.path}: has {len(found - self.videos)} videos that are not in {self.folder}/{self.name}, as '
                f'{min(found - self.videos)}')


def without_ending(name: str) -> str:
    """ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01 of the name of a video, or of the folder of its frames."""
    return re.sub(r'\.[A-Za-z0-9]{2,4}$', '', name)


# ---- two lists ---------------------------------------------------------------------------------------


def count_training_videos(cfg: Any) -> int:
    """How many videos of a config's test list are in its training list, too; 0 where it names no such lists.

    They are known by their paths; where one list is of video files and the other of folders of frames, by their names.
    """
    test, train = cfg.data.test, cfg.data.get('train') or {}
    while 'dataset' in train:  # RepeatDataset
        train = train['dataset']
    by_path = test.get('type') == train.get('type')
    return len(names_in_list(test, by_path) & names_in_list(train, by_path))


def names_in_list(data: Any, by_path: bool) -> Set[str]:
    path = data.get('ann_file') or ''
    is_there = os.path.isfile(path) and os.path.getsize(path)
    names = {line.split()[0] for line in read_lines(path) if line.strip()} if is_there else set()
    if by_path:
        return {os.path.realpath(os.path.join(data.get('data_prefix') or '', name)) for name in names}
    return {os.path.splitext(name)[0] if data.get('type') == 'VideoDataset' else name for name in names}
