# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The summary of a run: which files belong together, how long each batch took, and of what the outputs are.

    summary = Summary.read('out/2026_03_04-05_06_07_summary.json')

Its form is that of ais_bench (Ascend/tools, ais-bench_workload/tool/ais_bench) in its three ages. They differ in the
figures of the times (the percentile is called percentile(99%), in 2026 P99; some are left out), so these are never
read: what is needed is computed from the times themselves. r2plus1d_infer.py adds its own keys, see make_summary().

A run is <output>/<name>/, one file for each input file, and <output>/<name>_summary.json; with several devices
<output>/<name>/device<n>/ and <output>/<name>/device<n>_summary.json.
"""
from __future__ import annotations

import dataclasses
import functools
import glob
import itertools
import os
import re
import sys
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.bins import INFO, config_digest, list_inputs, read_info
from r2plus1d.environment import describe_environment
from r2plus1d.json_forms import COUNT, NUMBER, OBJECT, SHAPE, TEXT, Check, Form, field, json_digest
from r2plus1d.run import InputError, log, one_line
from r2plus1d.store import file_digest

POSITIVE = Check(lambda value: NUMBER.takes(value) and value > 0, 'a number above 0')
OLD_NAME = 'sumary.json'  # of ais_infer, until late 2022: in the folder of the outputs
SUMMARY_ENDING = '_summary.json'
TIMES = Check(lambda value: bool(value) and POSITIVE.list_of().takes(value), 'times in ms')
NOT_A_SUMMARY = 'not a summary of ais_bench or r2plus1d_infer.py'


def is_engine(value: Any) -> bool:
    return OBJECT.takes(value) and all(TEXT.takes(value.get(key)) for key in ('name', 'version', 'precision', 'cpu'))


def is_filesinfo(value: Any) -> bool:
    """Whether it has the paths of the input and output files of each number."""
    return OBJECT.takes(value) and all(
        OBJECT.takes(info) and all(TEXT.list_of().takes(info.get(key)) and info[key] for key in ('infiles', 'outfiles'))
        for info in value.values())


def output_name(input_path: str, index: int, extension: str) -> str:
    """Name of the file with output INDEX of an input file: ais_bench takes the name up to its first dot."""
    return f'{os.path.basename(input_path).split(".")[0]}_{index}.{extension}'


# ---- of what the outputs are -----------------------------------------------------------------------


def note_provenance(model: str, bins: Optional[str] = None, cfg: Any = None) -> Dict[str, Optional[str]]:
    """SHA-256 digests of what a run of a MODEL is of: BINS, as --input names them, or the test videos of CFG.

    By their keys in a summary; None where nobody noted it. Two runs are of the same videos where their lists are the
    same. config: what the config says of the test data, see config_digest(). info: the info.json of the bins.
    """
    noted = dict.fromkeys(('config_sha256', 'list_sha256', 'info_sha256'))
    if cfg is not None:
        noted.update(config_sha256=config_digest(cfg), list_sha256=file_digest(cfg.data.test.ann_file))
    folder = os.path.dirname(list_inputs(bins)[0]) if bins else ''
    info = read_info(folder) if bins else None
    if info:
        noted.update(config_sha256=info.config_sha256, list_sha256=info.list_sha256,
                     info_sha256=file_digest(os.path.join(folder, INFO)))
    return {'model_sha256': file_digest(model), **noted}


# ---- reading ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Summary(Form):
    """The content of a summary file. What it does not note is None; those of ais_bench have no version.

    num_videos: how many there were to infer. num_classes: scores in a row of the first output. sample_shape: that the
    model takes. time: when the run began, 2026_03_04-05_06_07+0800. outputs_sha256: by file name. speed_sha256: see
    speed_digest().
    """

    REMEDY = 'run the inference again'
    path: str = field(TEXT)
    version: Optional[int] = field(COUNT.or_null())
    filesinfo: Optional[Dict[str, Dict[str, List[str]]]] = field(Check(is_filesinfo, 'files of ais_bench').or_null())
    args: Optional[List[Any]] = field(Check(lambda value: isinstance(value, list), 'a command line').or_null())
    NPU_compute_time: Optional[Dict[str, Any]] = field(OBJECT.or_null())
    throughput: Optional[float] = field(NUMBER.or_null())
    npu_compute_time_list: Optional[List[float]] = field(TIMES.or_null())
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

    @classmethod
    def from_json(cls, path: str, content: Any) -> Summary:
        return super().from_json(path, {**content, 'path': path} if isinstance(content, dict) else content)

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
        """The model file, as the command line names it; of several, the last one is taken."""
        args = [str(arg) for arg in self.args or ()]
        model = None
        for arg, value in zip(args, [*args[1:], '']):
            name, equals, attached = arg.partition('=')
            if name in ('--model', '-m'):
                model = attached if equals else value
        return model

    @property
    def times(self) -> Dict[str, np.ndarray]:
        """The ms of each batch of each device. Where the summary notes a digest of its figures, they are the run's."""
        if not self.npu_compute_time_list or not self.args:
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no times')
        if self.version and self.speed_sha256 != speed_digest(vars(self)):
            raise InputError(f'{self.path}: was changed since the inference: it notes another digest of its times and '
                             'figures; run the inference again')
        times = np.array(self.npu_compute_time_list, float)
        # device0 of .../device0_summary.json, and of .../device0_1_summary.json of later versions, which add a number
        counts = self.batches_by_device or {os.path.basename(self.path).split('_')[0]: len(times)}
        if sum(counts.values()) != len(times):
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: its batches_by_device are not those of its '
                             f'{len(times)} times')
        return dict(zip(counts, np.split(times, np.cumsum(list(counts.values()))[:-1])))

    @property
    def batch_size(self) -> int:
        """ais_bench does not note it, but its throughput is 1000 * batch size / mean ms."""
        mean = (self.NPU_compute_time or {}).get('mean', 0)
        found = self.batchsize
        if found is None and self.throughput is not None and NUMBER.takes(mean):
            found = round(self.throughput * mean / 1000)
        if found is None or found < 1:
            raise InputError(f'{self.path}: {NOT_A_SUMMARY}: it has no batch size')
        return found


