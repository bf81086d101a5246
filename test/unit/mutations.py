# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Damage to the bytes of a good file, as disks, crashes, editors and hands do it; for test_mutations.py.

    damaged = apply([('lose a line', 7, 123456)], good)

A change is (name, A, B): what is done, and two numbers of which each kind makes its position, length or value. By
numbers hypothesis makes a failing example smaller. BYTES, LINES, JSON, NPY and FLOATS are the kinds, by name, of damage
to such a file: functions of (data, A, B).
"""
import io
import json
import re

import numpy as np
from hypothesis import strategies

NUMBERS = strategies.integers(0, 2**32 - 1)
PAGE = 4096
LONGEST_PART = 3000
TEXTS = ('0', '-1', '1.5', '1e999', 'nan', '-', '.', ' ', '\t', '\r', '\0', '"', '١', '１', 'é', '#', '../', '/',
         '9' * 5000)


# ---- parts of a file -----------------------------------------------------------------------------------

# (from, to) of a part of N bytes
PLACES = {
    'all': lambda n, a, b: (0, n),
    'a point': lambda n, a, b: (a % n, a % n),
    'the end': lambda n, a, b: (a % n, n),
    'a byte': lambda n, a, b: (a % n, a % n + 1),
    'a byte at the start': lambda n, a, b: (a % min(n, 300), a % min(n, 300) + 1),
    'a page': lambda n, a, b: (a % n // PAGE * PAGE, a % n // PAGE * PAGE + PAGE),
    'a part': lambda n, a, b: (a % n, min(n, a % n + 1 + b % LONGEST_PART)),
}


def change(place, new):
    """The damage that puts NEW(what is there, b) in one of the PLACES, or in one place where a pattern matches."""
    def damage(data, a, b):
        if isinstance(place, str):
            start, end = PLACES[place](max(1, len(data)), a, b)
        else:
            matches = [match.span() for match in re.finditer(place, data)]
            if not matches:
                return data
            start, end = matches[a % len(matches)]
        return data[:start] + new(data[start:end], b) + data[end:]
    return damage


def text(old, b):
    return TEXTS[b % len(TEXTS)].encode()


BYTES = {
    'cut': change('the end', lambda old, b: b''),
    'flip a bit': change('a byte', lambda old, b: bytes(byte ^ 1 << b % 8 for byte in old)),
    'change a byte': change('a byte', lambda old, b: bytes([b % 256] * len(old))),
    'damage the start': change('a byte at the start', lambda old, b: bytes([b % 256] * len(old))),
    'zero a page': change('a page', lambda old, b: bytes(len(old))),
    'zero a part': change('a part', lambda old, b: bytes(len(old))),
    'garble a part': change('a part', lambda old, b: np.random.default_rng(b).bytes(len(old))),
    'lose a part': change('a part', lambda old, b: b''),
    'double a part': change('a part', lambda old, b: old + old),
    'exchange two parts': change('all', lambda old, b: old[len(old) // 2:] + old[:len(old) // 2]),
    'append zeros': change('all', lambda old, b: old + bytes(1 + b % 5000)),
    'append it again': change('all', lambda old, b: old + old),
}

# ---- lines and digits ----------------------------------------------------------------------------------


def change_lines(new):
    """The damage that makes NEW(lines, i, j) of the lines."""
    def damage(data, a, b):
        lines = data.splitlines(keepends=True)
        return b''.join(new(lines, a % len(lines), b % len(lines))) if lines else data
    return damage


def exchange(lines, i, j):
    lines[i], lines[j] = lines[j], lines[i]
    return lines


LINES = {
    **{name: BYTES[name] for name in ('cut', 'flip a bit', 'change a byte', 'zero a page', 'zero a part', 'lose a part',
                                      'append zeros', 'append it again')},
    'lose a line': change_lines(lambda lines, i, j: lines[:i] + lines[i + 1:]),
    'double a line': change_lines(lambda lines, i, j: lines[:j] + lines[i:i + 1] + lines[j:]),
    'exchange two lines': change_lines(exchange),
    'insert a blank line': change_lines(lambda lines, i, j: lines[:i] + [b'\n'] + lines[i:]),
    'join two lines': change_lines(lambda lines, i, j: lines[:i] + [lines[i].rstrip(b'\r\n')] + lines[i + 1:]),
    'change a digit': change(rb'\d', lambda old, b: b'%d' % (b % 10)),
    'lose a digit': change(rb'\d', lambda old, b: b''),
    'double a digit': change(rb'\d', lambda old, b: old + old),
    'replace a number': change(rb'-?\d+(\.\d+)?', text),
    'change a letter': change(rb'[A-Za-z]', lambda old, b: bytes([97 + b % 26])),
    'lose a sign': change(rb'[-._ ,:]', lambda old, b: b''),
    'insert text': change('a point', text),
    'lines of Windows': change('all', lambda old, b: old.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n')),
    'a byte-order mark': change('all', lambda old, b: b'\xef\xbb\xbf' + old),
    'UTF-16': change('all', lambda old, b: old.decode('latin-1').encode('utf-16')),
    'lose the last line end': change('all', lambda old, b: old.rstrip(b'\r\n')),
}

# ---- JSON ----------------------------------------------------------------------------------------------


def places(value, found=None):
    """[(container, key)] of all values in a structure of lists and dicts."""
    found = [] if found is None else found
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        found.append((value, key))
        places(value[key], found)
    return found


def change_json(change_place):
    """The damage that changes the structure: CHANGE_PLACE(container, key, b, all places)."""
    def damage(data, a, b):
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return data
        found = places(content)
        if found:
            change_place(*found[a % len(found)], b, found)
        return json.dumps(content).encode()
    return damage


def another_number(container, key, b, found):
    numbers = [place for place in found if isinstance(place[0][place[1]], (int, float))]
    if numbers:
        container, key = numbers[b % len(numbers)]
        container[key] = container[key] * (1 + b % 7) + b % 3


def exchange_two_values(container, key, b, found):
    other, other_key = found[b % len(found)]
    first, second = container[key], other[other_key]
    if not isinstance(first, (dict, list)) and not isinstance(second, (dict, list)):
        container[key], other[other_key] = second, first


def double_keys(data, a, b):
    """The first value of the text once more, at its end: of two values of one key Python takes the last."""
    pair = re.match(rb'\{("[^"]*": ?[^,{}\[\]]*)', data)
    changed = LINES['change a digit'](pair[1], a, b) if pair else b''
    return data.rstrip()[:-1] + b', ' + changed + b'}' if pair else data


JSON = {
    **LINES,
    'another number': change_json(another_number),
    'exchange two values': change_json(exchange_two_values),
    'nest deeply': change('all', lambda old, b: b'[' * 100000 + old),
    'double keys': double_keys,
}

# ---- arrays --------------------------------------------------------------------------------------------

DTYPES = ('f2', 'f8', '>f4', 'i4', 'u1', 'c8', 'b1', 'U3', 'O', 'M8[s]', [('a', 'f4')])
RESHAPE = (lambda x: x.T, lambda x: x.ravel(), lambda x: x[..., :-1], lambda x: x[1:], lambda x: x[None],
           lambda x: np.concatenate([x, x]), lambda x: x[:0], np.asfortranarray, lambda x: x[::-1])
STRANGE = (np.nan, np.inf, -np.inf, 1e30, -1e30, 0, 1.25)


def change_npy(new):
    """The damage that makes NEW(array, a, b) of the array."""
    def damage(data, a, b):
        out = io.BytesIO()
        try:
            with np.errstate(all='ignore'):
                np.save(out, new(np.load(io.BytesIO(data)), a, b))
        except Exception:  # it was damaged before
            return data
        return out.getvalue()
    return damage


def not_finite(array, a, b):
    array = array.copy()
    array.flat[a % array.size] = STRANGE[b % 4]
    return array


def change_a_value(data, a, b):
    values = np.frombuffer(data[:len(data) // 4 * 4], np.float32).copy()
    if values.size:
        values[a % values.size] = STRANGE[b % len(STRANGE)]
    return values.tobytes()


NPY = {
    **BYTES,
    'another type': change_npy(lambda array, a, b: array.astype(DTYPES[a % len(DTYPES)])),
    'another shape': change_npy(lambda array, a, b: RESHAPE[a % len(RESHAPE)](array)),
    'a value that is not finite': change_npy(not_finite),
}
FLOATS = {**BYTES, 'change a value': change_a_value}

# ---- all -----------------------------------------------------------------------------------------------

ALL = {**JSON, **NPY, **FLOATS}
TWICE = ('change a digit', 'another number', 'another type', 'another shape')  # as often as others


def changes(kinds):
    """Strategy: one to three changes of these kinds."""
    names = strategies.sampled_from([*kinds, *(name for name in TWICE if name in kinds)])
    return strategies.lists(strategies.tuples(names, NUMBERS, NUMBERS), min_size=1, max_size=3)


def apply(steps, data):
    for name, a, b in steps:
        data = ALL[name](data, a, b)
    return data
