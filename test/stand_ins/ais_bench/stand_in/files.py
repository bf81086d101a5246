# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Input files: which ones, in which order, how many a batch. Outputs: their names and formats."""
import math
import os
import random
import re

import aclruntime_device
import numpy as np

from ais_bench.stand_in.log import failure, logger

AGE = aclruntime_device.age()
if AGE >= 2025:
    from ais_bench.stand_in import path_check

PURE = 'pure_infer_data'
PADDING = 'padding_infer_fake_file'
SUFFIXES = ('.npy', '.NPY', '.bin', '.BIN')


def natural_order(path):
    return [int(part) if part.isdigit() else part.lower() for part in re.split('([0-9]+)', path)]


def list_folder(folder):
    """The paths of the .bin and .npy files of a folder, in natural order.

    The newer client looks at all that is in the folder, also at files that it does not read.
    """
    paths = []
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if AGE >= 2025:
            if not path_check.is_allowed(path, 'read'):
                raise RuntimeError(f'input data:{path} is illegal')
            if os.path.isdir(path):
                continue
        if name.endswith(SUFFIXES):
            paths.append(path)
    if not paths:
        raise failure(f'{folder} has no files *.npy *.NPY *.bin *.BIN')
    return sorted(sorted(paths), key=natural_order)


def list_inputs(text):
    """The files of --input: a folder, or files divided by commas."""
    paths = text.split(',')
    if os.path.isfile(paths[0]):
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing:
            raise failure(f'--input: {missing[0]} does not exist')
        return paths
    if not os.path.isdir(paths[0]):
        raise failure(f'--input: {paths[0]} is neither a file nor a folder')
    if len(paths) > 1:
        raise failure(f'--input: {len(paths)} folders, and the model has 1 input')
    return list_folder(paths[0])


def count_bytes(path):
    return np.load(path).nbytes if path.endswith(('.npy', '.NPY')) else os.path.getsize(path)


def group(paths, size):
    """The batches of files for an input of SIZE bytes, the last one filled up with PADDING.

    The size of the first file decides how many make a batch.
    """
    per_file = count_bytes(paths[0])
    if per_file == 0 or size % per_file:
        raise failure(f'{paths[0]} has {per_file} bytes, the input of the model {size}')
    per_batch = size // per_file
    logger.info(f'{per_batch} files a batch, {math.ceil(len(paths) / per_batch)} batches')
    batches = [paths[i:i + per_batch] for i in range(0, len(paths), per_batch)]
    batches[-1] = batches[-1] + [PADDING] * (per_batch - len(batches[-1]))
    return batches


def read_file(path):
    if path.endswith(('.npy', '.NPY')):
        return np.load(path)
    if AGE >= 2025:
        return np.frombuffer(path_check.read_file(path), np.int8)
    return np.fromfile(path, np.int8)


def read_batch(paths, size, pure_data_type):
    """The bytes of a batch: of the files one after another, where the first stands for each PADDING."""
    parts = []
    for path in paths:
        if path == PURE:
            parts.append(make_data(size, pure_data_type))
        elif path == PADDING:
            parts.append(read_file(paths[0]))
        elif os.path.exists(path):
            parts.append(read_file(path))
        else:
            raise failure(f'{path} is not there any more')
    if len(parts) == 1:
        return parts[0]
    batch = np.concatenate(parts)
    if batch.nbytes != size:
        raise failure(f'the files from {paths[0]} on have {batch.nbytes} bytes, the input of the model {size}')
    return batch


def make_data(size, kind):
    """Bytes for an inference without input: zeros, or random ones, which as floats may be anything."""
    if kind == 'random':
        return np.array([random.randrange(256) for _ in range(size)], np.uint8)
    return np.zeros(size, np.uint8)


def save_batch(outputs, folder, paths, number, args, summary):
    """Save the outputs of batch NUMBER, one file for each of its input files, and note them in the summary."""
    for i, output in enumerate(outputs):
        array = np.array(output)
        axis = args.output_batchsize_axis
        if axis >= array.ndim:
            raise failure(f'output {i} has the shape {array.shape}, and --output_batchsize_axis is {axis}')
        if len(paths) > 1 and array.shape[axis] % len(paths):
            raise failure(f'output {i} has the shape {array.shape}, which {len(paths)} files do not divide')
        for j, rows in enumerate(np.array_split(array, len(paths), axis)):
            if paths[j] == PADDING:
                continue
            name = os.path.basename(paths[j]).split('.')[0]
            path = os.path.join(folder, f'{name}_{i}.{args.outfmt.lower()}')
            summary.add(number * len(paths) + j, paths[j], path)
            save(path, rows)


def save(path, array):
    with open(path, 'wb') if AGE == 2023 else path_check.create_file(path) as f:
        if path.endswith('.npy'):
            np.save(f, array)
        elif path.endswith('.txt'):
            number = '%f ' if array.dtype.kind == 'f' else '%d '
            for row in array.reshape(-1, array.shape[-1]):
                f.write(''.join(number % x for x in row).encode() + b'\n')
        else:
            f.write(array.tobytes())
