# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What inference hands on: a run, opened once by a script, with its summary, its bins, its scores and labels.

    run = Run.open('predata_bts1_om_out')              # the newest run in it
    scores, labels = run.scores(run.views(), run.num_videos())

    r2plus1d_infer.py or ais_bench -> outputs, summary -> r2plus1d_postprocess.py, r2plus1d_report.py

A run is <output>/<name>/, one file for each input file, and <output>/<name>_summary.json; with several devices
<output>/<name>/device<n>/ and <output>/<name>/device<n>_summary.json.
"""
from __future__ import annotations

import functools
import glob
import os
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.bins import INFO, NO_INFO, BinName, Info, count_views, read_info
from r2plus1d.output_files import read_output
from r2plus1d.run import InputError, log
from r2plus1d.store import file_digest
from r2plus1d.summary import SUMMARY_ENDING, Provenance, Summary

OLD_NAME = 'sumary.json'  # of ais_infer, until late 2022: in the folder of the outputs
TIME_NAME = re.compile(r'\d{4}(?:_\d\d){2}-\d\d(?:_\d\d){2}')  # of a run that was given no name


class OutputFile(NamedTuple):
    """A bin of a run: the number of its first video, its labels, its path, the path of its scores."""

    first: int
    labels: List[int]
    bin: str
    scores: str


# ---- runs ------------------------------------------------------------------------------------------


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
    runs = runs_in(path)
    if not runs:
        old = [*glob.glob(f'{glob.escape(path)}/{OLD_NAME}'), *glob.glob(f'{glob.escape(path)}/*/{OLD_NAME}')]
        remedy = f'mv {old[0]} {os.path.dirname(old[0])}{SUMMARY_ENDING}' if old else 'did the inference finish?'
        raise InputError(f'{path}: no *{SUMMARY_ENDING} in it; {remedy}')
    if len(runs) > 1:
        log(f'{path}: of {len(runs)} runs, the newest is taken: {os.path.basename(name_of(runs[-1]))}')
    return runs[-1]


def runs_in(folder: str) -> List[List[str]]:
    """The summary files of each run in a folder, the oldest run first. Raises InputError where one has no time."""
    escaped = glob.escape(folder)
    runs = group_runs(glob.glob(f'{escaped}/*{SUMMARY_ENDING}') + glob.glob(f'{escaped}/*/device*{SUMMARY_ENDING}'))
    return sorted(runs, key=time_of) if len(runs) > 1 else runs


def group_runs(paths: Sequence[str]) -> List[List[str]]:
    """The summary files of each run, of several devices in the order of their names."""
    runs: Dict[str, List[str]] = {}
    for path in sorted(paths):
        runs.setdefault(name_of([path]), []).append(path)
    return list(runs.values())


def name_of(summaries: Sequence[str]) -> str:
    """The path of a run's folder, which its name is the end of."""
    first = summaries[0]
    is_device = os.path.basename(first).startswith('device')
    return os.path.dirname(first) if is_device else first[:-len(SUMMARY_ENDING)]


def time_of(summaries: Sequence[str]) -> str:
    """When a run began, by its name or its summary. The times of files say nothing: copying them changes these."""
    name = os.path.basename(name_of(summaries))
    noted = name if TIME_NAME.fullmatch(name) else Summary.read(summaries[0]).time
    if noted is None:
        raise InputError(f'{summaries[0]}: does not say when it was written, and is not the only run there; name the '
                         'folder of one run')
    return noted


