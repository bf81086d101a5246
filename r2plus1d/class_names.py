# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The names of a model's classes: those in its file, in a list, or in the config.

    source, names = class_names('r2plus1d_sim.onnx', cfg, None)     # by label
"""
from __future__ import annotations

import itertools
import json
import mmap
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from r2plus1d.lists import parse_names, read_classes
from r2plus1d.models import load_onnx
from r2plus1d.run import InputError
from r2plus1d.store import check_regular_file

METADATA_PROPS = 14  # the number of this field in ModelProto of onnx.proto; an entry has field 1, key, and 2, value


class Classes(NamedTuple):
    """The names of a model's classes by label, and the file that they are from. The model may have more classes."""

    source: str
    names: List[str]


def read_class_names(path: str) -> List[str]:
    """What the export has written into an ONNX file, and the conversion into the note beside an .om; [] without it."""
    try:
        if path.endswith('.om'):
            with open(path + '.json', encoding='utf-8') as f:
                names = json.load(f).get('class_names') or []
        else:
            names = json.loads(read_properties(path).get('class_names', '[]'))
    except FileNotFoundError:
        return []
    except (AttributeError, ValueError):
        names = None
    if not isinstance(names, list):
        raise InputError(f'{path}: its class_names are no list of names; make the model again')
    return parse_names(path, [f'{number} {name}' for number, name in enumerate(names, 1)]) if names else []


def read_properties(path: str) -> Dict[str, str]:
    """The metadata_props of an ONNX file. Raises InputError.

    Without the package onnx, which would parse the weights as well: that takes a fifth of a first prediction.
    """
    check_regular_file(path)
    with open(path, 'rb') as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            entries = [content[place] for number, place in read_fields(content) if number == METADATA_PROPS]
            texts = [{number: entry[place].decode() for number, place in read_fields(entry)} for entry in entries]
            return {entry[1]: entry.get(2, '') for entry in texts}
        except (IndexError, KeyError, ValueError):  # damaged, or no model: the package says what it is
            return {entry.key: entry.value for entry in load_onnx(path).metadata_props}


def read_fields(message: Union[bytes, mmap.mmap]) -> Iterator[Tuple[int, slice]]:
    """(number, place of its content) of each field of a protobuf message that has a length.

    Raises ValueError or IndexError where it is none. The form: protobuf.dev/programming-guides/encoding. A field begins
    with 8 * number + type. Of type 0 a number follows, of type 2 a length and as many bytes; ModelProto has no others.
    """
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        size, position = read_varint(message, position)
        if key & 7 == 2:
            yield key >> 3, slice(position, position + size)
            position += size
        elif key & 7:
            raise ValueError(f'a field of type {key & 7}')
    if position != len(message):
        raise ValueError('the last field is cut off')


def read_varint(message: Union[bytes, mmap.mmap], position: int) -> Tuple[int, int]:
    """(a number in groups of seven bits, the lowest first; the position behind it)."""
    value = 0
    for shift in range(0, 64, 7):
        byte = message[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
    raise ValueError('a number of more than 64 bits')


def class_names(model: Optional[str], cfg: Any, path: Optional[str]) -> Classes:
    """Those that the MODEL has in its file, else those of the list PATH (--classes), else those of the config.

    Raises InputError where PATH contradicts the MODEL. More names than the config has classes are those of a base.
    """
    noted = read_class_names(model) if model else []
    if path:
        names = read_classes(path)
        for number, (given, known) in enumerate(itertools.zip_longest(names, noted, fillvalue='missing'), 1):
            if noted and given != known:
                raise InputError(f'{path}: class {number} is {given}, and in {model} it is {known}; the names in the '
                                 'model are those of its training: give no --classes')
        return Classes(path, names)
    if model and noted:
        return Classes(model, noted)
    own = list(cfg.get('classes') or ())
    has_room = len(own) <= cfg.get('model', {}).get('cls_head', {}).get('num_classes', 0)
    return Classes(str(cfg.filename), own if has_room else [])
