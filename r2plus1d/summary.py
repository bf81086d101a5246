# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The summary of a run: which files belong together, how long each batch took, and of what the outputs are.

    summary = Summary.read('out/2026_03_04-05_06_07_summary.json')

Its form is that of ais_bench (Ascend/tools, ais-bench_workload/tool/ais_bench) in its three ages. They differ in the
figures of the times (the percentile is called percentile(99%), in 2026 P99; some are left out), so these are never
read: what is needed is computed from the times themselves. r2plus1d_infer.py adds its own keys, see make_summary().
"""
from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import sys
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np

from r2plus1d.bins import INFO, is_shape, list_inputs, read_info
from r2plus1d.environment import describe_environment
from r2plus1d.output_files import output_name
from r2plus1d.run import InputError, one_line
from r2plus1d.store import file_digest, is_count, read_json

SUMMARY_ENDING = '_summary.json'
NOT_A_SUMMARY = 'not a summary of ais_bench or r2plus1d_infer.py'
LARGEST_COUNT = 2**53  # whole numbers above it are no floating-point numbers any more


# ---- of what the outputs are -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Provenance:
    """SHA-256 digests of what a run was of, in hexadecimal digits; None where there is none, or nobody noted it.

    model: the model file. config: what the config says of the test data (config_digest() of r2plus1d/data.py). list:
    the list of videos. info: the info.json of the bins. Two runs are of the same videos where their lists are the same.
    """

    model_sha256: Optional[str] = None
    config_sha256: Optional[str] = None
    list_sha256: Optional[str] = None
    info_sha256: Optional[str] = None


def note_provenance(model: str, bins: Optional[str] = None, cfg: Any = None) -> Provenance:
    """Of a run of a MODEL on BINS, as --input names them, or on the test videos of CFG, an mmcv.Config."""
    if cfg is not None:
        from r2plus1d.data import config_digest
        return Provenance(file_digest(model), config_digest(cfg), file_digest(cfg.data.test.ann_file))
    folder = os.path.dirname(list_inputs(bins)[0]) if bins else ''
    info = read_info(folder) if bins else None
    if info is None:
        return Provenance(file_digest(model))
    return Provenance(file_digest(model), info.get('config_sha256'), info.get('list_sha256'),
                      file_digest(os.path.join(folder, INFO)))


class EngineFacts(NamedTuple):
    """What ran. ais_bench does not note it."""

    name: str
    version: Optional[str] = None
    precision: Optional[str] = None
    cpu: str = 'NPU'
    threads: Optional[int] = None

    def __str__(self) -> str:
        return f'{self.name} {self.version}, {self.precision}, on {self.cpu}' if self.version else self.name


# ---- reading ---------------------------------------------------------------------------------------


class Device(NamedTuple):
    """What one device has computed: its name, the ms of each of its batches."""

    name: str
    times: np.ndarray


@dataclasses.dataclass(frozen=True)
class Summary:
    """One summary file. What is there has been checked; what may be missing is None. Raises InputError."""

    path: str
    content: Dict[str, Any]
    provenance: Provenance
    num_videos: Optional[int]  # how many there were to infer
    num_classes: Optional[int]  # scores in a row of the first output
    sample_shape: Optional[List[int]]  # that the model takes
    outputs_sha256: Optional[Dict[str, str]]  # by file name
    time: Optional[str]  # when it began: 2026_03_04-05_06_07, which is also the name of a run that is given none
    environment: Optional[Dict[str, Any]]

    @classmethod
    def read(cls, path: str) -> Summary:
        content = read_json(path)
        if not isinstance(content, dict):
            raise InputError(f'{path}: {NOT_A_SUMMARY}')
        texts = {field.name: _optional(path, content, field.name, str) for field in dataclasses.fields(Provenance)}
        return cls(path, content, Provenance(**texts), _count(path, content, 'num_videos'),
                   _count(path, content, 'num_classes'), _shape(path, content), _digests(path, content),
                   _optional(path, content, 'time', str), _optional(path, content, 'environment', dict))

    @property
    def folder(self) -> str:
        """The folder of the outputs: it lies beside the summary, wherever the two were moved together."""
        return self.path[:-len(SUMMARY_ENDING)]

    @functools.cached_property
    def files(self) -> List[Tuple[str, str]]:
        """(input file, file of the model's first output) of each input file."""
        pairs = []
        try:
            for info in self.content['filesinfo'].values():
                bin_path = os.fspath(info['infiles'][0])
                output = os.path.basename(info['outfiles'][0])
                if output != output_name(bin_path, 0, output.rpartition('.')[2]):
                    raise InputError(f'{self.path}: was changed: {one_line(output, 100)} is not the name of an output '
                                     f'of {one_line(bin_path, 100)}; run the inference again')
                pairs.append((bin_path, os.path.join(self.folder, output)))
        except (KeyError, TypeError, AttributeError, IndexError):
            raise InputError(f'{self.path}: not a summary of ais_bench: its filesinfo has another form')
        if not pairs:
            raise InputError(f'{self.path}: lists no file')
        return pairs

    @property
    def args(self) -> List[str]:
        """The command line."""
        args = self.content.get('args')
        if not isinstance(args, list) or not args:
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no command line')
        return [str(arg) for arg in args]

    @property
    def model(self) -> Optional[str]:
        """The model file, as the command line names it."""
        args = self.args if self.content.get('args') else []
        return option_of(args, ('--model', '-m'))

    @property
    def engine(self) -> EngineFacts:
        noted = self.content.get('engine')
        if noted is None and 'r2plus1d_infer' in self.args[0]:
            return EngineFacts('r2plus1d_infer.py of a version that did not note its engine', cpu='an unknown machine')
        if noted is None:
            return EngineFacts('ais_bench')
        keys = ('name', 'version', 'precision', 'cpu')
        if not isinstance(noted, dict) or not all(isinstance(noted.get(key), str) for key in keys):
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: its engine has another form')
        return EngineFacts(**{key: noted[key] for key in keys}, threads=_count(self.path, noted, 'threads'))

    @property
    def devices(self) -> List[Device]:
        """The times of each device. Where the summary notes a digest of its figures, they are those of the run."""
        try:
            times = np.array(self.content['npu_compute_time_list'], float)
        except (KeyError, TypeError, ValueError, OverflowError):
            times = np.empty(0)
        if times.ndim != 1 or not len(times) or not (np.isfinite(times) & (times > 0)).all():
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: its npu_compute_time_list is not a list of times in ms')
        noted = self.content.get('speed_sha256')
        if noted is not None and noted != speed_digest(self.content):
            raise InputError(f'{self.path}: was changed since the inference: it notes another digest of its times and '
                             'figures; run the inference again')
        # device0 of .../device0_summary.json, and of .../device0_1_summary.json of later versions, which add a number
        counts = self.content.get('batches_by_device') or {os.path.basename(self.path).split('_')[0]: len(times)}
        sizes = list(counts.values()) if isinstance(counts, dict) else []
        if not all(map(is_count, sizes)) or sum(sizes) != len(times):
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: its batches_by_device are not those of its '
                             f'{len(times)} times')
        ends = np.cumsum(sizes)
        return [Device(*pair) for pair in zip(counts, np.split(times, ends[:-1]))]

    @property
    def batch_size(self) -> int:
        """ais_bench does not note it, but its throughput is 1000 * batch size / mean ms."""
        batch_size = self.content.get('batchsize')
        try:
            if batch_size is None:
                batch_size = round(self.content['throughput'] * self.content['NPU_compute_time']['mean'] / 1000)
            if is_count(batch_size) and batch_size < LARGEST_COUNT:
                return int(batch_size)
        except (KeyError, TypeError, ValueError, OverflowError):
            pass
        raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no batch size')


