# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The list of classes, UCF-101's classInd.txt or one of its form, checked before it is used.

    1 ApplyEyeMakeup
    2 ApplyLipstick

The number is that of the line, and class 1 is label 0. Where UCF-101's lists of videos lie in the same folder, they
know the classes as well: trainlist01.txt has the folder and the number of each video's class. A class list that was
cut off or altered contradicts them.
"""
from __future__ import annotations

import os
import re
from typing import Dict, Iterable, List, Sequence, Tuple

from r2plus1d.run import InputError, log
from r2plus1d.store import check_regular_file

LISTS_OF_VIDEOS = ('trainlist01.txt', 'trainlist02.txt', 'trainlist03.txt')


def read_classes(path: str) -> List[str]:
    """The names of the classes by label: the name on line 1 is that of label 0. Raises InputError."""
    names = read_names(path)
    for other in LISTS_OF_VIDEOS:
        known = read_list_of_videos(os.path.join(os.path.dirname(path), other))
        for number in sorted(known):
            if number > len(names):
                raise InputError(f'{path}: has no line "{number} {known[number]}", which {other} expects; '
                                 'is the list cut off?')
            if names[number - 1] != known[number]:
                raise InputError(f'{path}: line {number} is "{number} {names[number - 1]}", '
                                 f'and in {other} class {number} is {known[number]}')
        if known and len(names) > max(known):
            log(f'{path}: has {len(names)} classes, and {other} knows {max(known)}')
            break
    return names


def read_names(path: str) -> List[str]:
    """The names in a class list, which is checked by itself. Raises InputError."""
    check_regular_file(path)
    with open(path, 'rb') as f:
        content = f.read()
    try:
        lines = content.decode('utf-8-sig').split('\n')
    except UnicodeDecodeError as e:
        raise InputError(f'{path}: byte {e.start} is not UTF-8; save it as UTF-8')
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


def read_list_of_videos(path: str) -> Dict[int, str]:
    """{number of a class: its name} by a list of UCF-101 with lines such as "YoYo/v_YoYo_g08_c01.avi 101".

    Empty where there is no such file. Lines of another form are left to whoever reads the videos.
    """
    if not os.path.isfile(path):
        return {}
    with open(path, encoding='utf-8', errors='replace') as f:
        matches = [re.fullmatch(r'([^/\s]+)/\S+ ([1-9][0-9]{0,5})', line.strip()) for line in f]
    return {int(match[2]): match[1] for match in matches if match}


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
            raise InputError(f'{path}: line {place + 1} is "{place + 1} {names[place]}", '
                             f'and the videos of {folder} have label {label} (from 0)')
    if strange and len(strange) <= len(labels) / 2:
        folder = strange[0]
        line = labels[folder] + 1
        raise InputError(f'{path}: line {line} is "{line} {names[line - 1]}", '
                         f'and the videos of label {line - 1} lie in {folder}')


def plain(name: str) -> str:
    """A name without what data sets write in different ways: case, spaces, underscores and dashes."""
    return re.sub(r'[\s_-]', '', name).casefold()


def class_name(names: Sequence[str], index: int) -> str:
    """What to call the class of the model's output INDEX: its name in NAMES, of read_classes().

    The model may have more classes than NAMES. A class without a name is called by its number in UCF-101's way of
    counting, in which classInd.txt begins with 1.
    """
    if index < len(names):
        return names[index]
    return f'class {index + 1}, not in the list'
