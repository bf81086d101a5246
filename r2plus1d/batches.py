# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The batches of r2plus1d_infer.py: of .bin files, of the test videos of a config, or made-up ones.

    source = Files('predata_bts1', 16, engine)
    for batch in ahead(source, engine, range(len(source.groups))):

Grouping and padding are those of ais_bench: the last batch is filled up with copies of its first sample.
"""
from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.bins import (
    INFO,
    MAKE_AGAIN,
    NO_INFO,
    BinName,
    check_digest,
    check_one_origin,
    check_same_shape,
    check_values,
    input_size,
    list_inputs,
    read_info,
    read_input,
)
from r2plus1d.environment import cpu_count
from r2plus1d.inference import scores_of
from r2plus1d.models import Engine, check_classes
from r2plus1d.pools import look_ahead
from r2plus1d.run import InputError, log

Group = Tuple[Optional[str], ...]


@dataclass(frozen=True)
class Batch:
    """names: of its files, with None for padding. index: of the batch in its source."""

    index: int
    names: Group
    values: np.ndarray


class Source:
    """Where batches come from.

    groups: the names of each batch. num_samples: of videos, without padding. num_videos: how many there are to infer,
    None where nothing says so. labels: of the videos, as far as they are known, and where they are from. cfg: an
    mmcv.Config that names the videos.
    """

    batch_size: int
    groups: List[Group]
    num_samples: int
    num_videos: Optional[int] = None
    labels: Sequence[int] = ()
    origin = ''
    cfg: Any = None

    def load(self, index: int, batch: np.ndarray) -> None:
        """Fill the array BATCH with the batch of this INDEX."""
        raise NotImplementedError

    def check_classes(self, engine: Engine) -> None:
        """Raise InputError where a model that says its classes does not have those of the config and of the labels."""
        if self.cfg:
            check_classes(self.cfg, engine.model, engine.num_classes)
        if engine.num_classes and self.labels and max(self.labels) >= engine.num_classes:
            raise InputError(f'{self.origin}: has a video with label {max(self.labels)}, and {engine.model} has '
                             f'{engine.num_classes} classes; give the model of this data')


class Files(Source):
    """Batches of .bin or .npy files. Several files make a batch, as ais_bench groups them.

    ALLOW_DAMAGED: take files with many zeros in a row; see check_values().
    """

    def __init__(self, spec: str, batch_size: Optional[int], engine: Engine, allow_damaged: bool = False) -> None:
        self.allow_damaged = allow_damaged
        files: List[str] = list_inputs(spec)
        check_one_origin(files)
        folder = os.path.dirname(files[0])
        self.info = read_info(folder) or NO_INFO
        self.num_videos = self.info.num_videos
        if self.info.has_old_digests():
            log(f'{folder}: not checked: whether the bins were changed since they were made; their {INFO} is of an '
                'older version')
        if self.info.dtype not in (None, str(engine.dtype)):  # the sizes of the files may fit by chance
            raise InputError(f'{folder}: holds {self.info.dtype} bins, and the model takes {engine.dtype}; run '
                             f'r2plus1d_preprocess.py with --dtype {engine.dtype}, or use the other model')
        check_same_shape(folder, self.info.shape or engine.sample_shape, engine.model, engine.sample_shape)
        samples_per_file = self.count_samples(files[0], engine)
        self.batch_size = batch_size or samples_per_file
        if self.batch_size % samples_per_file:
            raise InputError(f'--batchsize {self.batch_size}: a file holds {samples_per_file} samples ({files[0]}), '
                             'which does not divide it; make the files with a --bts that does')
        self.groups = group(files, self.batch_size // samples_per_file)
        labels = [labels_of(name) for name in files]
        self.num_samples = sum(len(those) or samples_per_file for those in labels)
        self.origin, self.labels = folder, [label for those in labels for label in those]

    def count_samples(self, path: str, engine: Engine) -> int:
        """The number of samples in the file PATH, by its size. Raises InputError where info.json says otherwise."""
        sample_size = int(np.prod(engine.sample_shape)) * engine.dtype.itemsize
        file_size = int(input_size(path, engine.dtype))
        count, rest = divmod(file_size, sample_size)
        if rest or not count:
            shape = 'x'.join(map(str, engine.sample_shape))
            raise InputError(f'{path}: {file_size} bytes are not a whole number of samples of {sample_size} bytes '
                             f'({shape} {engine.dtype}); was it made for another model?')
        if (self.info.bts or count) != count:
            raise InputError(f'{path}: holds {count} samples, and {INFO} beside it says {self.info.bts}; {MAKE_AGAIN}')
        return count

    def load(self, index: int, batch: np.ndarray) -> None:
        parts = batch.reshape(len(self.groups[index]), -1)
        for part, name in zip(parts, self.groups[index]):
            if name:
                read_input(name, part)
                # Values with their digest are what r2plus1d_preprocess.py wrote, and need no other check.
                if self.allow_damaged or not check_digest(name, part, self.info):
                    check_values(name, part, self.allow_damaged)
            else:
                part[:] = parts[0]


class TestVideos(Source):
    """Batches straight from the test videos of a config. The names are those that their bins would have."""

    def __init__(self, cfg: Any, batch_size: Optional[int], engine: Engine) -> None:
        # This import brings OpenCV and PyAV, which the other two sources do without.
        from r2plus1d.data import Samples
        self.cfg = cfg
        self.samples = Samples(cfg, str(engine.dtype))
        self.num_videos = self.num_samples = len(self.samples)
        if not self.num_samples:
            raise InputError(f'{self.samples.list_file}: lists no video')
        check_same_shape(cfg.filename, self.samples[0][1].shape, engine.model, engine.sample_shape)
        self.origin, self.labels = self.samples.list_file or cfg.filename, self.samples.labels
        self.batch_size = batch_size or 1
        self.groups = group([str(BinName(i, (label,))) for i, label in enumerate(self.labels)], self.batch_size)
        self.pool = ThreadPoolExecutor(cpu_count())

    def load(self, index: int, batch: np.ndarray) -> None:
        count = sum(name is not None for name in self.groups[index])

        def decode(position: int) -> None:
            batch[position] = self.samples[index * self.batch_size + position][1]

        list(self.pool.map(decode, range(count)))
        batch[count:] = batch[0]


class PureInference(Source):
    """ais_bench's pure inference: one batch of zeros or of random values."""

    groups = [('pure_infer_data',)]

    def __init__(self, kind: str, batch_size: Optional[int]) -> None:
        self.kind = kind
        self.batch_size = self.num_samples = batch_size or 1

    def load(self, index: int, batch: np.ndarray) -> None:
        if self.kind == 'zero':
            batch[:] = 0
        else:
            # ais_bench takes random bytes. As float32 these would be denormals and NaNs, slow for their own sake.
            batch[:] = np.random.default_rng(0).random(batch.shape, np.float32) * 255


