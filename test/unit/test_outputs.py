# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What inference hands on: whose files are replaced, which run is taken, what contradicts or is damaged or missing."""
import json
import os
import shutil
import stat

import numpy as np
import pytest
from conftest import call, fails, refusal

from r2plus1d.bins import BinsInfo
from r2plus1d.output_files import OutputWriter, remove_runs
from r2plus1d.outputs import Run
from r2plus1d.results import read_performance
from r2plus1d.summary import RunFacts, make_summary

ENGINE = {'name': 'none', 'version': '1', 'precision': 'f32', 'cpu': 'none', 'threads': 2}
SHAPE = [3, 3, 8, 16, 16]  # of a sample


def infer(out, dirname, best=1, videos=4, expected=None, outfmt='BIN'):
    """A run of VIDEOS of label 1, all of which are given the class BEST of 5. EXPECTED: how many there should be."""
    scores = np.zeros((videos, 3, 5), np.float32)
    scores[:, :, best] = 1 + np.arange(videos)[:, None]
    facts = RunFacts({'device0': [2.0] * videos}, 1, ENGINE, expected or videos, {}, SHAPE)
    with OutputWriter(str(out), dirname, outfmt) as outputs:
        for i in range(videos):
            outputs.add(i, [f'bins/bin{i}-{i}_1.bin'], [scores[i]])
        outputs.finish(make_summary(facts))


def write_info(bins, videos):
    """The info.json of the bins of so many VIDEOS of label 1."""
    digests = {f'bin{i}-{i}_1.bin': f'{i:032}' for i in range(videos)}
    info = BinsInfo('/config.py', '0' * 64, '/list.txt', '1' * 64, 'float32', SHAPE, 1, videos, False,
                    [[1, 2]] * videos, digests)
    bins.mkdir(parents=True)
    (bins / 'info.json').write_text(json.dumps(info.to_json()))


@pytest.fixture
def out(tmp_path):
    """The folder of a run of five videos, in text, beside its bins' info.json."""
    write_info(tmp_path / 'bins', 5)
    infer(tmp_path / 'out', 'run', videos=5, outfmt='TXT')
    return tmp_path / 'out'


def postprocess(path, *options, **more):
    return call('r2plus1d_postprocess', f'--result_path={path}', *options, check=False, **more)


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
    with refusal(words):
        infer(tmp_path, 'feat')
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    assert found == made


def test_a_link_is_not_followed(tmp_path):
    infer(tmp_path, 'run')
    os.rename(tmp_path / 'run', tmp_path / 'elsewhere')
    os.symlink('elsewhere', tmp_path / 'run')
    with refusal('run: exists and is no folder'):
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
        with refusal(f'its output would be a_0.bin, as that of {names[0]}', names[1]):
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
        with refusal(words):
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
    fails(postprocess(tmp_path), 1, 'named_summary.json: does not say when it was written')
    assert postprocess(tmp_path / 'named').returncode == 0


def test_places_of_a_run(tmp_path, out):
    good = postprocess(out)
    assert good.returncode == 0
    for path in (out / 'run', out / 'run_summary.json', f'{out}/'):
        assert postprocess(path).stdout == good.stdout
    (tmp_path / 'empty').mkdir()
    for path, status, words, *options in (
            (tmp_path / 'no', 1, ['no such file']), (tmp_path / 'empty', 1, ['empty', '_summary.json']),
            (out, 2, ['--crops'], '--crops=0'), (out, 2, ['none'], '--average_clips=none')):
        fails(postprocess(path, *options), status, *words)

    # ais_infer of 2022 put the summary into the folder of the outputs.
    old = out / 'run/sumary.json'
    assert postprocess(old).stdout == good.stdout
    os.rename(out / 'run_summary.json', old)
    for path in (out, out / 'run', old):
        fails(postprocess(path), 1, f'mv {old} {out}/run_summary.json')


def test_two_devices_are_one_run(tmp_path, out):
    files = json.loads((out / 'run_summary.json').read_text())['filesinfo']
    run = tmp_path / 'npus/time'
    for device in '01':
        shutil.copytree(out / 'run', run / f'device{device}')
        half = {key: info for key, info in files.items() if int(key) % 2 == int(device)}
        (run / f'device{device}_summary.json').write_text(json.dumps({'filesinfo': half}))
    assert postprocess(run.parent).stdout == postprocess(out).stdout == postprocess(run).stdout
    (run / 'device1_summary.json').write_text(json.dumps({'filesinfo': files}))
    fails(postprocess(run), 1, 'twice', '--divide_input 1')
    (run / 'device1_summary.json').unlink()
    fails(postprocess(run), 1, 'device0_summary.json', 'missing')


