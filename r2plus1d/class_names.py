# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The names of a model's classes: those in its file, in a list, or in the config.

    source, names = class_names('r2plus1d_sim.onnx', cfg, None)     # by label
"""
from __future__ import annotations

import itertools
import json
from typing import Any, List, NamedTuple, Optional

from r2plus1d.lists import parse_names, read_classes
from r2plus1d.models import load_onnx
from r2plus1d.run import InputError


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
            noted = {entry.key: entry.value for entry in load_onnx(path).metadata_props}
            names = json.loads(noted.get('class_names', '[]'))
    except FileNotFoundError:
        return []
    except (AttributeError, ValueError):
        names = None
    if not isinstance(names, list):
        raise InputError(f'{path}: its class_names are no list of names; make the model again')
    return parse_names(path, [f'{number} {name}' for number, name in enumerate(names, 1)]) if names else []


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
