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

from r2plus1d.bins import INFO, list_inputs, read_info
from r2plus1d.environment import describe_environment
from r2plus1d.forms import COUNT, FLAG, SHAPE, TEXT, AnyForm, Check, Form, field
from r2plus1d.run import InputError, one_line
from r2plus1d.store import file_digest

SUMMARY_ENDING = '_summary.json'
NOT_A_SUMMARY = 'not a summary of ais_bench or r2plus1d_infer.py'


def is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number, of a size that a floating-point number has."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e300 < value < 1e300


def are_times(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(is_number(ms) and ms > 0 for ms in value)


def is_engine(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ENGINE_KEYS)


def is_filesinfo(value: Any) -> bool:
    """Whether it has the paths of the input and output files of each number."""
    return OBJECT.takes(value) and all(
        OBJECT.takes(info) and all(TEXT.list_of().takes(info.get(key)) and info[key] for key in ('infiles', 'outfiles'))
        for info in value.values())


ENGINE_KEYS = ('name', 'version', 'precision', 'cpu')
NUMBER = Check(is_number, 'a number')
OBJECT = Check(lambda value: isinstance(value, dict), 'an object')


def output_name(input_path: str, index: int, extension: str) -> str:
    """Name of the file with output INDEX of an input file: ais_bench takes the name up to its first dot."""
    return f'{os.path.basename(input_path).split(".")[0]}_{index}.{extension}'


class Loose(Form):
    """A form of which fields may be missing that take null."""

    @classmethod
    def from_json(cls: Type[AnyForm], path: str, content: Any) -> AnyForm:
        if isinstance(content, dict):
            content = {**{name: None for name, check in cls.checks().items() if check.takes(None)}, **content}
        return super().from_json(path, content)


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
    return Provenance(file_digest(model), info.config_sha256, info.list_sha256,
                      file_digest(os.path.join(folder, INFO)))


# ---- reading ---------------------------------------------------------------------------------------


class Device(NamedTuple):
    """What one device has computed: its name, the ms of each of its batches."""

    name: str
    times: np.ndarray


@dataclasses.dataclass(frozen=True)
class Summary(Loose):
    """The content of a summary file. What it does not note is None; those of ais_bench have no version.

    num_videos: how many there were to infer. num_classes: scores in a row of the first output. sample_shape: that the
    model takes. time: when the run began, 2026_03_04-05_06_07. outputs_sha256: by file name. speed_sha256: see
    speed_digest().
    """

    REMEDY = 'run the inference again'
    filesinfo: Optional[Dict[str, Dict[str, List[str]]]] = field(Check(is_filesinfo, 'files of ais_bench').or_null())
    args: Optional[List[Any]] = field(Check(lambda value: isinstance(value, list), 'a command line').or_null())
    NPU_compute_time: Optional[Dict[str, Any]] = field(OBJECT.or_null())
    throughput: Optional[float] = field(NUMBER.or_null())
    npu_compute_time_list: Optional[List[float]] = field(Check(are_times, 'times in ms').or_null())
    engine: Optional[Dict[str, Any]] = field(Check(is_engine, 'what has computed').or_null())
    batchsize: Optional[int] = field(COUNT.or_null())
    batches_by_device: Optional[Dict[str, int]] = field(COUNT.for_each_name().or_null())
    num_videos: Optional[int] = field(COUNT.or_null())
    num_classes: Optional[int] = field(COUNT.or_null())
    sample_shape: Optional[List[int]] = field(SHAPE.or_null())
    environment: Optional[Dict[str, Any]] = field(OBJECT.or_null())
    time: Optional[str] = field(TEXT.or_null())
    outputs_sha256: Optional[Dict[str, str]] = field(TEXT.for_each_name().or_null())
    speed_sha256: Optional[str] = field(TEXT.or_null())
    model_sha256: Optional[str] = field(TEXT.or_null())
    config_sha256: Optional[str] = field(TEXT.or_null())
    list_sha256: Optional[str] = field(TEXT.or_null())
    info_sha256: Optional[str] = field(TEXT.or_null())
    path: str = field(TEXT)
    is_ours: bool = field(FLAG)

    @classmethod
    def from_json(cls, path: str, content: Any) -> Summary:
        if isinstance(content, dict):
            content = {**content, 'path': path, 'is_ours': 'version' in content}
        return super().from_json(path, content)

    @property
    def provenance(self) -> Provenance:
        return Provenance(self.model_sha256, self.config_sha256, self.list_sha256, self.info_sha256)

    @property
    def folder(self) -> str:
        """The folder of the outputs: it lies beside the summary, wherever the two were moved together."""
        return self.path[:-len(SUMMARY_ENDING)]

    @functools.cached_property
    def files(self) -> List[Tuple[str, str]]:
        """(input file, file of the model's first output) of each input file."""
        pairs = []
        for info in (self.filesinfo or {}).values():
            bin_path, output = info['infiles'][0], os.path.basename(info['outfiles'][0])
            if output != output_name(bin_path, 0, output.rpartition('.')[2]):
                raise InputError(f'{self.path}: was changed: {one_line(output, 100)} is not the name of an output of '
                                 f'{one_line(bin_path, 100)}; run the inference again')
            pairs.append((bin_path, os.path.join(self.folder, output)))
        if not pairs:
            raise InputError(f'{self.path}: not a summary of ais_bench: lists no file')
        return pairs

    @property
    def model(self) -> Optional[str]:
        """The model file, as the command line names it."""
        return option_of([str(arg) for arg in self.args or ()], ('--model', '-m'))

    @property
    def devices(self) -> List[Device]:
        """The times of each device. Where the summary notes a digest of its figures, they are those of the run."""
        if not self.npu_compute_time_list or not self.args:
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no times')
        if self.is_ours and self.speed_sha256 != speed_digest(vars(self)):
            raise InputError(f'{self.path}: was changed since the inference: it notes another digest of its times and '
                             'figures; run the inference again')
        times = np.array(self.npu_compute_time_list, float)
        # device0 of .../device0_summary.json, and of .../device0_1_summary.json of later versions, which add a number
        counts = self.batches_by_device or {os.path.basename(self.path).split('_')[0]: len(times)}
        sizes = list(counts.values())
        if sum(sizes) != len(times):
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: its batches_by_device are not those of its '
                             f'{len(times)} times')
        return [Device(*pair) for pair in zip(counts, np.split(times, np.cumsum(sizes)[:-1]))]

    @property
    def batch_size(self) -> int:
        """ais_bench does not note it, but its throughput is 1000 * batch size / mean ms."""
        mean = (self.NPU_compute_time or {}).get('mean', 0)
        found = self.batchsize
        if found is None and self.throughput is not None and is_number(mean):
            found = round(self.throughput * mean / 1000)
        if found is None or found < 1:
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no batch size')
        return found


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
        'batches_by_device': {name: len(device) for name, device in facts.times.items()} or None,
        'environment': dataclasses.asdict(describe_environment()),
        'version': Summary.VERSION,
        **dataclasses.asdict(facts.provenance),
    }
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
