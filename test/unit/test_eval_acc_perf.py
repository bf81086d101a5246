# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""test/eval_acc_perf.sh as a whole, without an NPU: what its options do, and what the records say of what was run."""
import json
import shutil

import pytest
from conftest import CONFIG, ROOT, call, run

from r2plus1d.bins import config_digest
from r2plus1d.run import DEFAULT_CONFIG
from r2plus1d.store import file_digest

SECONDS = 20
LIST = 'data/ucf101/ucf101_val_split_1_rawframes.txt'


def evaluate(small, work_dir, *options, cwd):
    shutil.copy(small.sim, work_dir)
    return run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--work_dir', work_dir,
               '--batch_sizes', 1, *options, cwd=cwd)


def test_overwrite_makes_the_bins_again(dataset, small, tmp_path):
    call('r2plus1d_preprocess', f'--config={small.config}', f'--output_path={tmp_path}/predata_bts1', cwd=dataset)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'predata_bts1').iterdir()}
    done = evaluate(small, tmp_path, '--overwrite', cwd=dataset)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / 'predata_bts1').iterdir()}
    assert set(before) == set(after) and all(before[name] != after[name] for name in before)
    assert 'kept' not in done.stderr and done.stdout.endswith('success\n')


def test_a_direct_run_with_a_precision_says_of_what_it_is(dataset, small, tmp_path, monkeypatch):
    """The summary notes config, list and model; there are no bins."""
    evaluate(small, tmp_path, '--direct', '--precision', 'auto', cwd=dataset)
    assert not (tmp_path / 'predata_bts1').exists()
    path, = tmp_path.glob('predata_bts1_bs1_out/*_summary.json')
    summary = json.loads(path.read_text())
    monkeypatch.chdir(dataset)
    import mmcv
    assert summary['list_sha256'] == file_digest(str(dataset / LIST))
    assert summary['config_sha256'] == config_digest(mmcv.Config.fromfile(str(small.config)))
    assert summary['model_sha256'] == file_digest(str(small.sim)) and summary['info_sha256'] is None
    assert summary['engine']['precision'] in ('f32', 'bf16', 'f16') and '--precision auto' in ' '.join(summary['args'])
    record = json.loads((tmp_path / 'evaluation_bs1.json').read_text())
    assert (record['config'], record['folder']) == (str(small.config), str(dataset))


@pytest.mark.parametrize('script', ['pth2om.sh', 'eval_acc_perf.sh'])
def test_all_scripts_have_one_default_config(script):
    assert str(CONFIG) == DEFAULT_CONFIG
    assert f'--config "{CONFIG}"' in run('bash', ROOT / 'test' / script, '--help').stdout


def test_no_python_script_names_a_config_of_its_own():
    """They take that of r2plus1d/run.py."""
    for path in ROOT.glob('r2plus1d_[!r]*.py'):
        assert CONFIG.name not in path.read_text(encoding='utf-8'), path