def test_missing_videos_are_noticed_wherever_it_is_started(tmp_path):
    """The last videos of the list are missing: only their number in the summary or in info.json tells that."""
    write_info(tmp_path / 'data/bins', 5)
    infer(tmp_path / 'out', 'run', videos=3, expected=5)
    complaint = 1, 'run_summary.json', '2 of 5 videos are missing'
    fails(postprocess(tmp_path / 'out'), *complaint)
    done = json.loads(postprocess(tmp_path / 'out', '--allow_missing').stdout)
    assert (done['num_videos'], done['num_expected']) == (3, 5)

    change(tmp_path / 'out/run_summary.json', num_videos=None)  # as ais_bench writes it
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    fails(postprocess(tmp_path / 'out', cwd=tmp_path / 'data'), *complaint)  # where the inference was started
    fails(postprocess(tmp_path / 'out', cwd=elsewhere), 1, 'run_summary.json', '--num_videos')
    fails(postprocess(tmp_path / 'out', '--num_videos=5', cwd=elsewhere), *complaint)
    found = postprocess(tmp_path / 'out', '--num_videos=3', cwd=elsewhere)
    assert json.loads(found.stdout)['num_videos'] == 3
    os.rename(tmp_path / 'data/bins', tmp_path / 'bins')
    fails(postprocess(tmp_path / 'out', cwd=elsewhere), *complaint)  # bins beside the results


# ---- what contradicts ------------------------------------------------------------------------------


@pytest.mark.parametrize('option, words', [
    ('--num_videos=3', 'says 5 videos, and --num_videos, or the accuracy JSON, says 3 videos'),
    ('--crops=1', '3 views a video, and --crops, or the accuracy JSON, says 1 view'),
    ('--crops=2', '3 views a video, and --crops, or the accuracy JSON, says 2 views'),
    ('--crops=6', '3 views a video, and --crops, or the accuracy JSON, says 6 views'),
])
def test_an_option_that_contradicts_is_refused(tmp_path, out, option, words):
    fails(postprocess(out, option), 1, words, 'bins/info.json')
    (tmp_path / 'bins/info.json').unlink()
    fails(postprocess(out, option), 1, words, 'run_summary.json')


def test_another_number_of_classes_is_refused(out):
    fails(postprocess(out, '--num_classes=4'), 1, 'run_summary.json notes 5 classes, and --num_classes says 4 classes')
    change(out / 'run_summary.json', num_classes=None)  # as ais_bench leaves it
    fails(postprocess(out, '--num_classes=4'), 1, 'bin0-0_1_0.txt: 5 scores in a row, expected 4')


@pytest.mark.parametrize('changes', [
    {'npu_compute_time_list': [1.0] * 4}, {'throughput': 501.0}, {'batchsize': 2}, {'batches_by_device': {'a': 4}},
])
def test_figures_that_were_changed_are_noticed(tmp_path, changes):
    infer(tmp_path, 'run')
    assert read_performance(Run.open(str(tmp_path))).rate == pytest.approx(500)
    change(tmp_path / 'run_summary.json', **changes)
    with refusal('was changed since the inference', tmp_path / 'run_summary.json'):
        read_performance(Run.open(str(tmp_path)))


# ---- what was changed or damaged -----------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['a digit', 'another digest', 'no digest of one', 'a swap'])
def test_outputs_that_were_changed_are_noticed(out, kind):
    """Our own summaries note a digest of each output, so that one digit of a text is not changed without a word."""
    first, second, *_ = sorted((out / 'run').iterdir())
    digests = json.loads((out / 'run_summary.json').read_text())['outputs_sha256']
    before = second.read_text()
    if kind == 'a digit':
        second.write_text(before[:-3] + '1' + before[-2:])  # of the last 0.000000
    elif kind == 'a swap':
        second.write_text(first.read_text())
        first.write_text(before)
    elif kind == 'another digest':
        digests[second.name] = '0' * 64
    else:
        del digests[second.name]
    change(out / 'run_summary.json', outputs_sha256=digests)
    fails(postprocess(out), 1, (first if kind == 'a swap' else second).name, 'was changed since the inference')


def test_outputs_without_digests_are_taken_and_that_is_said(out):
    """As ais_bench leaves them."""
    words = 'not checked: whether the outputs were changed since the inference'
    with_digests = postprocess(out)
    change(out / 'run_summary.json', outputs_sha256=None)
    done = postprocess(out)
    assert done.stdout == with_digests.stdout and words not in with_digests.stderr and done.stderr.count(words) == 1


def text(content):
    return lambda path: path.write_text(content)


def array(*shape_and_dtype):
    return lambda path: np.save(path, np.zeros(*shape_and_dtype))


def npz(path):
    with open(path, 'wb') as f:
        np.savez(f, np.zeros((3, 5)))


