# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Input files: which ones, in which order, how many a batch. Outputs: their names and formats."""
import math
import os
import re

import numpy as np
from aclruntime import AGE

from ais_bench.stand_in import path_check
from ais_bench.stand_in.path_check import failure, logger

PURE = 'pure_infer_data'
PADDING = 'padding_infer_fake_file'
SUFFIXES = ('.npy', '.NPY', '.bin', '.BIN')


def natural_order(path):
    return [int(part) if part.isdigit() else part.lower() for part in re.split('([0-9]+)', path)]


def list_folder(folder):
    """The paths of the .bin and .npy files of a folder, in natural order.

    The newer client looks at all that is in the folder, also at files that it does not read.
    """
    paths = [os.path.join(folder, name) for name in os.listdir(folder)]
    for path in paths:
        if AGE >= 2025 and not path_check.is_allowed(path, 'read'):
            raise RuntimeError(f'input data:{path} is illegal')
    paths = [path for path in paths if path.endswith(SUFFIXES) and not os.path.isdir(path)]
    if not paths:
        raise failure(f'{folder} has no files *.npy *.NPY *.bin *.BIN')
    return sorted(sorted(paths), key=natural_order)


def list_inputs(text):
    """The files of --input: a folder, or files divided by commas."""
    paths = text.split(',')
    if os.path.isdir(text):
        return list_folder(text)
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise failure(f'--input: {missing[0]} is neither a file nor a folder')
    return paths


def group(paths, size):
    """The batches of files for an input of SIZE bytes, the last one filled up with PADDING.

    The size of the first file decides how many make a batch.
    """
    per_file = read_file(paths[0]).nbytes
    if per_file == 0 or size % per_file:
        raise failure(f'{paths[0]} has {per_file} bytes, the input of the model {size}')
    per_batch = size // per_file
    logger.info(f'{per_batch} files a batch, {math.ceil(len(paths) / per_batch)} batches')
    batches = [paths[i:i + per_batch] for i in range(0, len(paths), per_batch)]
    batches[-1] = batches[-1] + [PADDING] * (per_batch - len(batches[-1]))
    return batches


def read_file(path):
    return np.load(path) if path.endswith(('.npy', '.NPY')) else np.fromfile(path, np.int8)


def read_batch(paths, size):
    """The bytes of a batch: of the files one after another, where the first stands for each PADDING. PURE: zeros."""
    if paths == [PURE]:
        return np.zeros(size, np.uint8)
    parts = [read_file(paths[0] if path == PADDING else path) for path in paths]
    batch = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if batch.nbytes != size:
        raise failure(f'the files from {paths[0]} on have {batch.nbytes} bytes, the input of the model {size}')
    return batch


def save_batch(outputs, folder, paths, number, args, filesinfo):
    """Save the outputs of batch NUMBER, one file for each of its input files, and note them in FILESINFO."""
    for i, output in enumerate(outputs):
        if len(output) % len(paths):
            raise failure(f'output {i} has the shape {output.shape}, which {len(paths)} files do not divide')
        for j, rows in enumerate(np.split(output, len(paths))):
            if paths[j] == PADDING:
                continue
            name = os.path.basename(paths[j]).split('.')[0]
            path = os.path.join(folder, f'{name}_{i}.{args.outfmt.lower()}')
            info = filesinfo.setdefault(number * len(paths) + j, {'infiles': [paths[j]], 'outfiles': []})
            info['outfiles'].append(path)
            save(path, rows)


def create_file(path):
    return open(path, 'wb') if AGE == 2023 else path_check.create_file(path)


def save(path, array):
    with create_file(path) as f:
        if path.endswith('.npy'):
            np.save(f, array)
        elif path.endswith('.txt'):
            number = '%f ' if array.dtype.kind == 'f' else '%d '
            for row in array.reshape(-1, array.shape[-1]):
                f.write(''.join(number % x for x in row).encode() + b'\n')
        else:
            f.write(array.tobytes())