def _wrong(path: str, content: Mapping[str, Any], key: str, expected: str) -> InputError:
    return InputError(f'{path}: {key} is {one_line(repr(content[key]), 50)}, expected {expected}; '
                      'run the inference again')


def _optional(path: str, content: Mapping[str, Any], key: str, kind: Type[Any]) -> Any:
    value = content.get(key)
    if value is not None and not isinstance(value, kind):
        raise _wrong(path, content, key, 'a text' if kind is str else 'an object')
    return value


def _count(path: str, content: Mapping[str, Any], key: str) -> Optional[int]:
    value = content.get(key)
    if value is not None and not (is_count(value) and value < LARGEST_COUNT):
        raise _wrong(path, content, key, 'a whole number of 1 or more')
    return value


def _shape(path: str, content: Mapping[str, Any]) -> Optional[List[int]]:
    value = content.get('sample_shape')
    if value is not None and not is_shape(value):
        raise _wrong(path, content, 'sample_shape', 'whole numbers of 1 or more')
    return value


def _digests(path: str, content: Mapping[str, Any]) -> Optional[Dict[str, str]]:
    value: Optional[Dict[str, str]] = _optional(path, content, 'outputs_sha256', dict)
    if value is not None and not all(isinstance(digest, str) for digest in value.values()):
        raise _wrong(path, content, 'outputs_sha256', 'a digest for each output')
    return value