# ---- which files are one run -----------------------------------------------------------------------

TIME_NAME = re.compile(r'\d{4}(?:_\d\d){2}-\d\d(?:_\d\d){2}')  # of a run that was given no name


def find_summaries(path: str) -> List[str]:
    """The summary files of one run: of the newest run in a folder, of a run's folder, or the file itself.

    Several devices leave several summaries. Raises InputError where there is none, or where several runs do not say
    which of them is the newest.
    """
    if os.path.basename(path) == OLD_NAME:
        path = os.path.dirname(path) or '.'
    if os.path.isfile(path):
        return [path]
    if not os.path.isdir(path):
        raise InputError(f'{path}: no such file or folder')
    path = path.rstrip('/') or '/'
    if os.path.isfile(path + SUMMARY_ENDING):
        return [path + SUMMARY_ENDING]
    runs = group_runs(summaries_in(path))
    if not runs:
        old = [*glob.glob(f'{glob.escape(path)}/{OLD_NAME}'), *glob.glob(f'{glob.escape(path)}/*/{OLD_NAME}')]
        remedy = f'mv {old[0]} {os.path.dirname(old[0])}{SUMMARY_ENDING}' if old else 'did the inference finish?'
        raise InputError(f'{path}: no *{SUMMARY_ENDING} in it; {remedy}')
    newest = newest_of(runs)
    if len(runs) > 1:
        log(f'{path}: of {len(runs)} runs, the newest is taken: {os.path.basename(name_of(newest[0]))}')
    return newest


def summaries_in(folder: str) -> List[str]:
    escaped = glob.escape(folder)
    return glob.glob(f'{escaped}/*{SUMMARY_ENDING}') + glob.glob(f'{escaped}/*/device*{SUMMARY_ENDING}')


def group_runs(paths: Sequence[str]) -> List[List[str]]:
    """The summary files of each run, of several devices in the order of their names."""
    paths = sorted(paths, key=lambda path: (name_of(path), path))
    return [list(group) for _, group in itertools.groupby(paths, name_of)]


def newest_of(runs: Sequence[List[str]]) -> List[str]:
    """Raises InputError where there are several, and one has no time."""
    return max(runs, key=lambda summaries: time_of(summaries[0])) if len(runs) > 1 else runs[0]


def name_of(summary: str) -> str:
    """The path of the folder of a summary's run, which its name is the end of."""
    is_device = os.path.basename(summary).startswith('device')
    return os.path.dirname(summary) if is_device else summary[:-len(SUMMARY_ENDING)]


def time_of(summary: str) -> str:
    """When a run began, by its name or its summary. The times of files say nothing: copying them changes these."""
    name = os.path.basename(name_of(summary))
    noted = name if TIME_NAME.fullmatch(name) else Summary.read(summary).time
    if noted is None:
        raise InputError(f'{summary}: does not say when it was written, and is not the only run there; name the folder '
                         'of one run')
    return noted


# ---- writing ---------------------------------------------------------------------------------------

FIGURES: Dict[str, Callable[..., Any]] = {
    'min': np.min, 'max': np.max, 'mean': np.mean, 'median': np.median,
    'percentile(99%)': functools.partial(np.percentile, q=99)}


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What a summary says of a run. times: ms of each batch, by device. num_videos: None where nothing says it.

    engine: what describe() of an engine gives. provenance: of note_provenance(). sample_shape: of the samples that the
    model takes.
    """

    times: Mapping[str, Sequence[float]]
    batch_size: int
    engine: Mapping[str, Any]
    num_videos: Optional[int]
    provenance: Mapping[str, Optional[str]]
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
        **facts.provenance,
    }
    return {**summary, 'speed_sha256': speed_digest(summary)}


def latency_statistics(times: Sequence[float]) -> Dict[str, float]:
    """ais_bench's figures of a list of times in ms."""
    figures = {name: float(figure(times)) if len(times) else 0.0 for name, figure in FIGURES.items()}
    return {**figures, 'count': len(times)}


def speed_digest(summary: Mapping[str, Any]) -> str:
    """SHA-256 of the figures of a summary, so that one which was changed is noticed."""
    keys = ('npu_compute_time_list', 'NPU_compute_time', 'throughput', 'batchsize', 'batches_by_device')
    return json_digest([summary.get(key) for key in keys])