def ahead(source: Source, engine: Engine, indices: Sequence[int]) -> Iterator[Batch]:
    """The batches with these INDICES. The next ones are loaded while one is being used.

    As many batches are loaded ahead as it takes to keep all cores decoding, at least one. The arrays take turns: fresh
    ones for each batch, of 302 MB at batch size 16, cost as much time as the reading.
    """
    count = max(1, cpu_count() // source.batch_size)
    arrays = engine.allocate(min(count + 1, len(indices)), source.batch_size)

    def load(position: int) -> Batch:
        index = indices[position]
        batch = Batch(index, source.groups[index], arrays[position % len(arrays)])
        source.load(index, batch.values)
        return batch

    with ThreadPoolExecutor(count) as pool:
        yield from look_ahead(pool, load, range(len(indices)), count)


@dataclass
class Work:
    """The inference of all batches. loop: how often each is run. outputs: an OutputWriter. bar: of tqdm."""

    source: Source
    loop: int
    outputs: Any
    bar: Any

    def run(self, engine: Engine, indices: Sequence[int]) -> List[float]:
        """Infer the batches with these INDICES and hand the results on. Returns ms of each time that one was run."""
        times = []
        for batch in ahead(self.source, engine, indices):
            for _ in range(self.loop):
                before = time.perf_counter()
                results = engine(batch.values)
                times.append(1000 * (time.perf_counter() - before))
            if not np.isfinite(scores_of(engine, results, self.source.batch_size)).all():
                raise InputError(f'{batch.names[0]}: the outputs are not finite; is the model damaged?')
            self.outputs.add(batch.index * len(batch.names), batch.names, results)
            self.bar.update()
            if self.outputs.stopped:
                break
        return times

    def divide(self, engines: Dict[str, Engine]) -> Dict[str, List[float]]:
        """Divide the batches among the ENGINES, by name of their device, which work at the same time.

        Returns ms of each of its batches by name of a device, without the devices for which there was no batch.
        """
        count = len(self.source.groups)
        shares = {name: range(i, count, len(engines)) for i, name in enumerate(engines) if i < count}
        with ThreadPoolExecutor(len(shares)) as pool:
            runs = {name: pool.submit(self.run, engines[name], share) for name, share in shares.items()}
            try:
                for run in as_completed(runs.values()):
                    run.result()
            except BaseException:
                self.outputs.stopped = True  # the other devices end after their present batch
                raise
        return {name: run.result() for name, run in runs.items()}


def group(names: Sequence[str], size: int) -> List[Group]:
    """The NAMES in groups of this SIZE, the last one filled up with None."""
    padded = [*names, *[None] * (-len(names) % size)]
    return [tuple(padded[i:i + size]) for i in range(0, len(padded), size)]


def labels_of(name: str) -> List[int]:
    """The labels in the name of a bin; [] where it is none of ours."""
    try:
        return list(BinName.parse(name).labels)
    except InputError:
        return []