ROW = 5 * '0.500000 ' + '\n'
# name: (the ending of an output of 3 x 5 scores, what is done to it, words of the message)
DAMAGE = {
    'cut by one byte': ('TXT', text((3 * ROW)[:-1]), 'no end'),
    'cut by three bytes': ('TXT', text((3 * ROW)[:-3]), 'no end'),
    'a dot lost': ('TXT', text((3 * ROW).replace('0.5', '05', 1)), 'line 1'),
    'a digit lost': ('TXT', text((3 * ROW).replace('0.500000', '0.50000', 1)), 'line 1'),
    'a minus in the middle': ('TXT', text((3 * ROW).replace('0.5', '0-5', 1)), 'line 1'),
    'a word': ('TXT', text('x ' + 3 * ROW), 'line 1'),
    'not a number': ('TXT', text((3 * ROW).replace('0.500000', 'nan', 1)), 'not finite'),
    'a line lost': ('TXT', text(2 * ROW), '2 rows, expected 3'),
    'three rows too many': ('TXT', text(6 * ROW), '6 rows, expected 3'),
    'another width': ('TXT', text(3 * ROW.replace('0.500000 ', '', 1)), '4 scores in a row, expected 5'),
    'binary': ('TXT', lambda path: path.write_bytes(bytes(range(256))), 'cannot be read'),
    'empty': ('TXT', text(''), 'is empty'),
    'missing': ('TXT', os.unlink, 'cannot be read'),
    'complex': ('NPY', array((3, 5), complex), 'complex'),
    'bool': ('NPY', array((3, 5), bool), 'bool'),
    'words': ('NPY', array((3, 5), 'U1'), 'cannot be read'),
    'dates': ('NPY', array((3, 5), 'datetime64[s]'), 'datetime64'),
    'structures': ('NPY', array((3, 5), [('a', float)]), 'cannot be read'),
    'transposed': ('NPY', array((5, 3), np.float32), '5 rows, expected 3'),
    'flat': ('NPY', array(15, np.float32), 'expected rows of scores'),
    'objects': ('NPY', array((3, 5), object), 'cannot be read'),
    'nothing': ('NPY', array((0, 5), np.float32), 'expected rows of scores'),
    'npz': ('NPY', npz, 'several arrays'),
    'three numbers lost': ('BIN', lambda path: os.truncate(path, 48), '4 scores in a row, expected 5'),
}


@pytest.mark.parametrize('outfmt, damage, words', DAMAGE.values(), ids=DAMAGE)
def test_outputs_that_are_not_whole_are_refused(tmp_path, outfmt, damage, words):
    """As ais_bench leaves them: no digests, and no number of classes."""
    infer(tmp_path, 'run', outfmt=outfmt)
    change(tmp_path / 'run_summary.json', num_classes=None, outputs_sha256=None)
    assert json.loads(postprocess(tmp_path).stdout)['top1_acc'] == 1
    output = sorted((tmp_path / 'run').iterdir())[-1]
    damage(output)
    fails(postprocess(tmp_path), 1, output.name, words)


DAMAGED_SUMMARIES = [
    '', '{', '[]', 'null', '5', '"x"', '{}', '\x00\x01', '[' * 100000, '{"filesinfo": ' + '1' * 5000 + '}',
    *('{"filesinfo": %s}' % text for text in ('[]', 'null', '"x"', '5', '{}', '{"0": []}', '{"0": null}')),
    *('{"filesinfo": {"0": {"infiles": %s, "outfiles": %s}}}' % texts for texts in (
        ('[]', '[]'), ('null', 'null'), ('[5]', '[5]'), ('5', '["x"]'), ('["bin0-99999999999999_0.bin"]', '["x"]'),
        ('["bin99999999999999-99999999999999_0.bin"]', '["x"]'))),
]


@pytest.mark.parametrize('number', range(len(DAMAGED_SUMMARIES)))
def test_damaged_summaries_are_refused(tmp_path, number):
    (tmp_path / 'run_summary.json').write_text(DAMAGED_SUMMARIES[number])
    fails(postprocess(tmp_path, '--num_videos=5'), 1, 'run_summary.json')


@pytest.mark.parametrize('form', [{}, {'percentile(99%)': 9.0}, {'P99': 9.0}])
def test_summaries_of_all_ages_of_ais_bench(tmp_path, form):
    """They have their percentile under two names, or not at all; it is computed."""
    content = {'filesinfo': {}, 'args': ['ais_bench', '-m', 'a', '--model=m.om'], 'npu_compute_time_list': [8.0, 12.0],
               'NPU_compute_time': {'mean': 10.0, **form}, 'throughput': 1600.0}
    (tmp_path / 'run_summary.json').write_text(json.dumps(content))
    run = Run.open(str(tmp_path))
    found = read_performance(run)
    assert (found.batch_size, found.median, run.summary.model) == (16, 10, 'm.om') and found.p99 == pytest.approx(11.96)