class Run:
    """A run, as its summary files and the info.json of its bins describe it. Raises InputError."""

    def __init__(self, summaries: Sequence[str]) -> None:
        self.summaries = [Summary.read(path) for path in summaries]
        self.summary = self.summaries[0]
        self.path = self.summary.path

    @classmethod
    def open(cls, path: str) -> Run:
        """The newest run in a folder, the run of a folder, or of a summary."""
        return cls(find_summaries(path))

    @functools.cached_property
    def files(self) -> List[OutputFile]:
        """In the order of the data set."""
        files = []
        for summary in self.summaries:
            for bin_path, output in summary.files:
                name = BinName.parse(bin_path)
                files.append(OutputFile(name.first, list(name.labels), bin_path, output))
        return sorted(files)

    @functools.cached_property
    def info_path(self) -> Optional[str]:
        """The info.json of the bins; None where it is not found."""
        bin_path, _ = self.summary.files[0]
        return self.find(os.path.join(os.path.dirname(bin_path), INFO))

    @functools.cached_property
    def info(self) -> Info:
        return read_info(os.path.dirname(self.info_path)) or NO_INFO if self.info_path else NO_INFO

    @functools.cached_property
    def provenance(self) -> Provenance:
        """Of what the outputs are. Where the summary is ais_bench's, the info.json of the bins says it."""
        noted = self.summary.provenance
        if noted.list_sha256:
            return noted
        return Provenance(noted.model_sha256, self.info.config_sha256, self.info.list_sha256, noted.info_sha256)

    def find(self, path: str) -> Optional[str]:
        """Where the file PATH is, as the inference was given it; None where it is not found.

        It is relative to the folder in which the inference was started, which ais_bench does not note. So it is looked
        for from each folder above the summary, the nearest first, and from the folder of today.
        """
        above = os.path.dirname(os.path.abspath(self.path))
        places = [above]
        while os.path.dirname(above) != above:
            above = os.path.dirname(above)
            places.append(above)
        return next(filter(os.path.isfile, [os.path.join(place, path) for place in [*places, os.getcwd()]]), None)

    # ---- how many ----------------------------------------------------------------------------------

    def num_videos(self, said: Optional[int] = None) -> int:
        """How many videos the data set has. SAID: by an option, where nothing else says it. Raises InputError."""
        number = one_of({
            f'{self.path} says': self.summary.num_videos,
            f'{self.info_path} says': self.info.num_videos,
            '--num_videos, or the accuracy JSON, says': said,
        }, 'videos')
        if number is None:
            raise InputError(f'{self.path}: whether all videos are there cannot be told, because the info.json of its '
                             '.bin files is not found; start this script where the inference was started, or give '
                             '--num_videos, the number of videos of the data set')
        return number

    def views(self, said: Optional[int] = None, config_shape: Optional[Sequence[int]] = None) -> int:
        """How many views of a video the outputs have. SAID: by --crops, or by the accuracy JSON.

        CONFIG_SHAPE: of a sample by the config that the run is said to be of, asked where nothing else tells.
        """
        shape, info_shape = self.summary.sample_shape, self.info.shape
        number = one_of({
            f'the model of {self.path} takes': shape[0] if shape else None,
            f'{self.info_path} has bins of': info_shape[0] if info_shape else None,
            '--crops, or the accuracy JSON, says': said,
        }, 'views')
        if number is None and config_shape:
            return config_shape[0]
        if number is None:
            raise InputError(f'{self.path}: how many views of a video the outputs have cannot be told, because the '
                             'info.json of its .bin files is not found; give --crops, such as --crops 3')
        return number

    @functools.cached_property
    def samples_of_a_file(self) -> int:
        """How many samples each bin holds: all hold as many, and only the last one has fewer labels."""
        most_labels = max(len(file.labels) for file in self.files)
        return max(most_labels, self.info.bts or 1)

    # ---- scores ------------------------------------------------------------------------------------

    def scores(self, views: int, num_videos: int, num_classes: Optional[int] = None,
               allow_missing: bool = False) -> Tuple[np.ndarray, List[int]]:
        """(scores: float32, videos x VIEWS x classes; labels), in the order of the data set.

        NUM_CLASSES: by an option, where it is known. Raises InputError unless each of NUM_VIDEOS videos is there once;
        with ALLOW_MISSING, unless none is there twice.
        """
        self.check_complete(num_videos, allow_missing)
        one_of({f'{self.path} notes': self.summary.num_classes, '--num_classes says': num_classes}, 'classes')
        scores: List[np.ndarray] = []
        labels: List[int] = []
        for file in self.files:
            file_scores = self.scores_of(file, views)
            classes = file_scores.shape[2]
            expected = scores[0].shape[2] if scores else num_classes or self.summary.num_classes or classes
            if classes != expected:
                raise InputError(f'{file.scores}: {classes} scores in a row, expected {expected}')
            if max(file.labels) >= classes:
                raise InputError(f'{file.bin}: label {max(file.labels)}, and the model has {classes} classes')
            scores.append(file_scores[:len(file.labels)])  # what follows is of samples that fill up the last file
            labels += file.labels
        return np.concatenate(scores), labels

    def scores_of(self, file: OutputFile, views: int) -> np.ndarray:
        """The scores of one bin: samples x VIEWS x classes."""
        rows = self.samples_of_a_file * views
        found = read_output(file.scores, rows)
        if len(found) != rows:
            raise InputError(f'{file.scores}: {len(found)} rows, expected {rows} rows: {file.bin} holds '
                             f'{self.samples_of_a_file} videos with {views} views each; were bins and model of one '
                             'kind?')
        if self.digests and self.digests.get(os.path.abspath(file.scores)) != file_digest(file.scores):
            raise InputError(f'{file.scores}: was changed since the inference: the summary notes another digest; '
                             'run the inference again')
        return found.reshape(self.samples_of_a_file, views, -1)

    @functools.cached_property
    def digests(self) -> Dict[str, str]:
        """The SHA-256 of each output by its path; {} where the summary notes none, as that of ais_bench."""
        return {os.path.join(os.path.abspath(summary.folder), name): digest for summary in self.summaries
                for name, digest in (summary.outputs_sha256 or {}).items()}

    def check_complete(self, num_videos: int, allow_missing: bool) -> None:
        """Raise InputError unless the files hold each video from 0 to NUM_VIDEOS - 1 once."""
        expected = 0  # the next video
        missing: List[int] = []
        for file in self.files:
            if file.first < expected:
                reason = f'was {os.path.dirname(file.bin)} made anew between two runs?'
                if len(self.summaries) > 1:
                    reason = 'for several devices to share them, give ais_bench --divide_input 1 (now --divide-input)'
                raise InputError(f'{self.path}: video {file.first} is there twice; {reason}')
            if file.first > expected:
                missing += [expected, file.first - expected]
            expected = file.first + len(file.labels)
        if expected > num_videos:
            raise InputError(f'{self.path}: has video {expected - 1}, and the data set has {num_videos} videos, from 0 '
                             'on; are there files of another list among the bins?')
        if expected < num_videos:
            missing += [expected, num_videos - expected]
        if missing and not allow_missing:
            raise InputError(f'{self.path}: {sum(missing[1::2])} of {num_videos} videos are missing, the first is '
                             f'number {missing[0]}; run the inference on all files')


def one_of(told: Dict[str, Optional[int]], things: str) -> Optional[int]:
    """The number on which all agree that tell one; None where nobody does. Raises InputError.

    TOLD: {who tells it: the number}. THINGS: what is counted.
    """
    numbers = [(who, number) for who, number in told.items() if number is not None]
    if not numbers:
        return None
    *others, (last, number) = numbers
    for who, other in reversed(others):
        if other != number:
            words = [count_views(n) + ' a video' if things == 'views' else f'{n} {things}' for n in (other, number)]
            raise InputError(f'{who} {words[0]}, and {last} {words[1]}; these contradict one another')
    return number
