# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What inference hands on: whose files are replaced, which run is taken, what contradicts, of which videos it is."""
import json
import os
import stat

import numpy as np
import pytest
from conftest import call

from r2plus1d.output_files import OutputWriter, remove_runs
from r2plus1d.outputs import Run
from r2plus1d.results import read_performance
from r2plus1d.run import InputError
from r2plus1d.summary import RunFacts, make_summary

ENGINE = {'name': 'none', 'version': '1', 'precision': 'f32', 'cpu': 'none', 'threads': 2}


def infer(out, dirname, best=1, videos=4):
    """A run of VIDEOS of label 1, all of which are given the class BEST of 5."""
    scores = np.zeros((3, 5), np.float32)
    scores[:, best] = 1
    with OutputWriter(str(out), dirname, 'BIN') as outputs:
        for i in range(videos):
            outputs.add(i, [f'bins/bin{i}-{i}_1.bin'], [scores])
        outputs.finish(make_summary(RunFacts({'device0': [2.0] * videos}, 1, ENGINE, videos, {}, [3, 3, 8, 16, 16])))


def postprocess(path, *options):
    return call('r2plus1d_postprocess', f'--result_path={path}', *options, check=False)


def change(path, **changes):
    """Change values in a JSON file; those that are None go."""
    content = dict(json.loads(path.read_text()), **changes)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


# ---- whose files they are --------------------------------------------------------------------------


@pytest.mark.parametrize('made, words', [
    ({'feat/clip_0001.npy': b'mine', 'feat/day_1.txt': b'mine'}, 'feat: holds clip_0001.npy'),
    ({'feat/bin0-0_1.bin': b'an input', 'feat/bin1-1_1.bin': b'an input'}, 'feat: holds bin0-0_1.bin'),
    ({'feat_summary.json': b'{"k": 3}'}, 'feat_summary.json: exists and is no summary'),
    ({'feat_summary.json.new': b'notes'}, 'feat_summary.json.new: is in the way'),
    ({'feat': b'a file'}, 'feat: exists and is no folder'),
])
def test_nothing_of_the_users_is_replaced(tmp_path, made, words):
    for name, data in made.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words):
        infer(tmp_path, 'feat')
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert found == made


def test_a_link_is_not_followed(tmp_path):
    infer(tmp_path, 'run')
    os.rename(tmp_path / 'run', tmp_path / 'elsewhere')
    os.symlink('elsewhere', tmp_path / 'run')
    with pytest.raises(InputError, match='run: exists and is no folder'):
        infer(tmp_path, 'run', best=2)
    assert len(os.listdir(tmp_path / 'elsewhere')) == 4


def test_a_run_replaces_its_like(tmp_path):
    infer(tmp_path / 'out', 'run', videos=6)
    infer(tmp_path / 'out', 'run', videos=4)
    assert len(os.listdir(tmp_path / 'out/run')) == 4 and sorted(os.listdir(tmp_path / 'out')) == [
        'run', 'run_summary.json']
    for folder in (tmp_path / 'out', tmp_path / 'out/run'):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750


@pytest.mark.parametrize('names', [['in/a.v1.bin', 'in/a.v2.bin'], ['in/a.bin', 'other/a.bin']])
def test_two_inputs_with_one_output_are_refused(tmp_path, names):
    with OutputWriter(str(tmp_path / 'out'), 'run', 'BIN') as outputs:
        outputs.expect(['in/b.bin'])
        with pytest.raises(InputError, match=f'{names[1]}: its output would be a_0.bin, as that of {names[0]}'):
            outputs.expect(names)
    assert not os.listdir(tmp_path / 'out')


def test_only_runs_are_removed(tmp_path):
    """Those of an evaluation before: by what their summaries list, not by the name of the folder."""
    infer(tmp_path / 'out', 'run')
    device = tmp_path / 'out/several/device0'  # as ais_bench leaves it, on several devices
    device.mkdir(parents=True)
    (device / 'bin0-0_1_0.txt').write_text('1.000000 ')
    filesinfo = {'0': {'infiles': ['bin0-0_1.bin'], 'outfiles': ['x/bin0-0_1_0.txt']}}
    (tmp_path / 'out/several/device0_summary.json').write_text(json.dumps({'filesinfo': filesinfo}))
    for mine, words in (('run/clip_0001.npy', 'run: holds clip_0001.npy'), ('k_summary.json', 'is no summary')):
        path = tmp_path / 'out' / mine
        path.write_text('mine')
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(InputError, match=words):
            remove_runs(str(tmp_path / 'out'))
        assert sorted(tmp_path.rglob('*')) == before
        path.unlink()
    (tmp_path / 'out/notes.txt').write_text('mine')
    remove_runs(str(tmp_path / 'out'))
    assert [path.name for path in tmp_path.rglob('*')] == ['out', 'notes.txt']


