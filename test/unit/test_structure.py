# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""JSON of another structure: keys that are lost, values of other types, numbers out of range, in every form.

Each change is read by every script that reads the form. It is taken, or refused by one line; there is no traceback.
"""
import copy
import itertools
import json
import shutil

import mutations
import numpy as np
import pytest
from conftest import call
from made_runs import NAMES, Run

from r2plus1d.bins import BinsInfo, config_digest
from r2plus1d.data import read_config

SECONDS = 10
VALUES = (None, True, -1, 0, 1.5, 10**400, float('nan'), 'x', '', [], [None], {}, {'a': 1})  # they take turns
TOO_LONG = '9' * 5000  # digits, which Python's JSON reads no number of
REPORT = ['--examples=0', '--classes={}/classInd.txt', '--output={}/page.html']
READERS = {
    'postprocess': ['r2plus1d_postprocess', '--result_path={}/predata_bts1_bs1_out', '--num_videos=2', '--crops=3'],
    'parse': ['parse', '--work_dir={}'],
    'report': ['r2plus1d_report', '--work_dir={}', *REPORT],
    'other': ['r2plus1d_report', '--work_dir={}/good', '--compare={}', *REPORT],
    'pair': ['r2plus1d_compare', '--runs', '{}/good/predata_bts1_bs1_out', '{}/predata_bts1_bs1_out', '--config',
             '{}/config.py', '--allow_unproven', '--max_drop=1'],
}
FORMS = {
    'summary': ('predata_bts1_bs1_out/2026_03_04-05_06_07_summary.json', ['postprocess', 'parse', 'report', 'pair']),
    'result': ('result_bs1.json', ['parse', 'report', 'other']),
    'evaluation': ('evaluation_bs1.json', ['parse', 'report', 'other']),
    'comparison': ('compare.json', ['report', 'other']),
    'info': ('predata_bts1/info.json', ['postprocess', 'parse', 'report']),
}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A run with one file of each form, and another one in its folder "good"."""
    folder = tmp_path_factory.mktemp('structure') / 'run'
    run = Run(folder, NAMES, [0, 1], np.random.default_rng(2).normal(0, 1, (2, 3, 8)))
    bins = {f'bin{i}-{i}_{i}.bin': f'{i}' * 32 for i in range(2)}
    config = f'{folder}/config.py'
    info = BinsInfo(config, config_digest(read_config(config)), f'{folder}/list.txt', run.list_sha256, 'float32',
                [3, 3, 8, 256, 256], 1, 2, False, [[1, 2]] * 2, bins)
    (folder / 'predata_bts1').mkdir()
    (folder / 'predata_bts1/info.json').write_text(json.dumps(info.to_json()))
    row = {'model': 'a.onnx', 'step': 'export', 'precision': 'f32', 'max_abs_difference': 1.5e-5, 'bound': 1e-4,
           'max_rel_difference': 6e-7, 'cosine': 0.999999, 'top1_agreement': 1.0, 'passed': False}
    (folder / 'compare.json').write_text(json.dumps({
        'models': [row], 'num_videos': 2, 'num_test_videos': 2, 'passed': False, 'checkpoint': 'best.pth',
        'first_difference': {'step': 'export', 'model': 'a.onnx'}}))
    shutil.copytree(folder, folder.parent / 'good')
    shutil.move(folder.parent / 'good', folder / 'good')
    return folder


def read(folder, reader):
    """One of the READERS: it ends well, or by one line."""
    script, *options = READERS[reader]
    done = call(script, *(option.format(folder) for option in options), check=False)
    assert done.returncode in (0, 1, 2) and 'Traceback' not in done.stderr
    return done


def other_structures(good):
    """The text of a form as other texts: each of its values is lost, and is replaced; the whole is another thing."""
    content = json.loads(good)
    for i, (container, key) in enumerate(mutations.places(content)):
        before = copy.copy(container)
        container[key] = VALUES[i % len(VALUES)]
        yield json.dumps(content)
        del container[key]
        yield json.dumps(content)
        if isinstance(container, list):
            container[:] = before
        else:
            container.update(before)
    yield from ('5', '[]', 'null', '{}', good.replace(': 2', f': {TOO_LONG}', 1))


@pytest.mark.parametrize('form', FORMS)
def test_other_structures(made, form):
    name, readers = FORMS[form]
    path, good = made / name, (made / name).read_text()
    for reader in readers:
        done = read(made, reader)
        assert done.returncode == 0 or 'verdict' in done.stdout, done.stderr
    try:
        for text, reader in itertools.product(other_structures(good), readers):
            path.write_text(text)
            read(made, reader)
    finally:
        path.write_text(good)
