# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What inference hands on: a run, opened once by a script, with its summary, its bins, its scores and labels.

    run = Run.open('predata_bts1_om_out')              # the newest run in it
    run.check_unchanged()                              # whether its bins and model are still there, as they were
    scores, labels = run.scores(run.views(), run.num_videos())

    r2plus1d_infer.py or ais_bench -> outputs, summary -> r2plus1d_postprocess.py, r2plus1d_report.py
"""
from __future__ import annotations

import functools
import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from r2plus1d.bins import INFO, NO_INFO, BinName, BinsInfo, count_views, read_info
from r2plus1d.output_files import read_output
from r2plus1d.run import InputError, log
from r2plus1d.store import file_digest
from r2plus1d.summary import Summary, find_summaries


class OutputFile(NamedTuple):
    """A bin of a run: the number of its first video, its labels, its path, the path of its scores."""

    first: int
    labels: List[int]
    bin: str
    scores: str


# ---- a run -----------------------------------------------------------------------------------------


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
    def info(self) -> BinsInfo:
        return read_info(os.path.dirname(self.info_path)) or NO_INFO if self.info_path else NO_INFO

    @functools.cached_property
    def list_sha256(self) -> Optional[str]:
        """Of the list of videos. Where the summary is ais_bench's, the info.json of the bins says it."""
        return self.summary.list_sha256 or self.info.list_sha256

    @functools.cached_property
    def config_sha256(self) -> Optional[str]:
        return self.summary.config_sha256 or self.info.config_sha256

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

    @property
    def model(self) -> Optional[str]:
        """Where the model file is; None where it is not found."""
        return self.find(self.summary.model) if self.summary.model else None

    # ---- of what it is -----------------------------------------------------------------------------

    def is_of(self, list_file: str) -> bool:
        """Whether it notes that it is of the videos in LIST_FILE; False where it notes nothing, which is logged.

        Raises InputError where it is of another list.
        """
        noted = self.list_sha256
        if noted is None:
            not_checked(self.path, f'whether it is of the videos in {list_file}', NO_LIST)
        elif noted != file_digest(list_file):
            raise InputError(f'{list_file}: is not the list of {self.path}, or was changed since; give the --config of '
                             'that run, or run it again')
        return noted is not None

    def check_unchanged(self) -> None:
        """Raise InputError where the bins are not those of the inference any more. Log what cannot be checked."""
        for summary in self.summaries:
            self.check_bins(summary)
            self.check_model(summary)
            if summary.outputs_sha256 is None:
                not_checked(summary.path, 'whether the outputs were changed since the inference',
                            'it notes no digests of them')

    def check_bins(self, summary: Summary) -> None:
        """Compare the bins that a summary lists with their info.json."""
        changed = 'whether its .bin files were changed since the inference'
        if summary.config_sha256 and not summary.info_sha256:
            return  # it was of --config, and had none
        if self.info_path is None:
            not_checked(summary.path, changed, f'no {INFO} is found')
            return
        bins = self.info.bins
        other = [path for path, _ in summary.files if bins is not None and os.path.basename(path) not in bins]
        if other or summary.info_sha256 not in (None, file_digest(self.info_path)):
            what = f'{os.path.basename(other[0])} is not in {self.info_path}' if other else f'another {self.info_path}'
            raise InputError(f'{summary.path}: {what}: the .bin files were made anew since the inference; run it again')
        if not summary.info_sha256:
            not_checked(summary.path, f'{changed}, beyond their names', f'it notes no digest of {self.info_path}')

    def check_model(self, summary: Summary) -> None:
        """Log where the model file of a summary is not that of the inference any more, or cannot be compared."""
        noted = summary.model_sha256
        found = self.find(summary.model) if noted and summary.model else None
        if not noted or found is None:
            not_checked(summary.path, f'whether {summary.model} is still the model of the inference',
                        'it is not found' if noted else 'it notes no digest of it')
        elif file_digest(found) != noted:
            log(f'{summary.path}: {found} was changed since the inference; the accuracy is that of the model that was '
                'there before')

    # ---- how many ----------------------------------------------------------------------------------

    def num_videos(self, said: Optional[int] = None) -> int:
        """How many videos the data set has. SAID: by an option, where nothing else says it. Raises InputError."""
        number = agreed_number({
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
        number = agreed_number({
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
        agreed_number({f'{self.path} notes': self.summary.num_classes, '--num_classes says': num_classes}, 'classes')
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

    @functools.cached_property
    def numbers(self) -> List[int]:
        """The numbers of the videos in the list, in the order of the scores."""
        return [file.first + i for file in self.files for i in range(len(file.labels))]

    def check_complete(self, num_videos: int, allow_missing: bool) -> None:
        """Raise InputError unless the files hold each video from 0 to NUM_VIDEOS - 1 once."""
        numbers = sorted(self.numbers)
        twice = [number for number, following in zip(numbers, numbers[1:]) if number == following]
        if twice:
            reason = 'were its bins made anew between two runs?'
            if len(self.summaries) > 1:
                reason = 'for several devices to share them, give ais_bench --divide_input 1 (now --divide-input)'
            raise InputError(f'{self.path}: video {twice[0]} is there twice; {reason}')
        if numbers[-1] >= num_videos:
            raise InputError(f'{self.path}: has video {numbers[-1]}, and the data set has {num_videos} videos, from 0 '
                             'on; are there files of another list among the bins?')
        if len(numbers) < num_videos and not allow_missing:
            first = next((i for i, number in enumerate(numbers) if i != number), len(numbers))
            raise InputError(f'{self.path}: {num_videos - len(numbers)} of {num_videos} videos are missing, the first '
                             f'is number {first}; run the inference on all files')


def agreed_number(told: Dict[str, Optional[int]], things: str) -> Optional[int]:
    """The number on which all agree that tell one; None where nobody does. Raises InputError.

    TOLD: {who tells it: the number}. THINGS: what is counted.
    """
    numbers = [(who, number) for who, number in told.items() if number is not None]
    for (who, number), (other, another) in zip(numbers, numbers[1:]):
        if number != another:
            words = [count_views(n) + ' a video' if things == 'views' else f'{n} {things}' for n in (number, another)]
            raise InputError(f'{who} {words[0]}, and {other} {words[1]}; these contradict one another')
    return numbers[0][1] if numbers else None


def check_same_list(first: Run, second: Run) -> None:
    """Raise InputError where two runs are of different lists of videos. Log where one of them does not say."""
    for run in (first, second):
        if run.list_sha256 is None:
            not_checked(run.path, 'whether both runs are of the same videos', NO_LIST)
            return
    if first.list_sha256 != second.list_sha256:
        raise InputError(f'{first.path} and {second.path}: are of different lists of videos; infer the same list twice')


NO_LIST = 'it notes no digest of its list'


def not_checked(path: str, what: str, why: str) -> None:
    log(f'{path}: not checked: {what}; {why}')
