# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Whether what a run was of is still there: model, bins, list of videos; and whether two runs are of the same list.

    check_unchanged(run)                     # what cannot be checked is logged
    check_list(run, 'data/ucf101/ucf101_val_split_1_rawframes.txt')
"""
from __future__ import annotations

import os

from r2plus1d.bins import INFO
from r2plus1d.outputs import Run
from r2plus1d.run import InputError, log
from r2plus1d.store import file_digest
from r2plus1d.summary import Summary


def check_list(run: Run, list_file: str) -> bool:
    """Whether a run notes that it is of the videos in LIST_FILE; False where it notes nothing, which is logged.

    Raises InputError where it is of another list.
    """
    noted = run.provenance.list_sha256
    if noted is None:
        log(f'{run.path}: not checked: whether it is of the videos in {list_file}; it notes no digest of its list')
        return False
    if noted != file_digest(list_file):
        raise InputError(f'{list_file}: is not the list of {run.path}, or was changed since; give the --config of that '
                         'run, or run it again')
    return True


def check_same_list(first: Run, second: Run) -> None:
    """Raise InputError where two runs are of different lists of videos. Log where one of them does not say."""
    digests = [run.provenance.list_sha256 for run in (first, second)]
    if None in digests:
        path = (first, second)[digests.index(None)].path
        log(f'{path}: not checked: whether both runs are of the same videos; it notes no digest of its list')
    elif digests[0] != digests[1]:
        raise InputError(f'{first.path} and {second.path}: are of different lists of videos; infer the same list twice')


def check_unchanged(run: Run) -> None:
    """Raise InputError where the bins are not those of the inference any more. Log what cannot be checked."""
    for summary in run.summaries:
        check_bins(run, summary)
        check_model(run, summary)
        if summary.outputs_sha256 is None:
            log(f'{summary.path}: not checked: whether the outputs were changed since the inference; it notes no '
                'digests of them')


def check_bins(run: Run, summary: Summary) -> None:
    """Compare the bins that a summary lists with their info.json."""
    if run.info_path is None:
        log(f'{summary.path}: not checked: whether its .bin files were changed since the inference; no {INFO} is found')
        return
    folder = os.path.dirname(run.info_path)
    remedy = f'the .bin files of {folder} were made anew since the inference; run it again'
    bins = run.info.bins
    other = [path for path, _ in summary.files if bins is not None and os.path.basename(path) not in bins]
    if other:
        raise InputError(f'{summary.path}: {os.path.basename(other[0])} is not in {run.info_path}; {remedy}')
    noted = summary.provenance.info_sha256
    if noted and noted != file_digest(run.info_path):
        raise InputError(f'{summary.path}: was written for another {run.info_path}; {remedy}')
    if not noted:
        log(f'{summary.path}: not checked: whether the .bin files of {folder} were changed since the inference, beyond '
            'their names; it notes no digest of their info.json')


def check_model(run: Run, summary: Summary) -> None:
    """Log where the model file of a summary is not that of the inference any more, or cannot be compared."""
    noted = summary.provenance.model_sha256
    found = run.find(summary.model) if noted and summary.model else None
    if not noted:
        log(f'{summary.path}: not checked: which model file it is of; it notes no digest')
    elif found is None:
        log(f'{summary.path}: not checked: whether {summary.model} is still the model of the inference; it is not '
            'found')
    elif file_digest(found) != noted:
        log(f'{summary.path}: {found} was changed since the inference; the accuracy is that of the model that was '
            'there before')