def option_of(args: Sequence[str], names: Tuple[str, ...]) -> Optional[str]:
    """The value of the option that has one of the NAMES, in a command line."""
    for arg, value in zip(args, [*args[1:], '']):
        name, equals, attached = arg.partition('=')
        if name in names:
            return attached if equals else value
    return None


# ---- writing ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What a summary says of a run. times: ms of each batch, by device. num_videos: None where nothing says it.

    engine: what describe() of an engine gives. sample_shape: of the samples that the model takes.
    """

    times: Mapping[str, Sequence[float]]
    batch_size: int
    engine: Mapping[str, Any]
    num_videos: Optional[int]
    provenance: Provenance
    sample_shape: Sequence[int]


def make_summary(facts: RunFacts) -> Dict[str, Any]:
    """The summary of a run: ais_bench's keys, and more. OutputWriter adds what it knows of the files.

    In npu_compute_time_list the devices stand one after the other. The throughput, in samples/s, is the sum over them.
    """
    all_times = [ms for device in facts.times.values() for ms in device]
    summary = {
        'args': sys.argv,
        'NPU_compute_time': latency_statistics(all_times),
        'H2D_latency': latency_statistics([]),
        'D2H_latency': latency_statistics([]),
        'throughput': sum(1000 * facts.batch_size / float(np.mean(device)) for device in facts.times.values()),
        'npu_compute_time_list': all_times,
        'pid': os.getpid(),
        'engine': facts.engine,
        'batchsize': facts.batch_size,
        'num_videos': facts.num_videos,
        'sample_shape': facts.sample_shape,
        'environment': describe_environment(),
        **dataclasses.asdict(facts.provenance),
    }
    if len(facts.times) > 1:
        summary['batches_by_device'] = {name: len(device) for name, device in facts.times.items()}
    summary['speed_sha256'] = speed_digest(summary)
    return summary


def latency_statistics(times: Sequence[float]) -> Dict[str, float]:
    """ais_bench's figures of a list of times in ms."""
    if not len(times):
        return {'min': 0.0, 'max': 0.0, 'mean': 0.0, 'median': 0.0, 'percentile(99%)': 0.0, 'count': 0}
    return {
        'min': float(np.min(times)),
        'max': float(np.max(times)),
        'mean': float(np.mean(times)),
        'median': float(np.median(times)),
        'percentile(99%)': float(np.percentile(times, 99)),
        'count': len(times),
    }


def speed_digest(summary: Mapping[str, Any]) -> str:
    """SHA-256 of the figures of a summary, so that one which was changed is noticed."""
    keys = ('npu_compute_time_list', 'NPU_compute_time', 'throughput', 'batchsize', 'batches_by_device')
    return hashlib.sha256(json.dumps([summary.get(key) for key in keys], sort_keys=True).encode()).hexdigest()