# ---- which run -------------------------------------------------------------------------------------


def test_the_newest_run_is_so_by_its_own_time(tmp_path):
    """Top-1 0.0 became 1.0 after touch."""
    infer(tmp_path, '2026_03_04-05_06_07')
    infer(tmp_path, '2026_03_04-05_06_08', best=2)
    os.utime(tmp_path / '2026_03_04-05_06_07_summary.json')
    done = postprocess(tmp_path)
    assert json.loads(done.stdout)['top1_acc'] == 0
    assert 'of 2 runs, the newest is taken: 2026_03_04-05_06_08' in done.stderr
    infer(tmp_path, 'named')  # today
    assert json.loads(postprocess(tmp_path).stdout)['top1_acc'] == 1
    change(tmp_path / 'named_summary.json', time=None)  # as of ais_bench
    done = postprocess(tmp_path)
    assert done.returncode == 1 and 'named_summary.json: does not say when it was written' in done.stderr
    assert postprocess(tmp_path / 'named').returncode == 0


# ---- what contradicts ------------------------------------------------------------------------------


@pytest.mark.parametrize('option, words', [
    ('--num_videos=3', 'run_summary.json says 4 videos, and --num_videos, or the accuracy JSON, says 3 videos'),
    ('--crops=2', 'takes 3 views a video, and --crops, or the accuracy JSON, says 2 views'),
    ('--num_classes=4', 'run_summary.json notes 5 classes, and --num_classes says 4 classes'),
])
def test_an_option_that_contradicts_is_refused(tmp_path, option, words):
    infer(tmp_path, 'run')
    assert postprocess(tmp_path).returncode == 0
    done = postprocess(tmp_path, option)
    assert done.returncode == 1 and words in done.stderr and not done.stdout


def test_outputs_in_bin_say_how_many_classes_they_have(tmp_path):
    """As ais_bench leaves them: no number of classes, and no digests."""
    infer(tmp_path, 'run')
    change(tmp_path / 'run_summary.json', num_classes=None, outputs_sha256=None)
    assert json.loads(postprocess(tmp_path).stdout)['top1_acc'] == 1
    assert postprocess(tmp_path, '--num_classes=4').returncode == 1
    path = tmp_path / 'run/bin2-2_1_0.bin'
    path.write_bytes(path.read_bytes()[:-12])
    done = postprocess(tmp_path)
    assert done.returncode == 1 and 'bin2-2_1_0.bin: 4 scores in a row, expected 5' in done.stderr


@pytest.mark.parametrize('changes', [
    {'npu_compute_time_list': [1.0] * 4}, {'throughput': 501.0}, {'batchsize': 2}, {'batches_by_device': {'a': 4}},
])
def test_figures_that_were_changed_are_noticed(tmp_path, changes):
    infer(tmp_path, 'run')
    assert read_performance(Run.open(str(tmp_path))).rate == pytest.approx(500)
    change(tmp_path / 'run_summary.json', **changes)
    with pytest.raises(InputError, match='run_summary.json: was changed since the inference'):
        read_performance(Run.open(str(tmp_path)))


@pytest.mark.parametrize('form', [{}, {'percentile(99%)': 9.0}, {'P99': 9.0}])
def test_summaries_of_all_ages_of_ais_bench(tmp_path, form):
    """They have their percentile under two names, or not at all; it is computed."""
    content = {'filesinfo': {}, 'args': ['ais_bench', '--model', 'm.om'], 'npu_compute_time_list': [8.0, 12.0],
               'NPU_compute_time': {'mean': 10.0, **form}, 'throughput': 1600.0}
    (tmp_path / 'run_summary.json').write_text(json.dumps(content))
    run = Run.open(str(tmp_path))
    found = read_performance(run)
    assert (found.batch_size, found.median, run.summary.model) == (16, 10, 'm.om') and found.p99 == pytest.approx(11.96)
