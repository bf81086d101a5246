# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""One output of a model in a file, in the three formats of ais_bench: .npy, .bin and .txt.

    digest = save_output('bin0-0_7_0.txt', scores)     # rows of scores
    scores = read_output('bin0-0_7_0.txt', rows=3)
"""
from __future__ import annotations

import hashlib
import io
import os
import re

import numpy as np

from r2plus1d.run import InputError, one_line
from r2plus1d.store import naming, write_all

# A row of a TXT output: numbers as %f writes them, each followed by a space. Another row was not written whole.
TEXT_ROW = re.compile(r'(?:(?:-?\d+\.\d{6}|-?nan|-?inf) )+')


def output_name(input_path: str, index: int, extension: str) -> str:
    """Name of the file with output INDEX of an input file: ais_bench takes the name up to its first dot."""
    return f'{os.path.basename(input_path).split(".")[0]}_{index}.{extension}'


def save_output(path: str, array: np.ndarray) -> bytes:
    """Save an array by the ending of the name: .npy, .bin (its bytes) or .txt (six decimals, a line a row).

    Returns the SHA-256 of the file. An OSError names the file.
    """
    if path.endswith('.npy'):
        npy = io.BytesIO()
        np.save(npy, array)
        data = npy.getvalue()
    elif path.endswith('.bin'):
        data = array.tobytes()
    else:
        rows = array.reshape(-1, array.shape[-1])
        data = ''.join(''.join('%f ' % value for value in row) + '\n' for row in rows).encode()
    with naming(path), open(path, 'wb', buffering=0) as f:
        write_all(f, data)
    return hashlib.sha256(data).digest()


def read_output(path: str, rows: int) -> np.ndarray:
    """The scores in an output of ais_bench or OutputWriter: float32, rows x classes. Raises InputError.

    ROWS is how many a .bin file has, which does not say it.
    """
    try:
        if path.endswith('.npy'):
            scores = np.load(path)
        elif path.endswith('.txt'):
            scores = read_text_output(path)
        else:
            scores = np.fromfile(path, np.float32)
            if scores.size % rows:
                raise InputError(f'{path}: {scores.size} values are not {rows} rows of scores')
            scores = scores.reshape(rows, -1)
    except InputError:
        raise
    except Exception as e:  # the header of a .npy file is Python text: a damaged one can raise anything
        raise InputError(f'{path}: cannot be read: {one_line(e)}')
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != 'f':
        raise InputError(f'{path}: cannot be read: holds {getattr(scores, "dtype", "several arrays")}, '
                         'expected floating-point scores')
    if scores.ndim != 2 or not scores.size:
        raise InputError(f'{path}: found an array of {"x".join(map(str, scores.shape))}, expected rows of scores')
    if not np.isfinite(scores).all():
        raise InputError(f'{path}: holds values that are not finite')
    return scores.astype(np.float32)


def read_text_output(path: str) -> np.ndarray:
    """The scores of a TXT output: float32, rows x classes. Raises ValueError where the text was not written whole."""
    with open(path, encoding='ascii') as f:
        lines = f.read().split('\n')
    if lines == ['']:
        raise ValueError('it is empty; was the inference interrupted?')
    if lines.pop():
        raise ValueError('its last line has no end; was the inference interrupted?')
    for number, line in enumerate(lines, 1):
        if not TEXT_ROW.fullmatch(line):
            raise ValueError(f'line {number} is not a row of numbers with six decimals, each followed by a space')
    rows = [np.array(line.split(), np.float32) for line in lines]
    if len({len(row) for row in rows}) > 1:
        raise ValueError('its lines do not have the same number of scores')
    return np.array(rows, np.float32).reshape(len(rows), -1)
