# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Files of the user's under each name that a script derives: refused by name, and nothing of them changes."""
import os
import shutil

import pytest
from conftest import ROOT, call, run, start

from r2plus1d.run import InputError
from r2plus1d.store import claim

# by script: its options, and the names that it derives
SCRIPTS = {
    'preprocess': ('--config {config} --output_path mine', ['mine', 'mine.part', 'mine.old', 'mine.lock']),
    'infer': ('--model {model} --input {bins} --output . --output_dirname mine',
              ['mine', 'mine.part', 'mine.old', 'mine.lock', 'mine_summary.json', 'mine_summary.json.new',
               'mine_summary.json.new.part']),
    'optimize': ('--model {model} --config {config} --uint8_input --output mine.onnx',
                 ['mine.onnx', 'mine.onnx.part', 'mine.onnx.lock']),
    'predict': ('--model {model} --config {config} --classes classes.txt --video {videos}/YoYo --output mine.csv',
                ['mine.csv', 'mine.csv.part', 'mine.csv.lock', 'mine.csv.rows.jsonl', 'mine.csv.settings.json',
                 'mine.csv.settings.json.part']),
    'dataset': ('--videos {videos} --output mine', ['mine', 'mine.part', 'mine.old', 'mine.lock']),
}
KINDS = ['a file', 'a folder', 'a link']


def place(path, kind):
    """Something of the user's under a name."""
    if kind == 'a pipe':
        os.mkfifo(path)
    elif kind == 'a link to nowhere':
        path.symlink_to('nowhere')
    elif kind == 'a folder':
        path.mkdir()
        (path / 'clip_0001.npy').write_text('mine')
    else:
        path.write_text('mine')
        if kind == 'a link':
            path.symlink_to(path.rename(path.with_name('target')))


def snapshot(folder):
    """{path: content} of all below a folder; links, pipes and folders too."""
    return {path: (path.is_symlink(), path.is_dir(), path.read_bytes() if path.is_file() else '')
            for path in sorted(folder.rglob('*'))}


@pytest.mark.parametrize('script, name, kind', [
    (script, name, KINDS[i % 3]) for script, (_, names) in SCRIPTS.items() for i, name in enumerate(names)])
def test_what_is_not_ours_is_refused(dataset, small, bins, tmp_path, script, name, kind):
    (tmp_path / 'classes.txt').write_text(''.join(f'{i} c{i}\n' for i in range(1, 401)))
    place(tmp_path / name, kind)
    before = snapshot(tmp_path)
    (tmp_path / 'data').symlink_to(dataset / 'data')
    options = SCRIPTS[script][0].format(config=small.config, model=small.sim, bins=bins,
                                        videos=dataset / 'data/ucf101/videos').split()
    if script in ('infer', 'predict'):  # they load an engine first
        done = start(ROOT / f'r2plus1d_{script}.py', *options, cwd=tmp_path, check=False)
    else:
        done = call(f'r2plus1d_{script}', *options, cwd=tmp_path, check=False)
    (tmp_path / 'data').unlink()
    assert snapshot(tmp_path) == before, done.stderr
    assert done.returncode in (1, 2) and 'Traceback' not in done.stderr
    assert name.replace('.rows.jsonl', '') in done.stderr.splitlines()[-1]


@pytest.mark.parametrize('kind', [*KINDS, 'a link to nowhere', 'a pipe'])
@pytest.mark.parametrize('ending', ['.part', '.old', '.lock'])
def test_beside_an_output(tmp_path, ending, kind):
    """By the one function that all outputs pass."""
    path = tmp_path / f'f{ending}'
    place(path, kind)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=path.name), claim(str(tmp_path / 'f')):
        pass
    assert snapshot(tmp_path) == before


def test_a_lock_ends_with_its_process(tmp_path, monkeypatch):
    """What a killed run has left is no obstacle. Who has the lock is named, on another host too."""
    monkeypatch.setattr('r2plus1d.store.MOMENT', 0)
    (tmp_path / 'f.part').mkdir()
    (tmp_path / 'f.lock').write_text('r2plus1d, process 1 on elsewhere\n')
    with claim(str(tmp_path / 'f')):
        os.rmdir(tmp_path / 'f.part')
        (tmp_path / 'f.lock').write_text('r2plus1d, process 77 on elsewhere\n')
        with pytest.raises(InputError, match='process 77 on elsewhere'), claim(str(tmp_path / 'f')):
            pass
    assert not os.listdir(tmp_path)


def test_places_that_are_no_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'bins').mkdir()
    for path, inputs in (('bins', ['bins']), ('bins/out', ['bins']), ('bins', ['bins/a.bin']), ('.', []), ('..', []),
                         ('/proc', [])):
        with pytest.raises(InputError), claim(path, inputs=inputs):
            pass
    assert os.listdir(tmp_path) == ['bins']


def test_a_link_leads_to_the_place_of_work(tmp_path):
    """As to a folder on a large disk: the link stays, and the work is done where it leads."""
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'link').symlink_to(tmp_path / 'disk/bins')
    with claim(str(tmp_path / 'link')) as path:
        assert path == str(tmp_path / 'disk/bins') and os.listdir(tmp_path / 'disk') == ['bins.lock']
    assert (tmp_path / 'link').is_symlink()


# by shell script: what it is started with, and the names in its work folder that it replaces or removes
SHELL_SCRIPTS = {
    'pth2om.sh': (['--checkpoint', '{checkpoint}', '--compare_videos', '0'],
                  ['r2plus1d.onnx', 'r2plus1d_sim.onnx', 'compare.json']),
    'eval_acc_perf.sh': (['--batch_sizes', '1'],
                         ['predata_bts1', 'result_bs1.json', 'evaluation_bs1.json',
                          'predata_bts1_bs1_out/2026_01_01-00_00_00_summary.json']),
}


@pytest.mark.parametrize('script, name', [(script, name) for script, (_, names) in SHELL_SCRIPTS.items()
                                          for name in names])
def test_what_is_not_a_shell_scripts_is_refused(dataset, small, tmp_path, script, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    place(tmp_path / name, 'a folder' if name == 'predata_bts1' else 'a file')
    if name != 'r2plus1d_sim.onnx' and script == 'eval_acc_perf.sh':
        shutil.copy(small.sim, tmp_path)
    before = snapshot(tmp_path)
    options = [option.format(checkpoint=small.checkpoint) for option in SHELL_SCRIPTS[script][0]]
    done = run('bash', ROOT / 'test' / script, '--config', small.config, '--work_dir', tmp_path, *options, cwd=dataset,
               check=False)
    after = {path: content for path, content in snapshot(tmp_path).items() if path in before}
    assert after == before and done.returncode == 1, done.stdout + done.stderr
    assert f'{tmp_path / name}: ' in done.stderr and 'Traceback' not in done.stderr
