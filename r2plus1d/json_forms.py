# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A JSON file as a dataclass: one declaration a form, from which reading, checking, writing and comparing follow.

    @dataclass(frozen=True)
    class BinsInfo(Form):
        VERSION = 2
        REMEDY = 'make the bins again with r2plus1d_preprocess.py --overwrite'
        bts: int = field(COUNT, identity=True)     # a difference means other data
        list: str = field(TEXT)                    # a note: compared with nothing

    info = BinsInfo.read('bins/info.json')         # raises InputError, which names the field and ends with REMEDY
    write_json('bins/info.json', info.to_json())
    info.differences(other)                        # names of the identity fields in which the two differ

A file says its version; that of the first one, which said none, is 1. A newer version than VERSION is refused. In an
older one a field may be missing, and is None then: lift() of a form changes what else has changed. A field that takes
null may always be missing.
"""
from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import types
from typing import IO, Any, Callable, ClassVar, Dict, Iterable, List, Tuple, Type, TypeVar

from r2plus1d.run import InputError, one_line
from r2plus1d.store import check_regular_file, whole_file

LARGEST_COUNT = 2**53  # whole numbers above it are no floating-point numbers any more


# ---- JSON files ------------------------------------------------------------------------------------


def read_json(path: str, hint: str = 'was the step that writes it interrupted?') -> Any:
    """The content of a JSON file. Raises InputError, with HINT as its last words, where it is missing or damaged."""
    if os.path.exists(path) and not os.path.isfile(path):
        check_regular_file(path)
    try:
        with open(path, encoding='utf-8') as f:
            return json.load(f)
    except FileNotFoundError:
        raise InputError(f'{path}: no such file; {hint}')
    except (ValueError, RecursionError):  # damaged, not text, or nested too deep
        raise InputError(f'{path}: not JSON; {hint}')


def write_json(path: str, content: Any) -> None:
    """Write a JSON file that appears whole or not at all. It goes to the disk in parts: one text would fill memory."""
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        json.dump(content, f)


def write_json_object(path: str, entries: Iterable[Tuple[str, Any]]) -> None:
    """Write a JSON object of (key, value) ENTRIES, a file that appears whole or not at all.

    A value that is a generator of such entries becomes an object, too. Its entries are made while they are written, so
    that an object of many entries takes no memory.
    """
    with whole_file(path) as part, open(part, 'w', encoding='utf-8') as f:
        write_entries(f, entries)


def write_entries(f: IO[str], entries: Iterable[Tuple[str, Any]]) -> None:
    separator = '{'
    for key, value in entries:
        f.write(f'{separator}{json.dumps(key)}: ')
        if isinstance(value, types.GeneratorType):
            write_entries(f, value)
        else:
            json.dump(value, f)
        separator = ', '
    f.write('}' if separator == ', ' else '{}')


def json_digest(value: Any) -> str:
    """SHA-256, in hexadecimal digits, of a value as JSON; what JSON has no form for is taken as its text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def is_count(value: object) -> bool:
    """Whether a value from a JSON file is a whole number of 1 or more. (True is an int in Python, and no count.)"""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < LARGEST_COUNT


def is_number(value: object) -> bool:
    """Whether a value from a JSON file is a finite number, of a size that a floating-point number has."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300


# ---- forms -------------------------------------------------------------------------------------------

AnyForm = TypeVar('AnyForm', bound='Form')


@dataclasses.dataclass(frozen=True)
class Check:
    """Whether a form TAKES a value, and the WORDS for what it takes: "expected …"."""

    takes: Callable[[Any], bool]
    words: str

    def or_null(self) -> Check:
        return Check(lambda value: value is None or self.takes(value), f'{self.words}, or null')

    def list_of(self) -> Check:
        return Check(lambda value: isinstance(value, list) and all(map(self.takes, value)),
                     f'a list, each {self.words}')

    def for_each_name(self) -> Check:
        """An object of names from outside, such as file names, each with a value that this check takes."""
        return Check(lambda value: isinstance(value, dict) and all(map(self.takes, value.values())),
                     f'an object with {self.words} for each name')


TEXT = Check(lambda value: isinstance(value, str), 'a text')
FLAG = Check(lambda value: isinstance(value, bool), 'true or false')
COUNT = Check(is_count, 'a whole number of 1 or more')
NUMBER = Check(is_number, 'a number')
OBJECT = Check(lambda value: isinstance(value, dict), 'an object')
FRACTION = Check(lambda value: is_number(value) and 0 <= value <= 1, 'a number from 0 to 1')
SHAPE = Check(lambda value: isinstance(value, list) and bool(value) and all(map(is_count, value)),
              'whole numbers of 1 or more')


def one_of(*values: str) -> Check:
    return Check(lambda value: isinstance(value, str) and value in values, ' or '.join(values))


def matching(pattern: str, words: str) -> Check:
    return Check(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, words)


def field(check: Check, identity: bool = False) -> Any:
    """A field of a Form. IDENTITY: a difference in it means other data; else it is a note."""
    return dataclasses.field(metadata={'check': check, 'identity': identity})


class Form:
    """What is to be a frozen dataclass of fields by field()."""

    VERSION: ClassVar[int] = 1
    REMEDY: ClassVar[str] = 'run the step that writes it again'

    @classmethod
    def lift(cls, content: Dict[str, Any]) -> Dict[str, Any]:
        """The content of a file of an older version, as this one has it."""
        return content

    @classmethod
    def read(cls: Type[AnyForm], path: str) -> AnyForm:
        return cls.from_json(path, read_json(path, cls.REMEDY))

    @classmethod
    def from_json(cls: Type[AnyForm], path: str, content: Any) -> AnyForm:
        """The form in the CONTENT of the JSON file PATH. What it does not declare is passed over."""
        if not isinstance(content, dict):
            raise InputError(f'{path}: not what these scripts write; {cls.REMEDY}')
        version = content.get('version', 1)
        if not is_count(version):
            raise InputError(f'{path}: version is {one_line(repr(version), 50)}, expected {COUNT.words}; {cls.REMEDY}')
        if version > cls.VERSION:
            raise InputError(f'{path}: is of version {version}, and these scripts know {cls.VERSION}; take the scripts '
                             f'that wrote it, or {cls.REMEDY}')
        if version < cls.VERSION:
            content = cls.lift(content)
        values = {}
        for name, check in cls.checks().items():
            values[name] = content.get(name)
            if name not in content and (version < cls.VERSION or check.takes(None)):
                continue
            if name not in content or not check.takes(values[name]):
                found = one_line(repr(values[name]), 50) if name in content else 'missing'
                raise InputError(f'{path}: {name} is {found}, expected {check.words}; {cls.REMEDY}')
        return cls(**values)

    @classmethod
    def checks(cls) -> Dict[str, Check]:
        return {column.name: column.metadata['check'] for column in cls.fields()}

    @classmethod
    def fields(cls) -> List[dataclasses.Field[Any]]:
        return list(dataclasses.fields(cls))  # type: ignore[arg-type]  # each form is a dataclass

    def to_json(self) -> Dict[str, Any]:
        return {'version': self.VERSION, **{column.name: getattr(self, column.name) for column in self.fields()}}

    def differences(self: AnyForm, other: AnyForm) -> List[str]:
        """The names of the identity fields in which two forms differ."""
        return [column.name for column in self.fields()
                if column.metadata['identity'] and getattr(self, column.name) != getattr(other, column.name)]
