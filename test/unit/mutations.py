# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Damage to the bytes of a good file, as disks, crashes, editors and hands do it; for test_mutations.py.

    damaged = apply([('lose a line', 7, 123456)], good)

A change is (name, A, B): what is done, and two numbers of which each kind makes its position, length or value. By
numbers hypothesis makes a failing example smaller.
"""
import io
import json
import random
import re

import numpy as np
from hypothesis import strategies

NUMBERS = strategies.integers(0, 2**32 - 1)
PAGE = 4096
TEXTS = ('0', '-1', '1.5', '1e999', 'nan', '-', '.', ' ', '\t', '\r', '\0', '"', '١', '１', 'é', '#', '../', '/',
         '9' * 5000)


def position(data, number):
    return number % max(1, len(data))


def span(data, a, b, longest=3000):
    """(start, end) of a part of the data."""
    start = position(data, a)
    return start, min(len(data), start + 1 + b % longest)


# ---- bytes -------------------------------------------------------------------------------------------


def cut(data, a, b):
    return data[:position(data, a)]


def flip_a_bit(data, a, b):
    i = position(data, a)
    return data[:i] + bytes(byte ^ (1 << b % 8) for byte in data[i:i + 1]) + data[i + 1:]


def change_a_byte(data, a, b):
    i = position(data, a)
    return data[:i] + bytes([b % 256])[:len(data)] + data[i + 1:]


def damage_the_start(data, a, b):
    return change_a_byte(data[:300], a, b) + data[300:]


def zero_a_page(data, a, b):
    start = position(data, a) // PAGE * PAGE
    return data[:start] + bytes(len(data[start:start + PAGE])) + data[start + PAGE:]


def zero_a_part(data, a, b):
    start, end = span(data, a, b)
    return data[:start] + bytes(end - start) + data[end:]


def garble_a_part(data, a, b):
    start, end = span(data, a, b)
    return data[:start] + random.Random(b).getrandbits(8 * (end - start)).to_bytes(end - start, 'big') + data[end:]


def lose_a_part(data, a, b):
    start, end = span(data, a, b)
    return data[:start] + data[end:]


def double_a_part(data, a, b):
    start, end = span(data, a, b)
    return data[:end] + data[start:end] + data[end:]


def exchange_two_parts(data, a, b):
    half = len(data) // 2
    return data[half:] + data[:half]


def append_zeros(data, a, b):
    return data + bytes(1 + b % 5000)


def append_it_again(data, a, b):
    return data + data


BYTES = (cut, flip_a_bit, change_a_byte, damage_the_start, zero_a_page, zero_a_part, garble_a_part, lose_a_part,
         double_a_part, exchange_two_parts, append_zeros, append_it_again)


# ---- lines and digits --------------------------------------------------------------------------------


def change_lines(change):
    def damage(data, a, b):
        lines = data.splitlines(keepends=True)
        if lines:
            change(lines, a % len(lines), b % len(lines))
        return b''.join(lines)

    damage.__name__ = change.__name__
    return damage


@change_lines
def lose_a_line(lines, i, j):
    del lines[i]


@change_lines
def double_a_line(lines, i, j):
    lines.insert(j, lines[i])


@change_lines
def exchange_two_lines(lines, i, j):
    lines[i], lines[j] = lines[j], lines[i]


@change_lines
def insert_a_blank_line(lines, i, j):
    lines.insert(i, b'\n')


@change_lines
def join_two_lines(lines, i, j):
    lines[i] = lines[i].rstrip(b'\r\n')


def change_match(pattern, replace):
    """A damage that replaces one place where PATTERN matches by REPLACE(match, number)."""
    def damage(data, a, b):
        matches = list(re.finditer(pattern, data))
        if not matches:
            return data
        match = matches[a % len(matches)]
        return data[:match.start()] + replace(match, b) + data[match.end():]
    return damage


def named(name, damage):
    damage.__name__ = name
    return damage


change_a_digit = named('change_a_digit', change_match(rb'\d', lambda match, b: b'%d' % (b % 10)))
lose_a_digit = named('lose_a_digit', change_match(rb'\d', lambda match, b: b''))
double_a_digit = named('double_a_digit', change_match(rb'\d', lambda match, b: match[0] * 2))
replace_a_number = named('replace_a_number', change_match(rb'-?\d+(\.\d+)?', lambda match, b: text_of(b)))
change_a_letter = named('change_a_letter', change_match(rb'[A-Za-z]', lambda match, b: bytes([97 + b % 26])))
lose_a_sign = named('lose_a_sign', change_match(rb'[-._ ,:]', lambda match, b: b''))


def text_of(b):
    return TEXTS[b % len(TEXTS)].encode()


def insert_text(data, a, b):
    i = position(data, a)
    return data[:i] + text_of(b) + data[i:]


def windows_lines(data, a, b):
    return data.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')


def byte_order_mark(data, a, b):
    return b'\xef\xbb\xbf' + data


def utf16(data, a, b):
    return data.decode('latin-1').encode('utf-16')


def lose_the_last_line_end(data, a, b):
    return data.rstrip(b'\r\n')


LINES = (cut, flip_a_bit, change_a_byte, zero_a_page, zero_a_part, lose_a_part, append_zeros, append_it_again,
         lose_a_line, double_a_line, exchange_two_lines, insert_a_blank_line, join_two_lines, change_a_digit,
         change_a_digit, lose_a_digit, double_a_digit, replace_a_number, change_a_letter, lose_a_sign, insert_text,
         windows_lines, byte_order_mark, utf16, lose_the_last_line_end)


# ---- JSON --------------------------------------------------------------------------------------------


def places(value, found=None):
    """[(container, key)] of all values in a structure of lists and dicts."""
    found = [] if found is None else found
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        found.append((value, key))
        places(value[key], found)
    return found


def change_json(change):
    """A damage that changes the structure: CHANGE(container, key, b, all places)."""
    def damage(data, a, b):
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return data
        found = places(content)
        if found:
            change(*found[a % len(found)], b, found)
        return json.dumps(content).encode()

    damage.__name__ = change.__name__
    return damage


@change_json
def another_number(container, key, b, found):
    numbers = [place for place in found if isinstance(place[0][place[1]], (int, float))]
    if numbers:
        container, key = numbers[b % len(numbers)]
        container[key] = container[key] * (1 + b % 7) + b % 3


@change_json
def exchange_two_values(container, key, b, found):
    other, other_key = found[b % len(found)]
    first, second = container[key], other[other_key]
    if not isinstance(first, (dict, list)) and not isinstance(second, (dict, list)):
        container[key], other[other_key] = second, first


def nest_deeply(data, a, b):
    return b'[' * 100000 + data


def double_keys(data, a, b):
    """The first value of the text once more, at its end: of two values of one key Python takes the last."""
    pair = re.match(rb'\{("[^"]*": ?[^,{}\[\]]*)', data)
    changed = change_a_digit(pair[1], a, b) if pair else b''
    return data.rstrip()[:-1] + b', ' + changed + b'}' if pair else data


JSON = (*LINES, another_number, another_number, exchange_two_values, nest_deeply, double_keys)


# ---- NPY ---------------------------------------------------------------------------------------------

DTYPES = ('f2', 'f8', '>f4', 'i4', 'u1', 'c8', 'b1', 'U3', 'O', 'M8[s]', [('a', 'f4')])


def change_npy(change):
    def damage(data, a, b):
        try:
            array = np.load(io.BytesIO(data))
            out = io.BytesIO()
            np.save(out, change(array, a, b))
            return out.getvalue()
        except Exception:  # it was damaged before
            return data

    damage.__name__ = change.__name__
    return damage


@change_npy
def another_dtype(array, a, b):
    with np.errstate(all='ignore'):
        return array.astype(DTYPES[a % len(DTYPES)])


@change_npy
def another_shape(array, a, b):
    return (array.T, array.ravel(), array[..., :-1], array[1:], array[None], np.concatenate([array, array]),
            array[:0], np.asfortranarray(array), array[::-1])[a % 9]


@change_npy
def not_finite(array, a, b):
    array = array.copy()
    array.flat[a % array.size] = (np.nan, np.inf, -np.inf, 1e30)[b % 4]
    return array


NPY = (*BYTES, another_dtype, another_dtype, another_shape, another_shape, not_finite)


# ---- floats ------------------------------------------------------------------------------------------


def change_a_value(data, a, b):
    values = np.frombuffer(data[:len(data) // 4 * 4], np.float32).copy()
    if values.size:
        values[a % values.size] = (np.nan, np.inf, -np.inf, 1e30, -1e30, 0, 1.25)[b % 7]
    return values.tobytes()


FLOATS = (*BYTES, change_a_value)


# ---- all ---------------------------------------------------------------------------------------------


def changes(kinds):
    """Strategy: one to three changes of these kinds."""
    return strategies.lists(strategies.tuples(strategies.sampled_from(kinds), NUMBERS, NUMBERS), min_size=1, max_size=3)


def apply(steps, data):
    for damage, a, b in steps:
        data = damage(data, a, b)
    return data
