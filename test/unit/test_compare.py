# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_compare.py: good models pass, and each planted fault is found and named with its step. Of two runs: its
statistics, against scipy and by hand; its verdicts; its messages.
"""
import json

import numpy as np
import onnx
import pytest
from conftest import CONFIG, ROOT, call, start
from made_runs import summary, write_config
from onnx import helper, numpy_helper

from r2plus1d import metrics
from r2plus1d.comparison import ModelFile, as_row
from r2plus1d.store import file_digest

SECONDS = 55


def outcome(done):
    """(exit status, report, standard error) of the script."""
    assert 'Traceback' not in done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def compare(dataset, small, *options, models):
    """The outcome of the script on the five test videos."""
    return outcome(start(ROOT / 'r2plus1d_compare.py', '--config', small.config, '--checkpoint', small.checkpoint,
                         '--models', *models, *options, cwd=dataset, check=False))


@pytest.fixture(scope='module')
def uint8(dataset, small):
    path = small.folder / 'r2plus1d_uint8.onnx'
    call('r2plus1d_optimize', '--model', small.sim, '--config', small.config, '--uint8_input', '--output', path,
         cwd=dataset)
    return path


def test_good_models_pass(dataset, small, uint8, bins):
    status, report, text = compare(dataset, small, '--bins', bins, models=[uint8, small.onnx, small.sim])
    assert status == 0 and report['passed'] and report['first_difference'] is None
    assert report['num_videos'] == report['num_test_videos'] == 5
    steps = [(row['step'], row['model']) for row in report['models']]
    assert steps == [('preprocessing', str(bins)), ('export', str(small.onnx)), ('simplification', str(small.sim)),
                     ('uint8 input', str(uint8))]
    for row in report['models'][1:]:
        assert 0 < row['max_abs_difference'] < 1e-4 and row['cosine'] > 0.99999
        assert row['top1_agreement'] == row['top5_agreement'] == 1 and row['first_top1_difference'] is None
        assert row['top1_acc'] == report['top1_acc']
    assert text.count('good') == 4


def test_the_figures_are_those_of_numpy():
    rng = np.random.default_rng(0)
    expected = rng.normal(size=(6, 3, 10)).astype(np.float32)
    found = expected.copy()
    found[2, 1, 4] += 40
    figures = metrics.compare_scores(expected, found)
    assert figures['max_abs_difference'] == pytest.approx(40, rel=1e-5)
    assert figures['max_rel_difference'] == pytest.approx(40 / np.abs(expected).max(), rel=1e-5)
    a, b = expected[2, 1].astype(float), found[2, 1].astype(float)
    assert figures['cosine'] == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-5)
    assert figures['first_top1_difference'] == 2 and figures['top1_agreement'] == pytest.approx(5 / 6)
    assert metrics.compare_scores(expected, expected)['top5_agreement'] == 1


# ---- planted faults ----------------------------------------------------------------------------------


def change_weight(is_it, change):
    """A function of a model, which gives the first weight that IS_IT the values that CHANGE makes of its own."""
    def plant(model):
        weight = next(w for w in model.graph.initializer if is_it(w))
        values = change(numpy_helper.to_array(weight).copy())
        weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), weight.name))
    return plant


def swap_extremes(values):
    """The highest and the lowest of them in each other's place."""
    flat = values.ravel()
    highest, lowest = flat.argmax(), flat.argmin()
    flat[[highest, lowest]] = flat[[lowest, highest]]
    return values


def reverse_crops(model):
    """The crops from right to left."""
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), 'order'))
    for node in graph.node:
        node.input[:] = ['reversed' if name == graph.input[0].name else name for name in node.input]
    graph.node.insert(0, helper.make_node('Gather', [graph.input[0].name, 'order'], ['reversed'], axis=1))


def change_head(model):
    """The last layer of another training."""
    name = model.graph.node[-1].input[1]
    rng = np.random.default_rng(1)
    change_weight(lambda w: w.name == name, lambda values: rng.normal(0, 0.3, values.shape))(model)


swap_weights = change_weight(lambda w: len(w.dims) == 5 and w.dims[0] > 16, swap_extremes)
FAULTS = {
    'a swapped weight': (swap_weights, 'sim'),
    'crops': (reverse_crops, 'sim'),
    'BGR in the first convolution': (change_weight(lambda w: w.dims[1:2] == [3] and len(w.dims) == 5,
                                                   lambda values: values[:, ::-1]), 'sim'),
    'mean': (change_weight(lambda w: w.name == 'normalize.mean',
                           lambda values: values + np.array([0, 5, 0]).reshape(1, 3, 1, 1, 1)), 'uint8'),
    'checkpoint': (change_head, 'sim'),
}


@pytest.fixture
def planted(tmp_path):
    """A function of a model's file and a fault: the file of the model with this fault."""
    def write(source, plant):
        model = onnx.load(source)
        plant(model)
        onnx.save(model, tmp_path / 'planted.onnx')
        return tmp_path / 'planted.onnx'
    return write


@pytest.mark.parametrize('plant, kind', FAULTS.values(), ids=FAULTS)
def test_planted_faults_are_found(dataset, small, uint8, planted, plant, kind):
    path = planted(uint8 if kind == 'uint8' else small.sim, plant)
    status, report, text = compare(dataset, small, '--videos=2', models=[small.onnx, path])
    step = 'uint8 input' if kind == 'uint8' else 'simplification'
    assert status == 1 and not report['passed']
    assert report['first_difference']['step'] == step and report['first_difference']['model'] == str(path)
    assert f'{path}: ' in text.splitlines()[-1] and step in text.splitlines()[-1]


def test_a_fault_of_the_export_is_named_so(dataset, small, planted):
    models = [planted(small.onnx, swap_weights), small.sim]
    status, report, _ = compare(dataset, small, '--videos=2', models=models)
    assert status == 1 and [row['passed'] for row in report['models']] == [False, True]
    assert report['first_difference']['step'] == 'export'


def test_the_first_video_with_another_class_is_named(dataset, small, planted):
    _, report, _ = compare(dataset, small, models=[planted(small.sim, change_head)])
    row, = report['models']
    video = row['first_top1_difference']
    listed = (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    name, frames, _ = listed[video['number']].split()
    assert video['video'].endswith(name) and row['top1_agreement'] < 1
    assert len(video['frames']) == 8 and max(video['frames']) <= int(frames)


@pytest.mark.parametrize('axis', [0, 1])
def test_bins_that_were_made_otherwise(dataset, small, bins, tmp_path, axis):
    """Crops in another order, BGR for RGB."""
    for path in bins.glob('*.bin'):
        sample = np.fromfile(path, np.float32).reshape(3, 3, 8, 256, 256)
        np.flip(sample, axis).tofile(tmp_path / path.name)
    status, report, text = compare(dataset, small, '--bins', tmp_path, models=[small.sim])
    assert status == 1 and report['first_difference']['step'] == 'preprocessing'
    assert 'preprocessing' in text.splitlines()[-1]
    assert report['models'][1]['passed']


@pytest.mark.parametrize('options, status, words', [
    (['--models', 'no.onnx'], 2, 'no.onnx: no such file'),
    (['--models', '{small.config}'], 2, 'expected an .onnx or an .om'),
    (['--models', '{small.sim}', '--checkpoint', 'no.pth'], 2, 'no.pth: no such file'),
    (['--models', '{small.sim}', '--checkpoint', '{small.config}'], 1, 'not a checkpoint'),
    (['--models', '{small.sim}', '--cfg-options', 'model.cls_head.num_classes=101'], 1,
     'sim.onnx: has 400 classes, and the head in'),
])
def test_errors(dataset, small, options, status, words):
    options = [option.format(small=small) for option in options]
    done = call('r2plus1d_compare', '--config', small.config, '--checkpoint', small.checkpoint, *options, cwd=dataset,
                check=False)
    assert done.returncode == status and not done.stdout
    assert words in done.stderr.splitlines()[-1] and 'Traceback' not in done.stderr


# ---- two runs: statistics ----------------------------------------------------------------------------


@pytest.mark.parametrize('only_first, only_second, expected', [
    (0, 0, 1),
    (2, 0, 0.5),  # two tosses of a coin, both ways: 2 / 4
    (10, 0, 2 / 1024),
    (1, 4, 2 * (1 + 5) / 32),
    (3, 3, 1),
    (121, 59, 4.434449e-06),  # the example of the documentation of statsmodels' mcnemar()
])
def test_p_values_that_are_known(only_first, only_second, expected):
    assert metrics.mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-6)
    assert metrics.mcnemar_p_value(only_second, only_first) == metrics.mcnemar_p_value(only_first, only_second)


def test_statistics_against_scipy():
    stats = pytest.importorskip('scipy.stats', reason='scipy comes with NNCF, which is optional')
    for first, second in ((1, 0), (7, 2), (30, 45), (200, 150)):
        expected = stats.binomtest(first, first + second, 0.5).pvalue
        assert metrics.mcnemar_p_value(first, second) == pytest.approx(expected)
    for lost, videos in ((0, 4), (0, 252), (2, 252), (19, 3783), (4, 4)):
        expected = stats.beta.ppf(0.95, lost + 1, videos - lost) if lost < videos else 1
        assert metrics.loss_bound(lost, videos) == pytest.approx(expected, abs=1e-9)
    for least, trials, probability in ((1, 10, 0.1), (30, 252, 1 / 12), (3000, 3783, 0.8), (0, 5, 0.5), (5, 5, 1.0)):
        assert metrics.binomial_tail(least, trials, probability) == pytest.approx(
            stats.binom.sf(least - 1, trials, probability), rel=1e-9)


def test_how_many_videos_are_needed():
    """The smallest number of tosses in which a coin of this bias shows its rare side at 95%, found by trying."""
    for max_drop in (0.001, 0.005, 0.01, 0.02, 0.5):
        tried = next(n for n in range(1, 10000) if (1 - max_drop)**n <= 0.05)
        assert metrics.least_videos(max_drop) == tried
        assert metrics.loss_bound(0, tried) <= max_drop < metrics.loss_bound(0, tried - 1) or tried == 1
    assert metrics.least_videos(0.005) == 598 and metrics.least_videos(1) == 1 and metrics.least_videos(0) == np.inf


def labels_of(count):
    return np.arange(count) % 12


def wrong_on(labels, videos):
    """Predictions that are right but on the first VIDEOS."""
    predicted = labels.copy()
    predicted[:videos] = (predicted[:videos] + 1) % 12
    return predicted


@pytest.mark.parametrize('videos, wrong_first, wrong_second, max_drop, words', [
    (1200, 12, 12, 0.005, None),
    (1200, 12, 18, 0.005, None),  # 6 of 1200 are 0.005
    (1200, 12, 19, 0.005, 'top-1 fell from 0.9900 to 0.9842, by more than 0.005'),
    (1200, 100, 0, 0.005, None),  # it rose
    (597, 0, 0, 0.005, '597 videos are too few for a drop of 0.005: even if none of them is lost, 598 are needed'),
    (598, 0, 0, 0.005, None),
    (4, 0, 0, 0.005, '4 videos are too few'),
    (1200, 1200, 1200, 0.005, 'no better than a guess: its top-1 is 0.0000'),
    (1200, 1100, 1100, 0.005, 'no better than a guess: its top-1 is 0.0833, and the most frequent class alone gives'),
    (1200, 1200, 0, 0.005, 'no better than a guess'),  # it rose, from nothing
    (1200, 0, 0, 0, 'no number of videos proves'),
    (2, 0, 2, 1, 'no better than a guess'),  # of two classes: a guess is right in both with a probability of a quarter
])
def test_verdicts(videos, wrong_first, wrong_second, max_drop, words):
    labels = labels_of(videos)
    ways = wrong_on(labels, wrong_first), wrong_on(labels, wrong_second)
    found = vars(metrics.judge_pair(labels, *ways, metrics.Gate(max_drop)))
    assert found['top1_acc_first'] == pytest.approx(1 - wrong_first / videos)
    assert found['top1_drop'] == pytest.approx((wrong_second - wrong_first) / videos)
    assert found['only_first_right'] == max(wrong_second - wrong_first, 0)
    if words is None:
        assert found['rejected'] is None and found['proves_nothing'] is None
    else:
        assert words in found['rejected']
        # What is unproven may be allowed; a larger drop may not.
        allowed = metrics.judge_pair(labels, *ways, metrics.Gate(max_drop, allow_unproven=True)).rejected
        assert bool(allowed) == ('fell' in words)


# ---- two runs: the script --------------------------------------------------------------------------------------


def make_list(folder, labels):
    """A config whose test list has these labels, and no frames."""
    lines = [f'c{label}/v_c{label}_g{i:04} 64 {label}\n' for i, label in enumerate(labels)]
    (folder / 'list.txt').write_text(''.join(lines))
    (folder / 'classes.txt').write_text(''.join(f'{i + 1} Class{i}\n' for i in range(12)))
    return write_config(folder)


def make_run(folder, labels, predicted, views, rate=10, **more):
    """A run as r2plus1d_infer.py leaves it, in which each video is given its predicted class."""
    (folder / 'run').mkdir(parents=True)
    files = {}
    for i, (label, best) in enumerate(zip(labels, predicted)):
        output = f'run/bin{i}-{i}_{label}_0.npy'
        np.save(folder / output, np.eye(12, dtype=np.float32)[[best] * views])
        files[str(i)] = {'infiles': [f'bins/bin{i}-{i}_{label}.bin'], 'outfiles': [output]}
    summary(folder / 'run_summary.json', 1, [1000 / rate] * len(labels), files, num_videos=len(labels),
            sample_shape=[views, 3, 8, 256, 256], **more)
    return folder


def compare_runs(*options):
    return outcome(call('r2plus1d_compare', *options, check=False))


def test_two_runs(tmp_path):
    labels = labels_of(600)
    config = make_list(tmp_path, labels)
    three = make_run(tmp_path / 'three', labels, wrong_on(labels, 3), 3)
    one = make_run(tmp_path / 'one', labels, wrong_on(labels, 5), 1, rate=23)
    options = ['--config', config, '--runs', three, one, '--classes', tmp_path / 'classes.txt']
    status, report, text = compare_runs(*options)
    assert status == 0 and report['rejected'] is None and report['views'] == [3, 1]
    assert (report['only_first_right'], report['only_second_right'], report['p_value']) == (2, 0, 0.5)
    assert report['samples_per_second'] == [pytest.approx(10), pytest.approx(23)]
    assert [row['video'].split('/')[-1] for row in report['differences']] == ['v_c3_g0003', 'v_c4_g0004']
    assert report['differences'][0] == dict(report['differences'][0], label='Class3', first='Class3', second='Class4')
    assert 'v_c3_g0003, Class3: Class3, then Class4' in text
    assert f'{three}: 3 views a video, top-1 0.9950, 10 samples/s' in text and '1 view a video, top-1 0.9917' in text
    assert "McNemar's exact p-value is 0.5" in text
    status, report, text = compare_runs(*options, '--max_drop=0.003')
    assert status == 1 and 'top-1 fell from 0.9950 to 0.9917, by more than 0.003' in text.splitlines()[-1]
    status, report, text = compare_runs(*options, '--max_drop=0.0049')
    assert status == 1 and '600 videos are too few' in text.splitlines()[-1] and '--allow_unproven' in text
    status, report, text = compare_runs(*options, '--max_drop=0.0049', '--allow_unproven')
    assert status == 0 and 'proves nothing: 600 videos are too few' in text


LABELS = labels_of(24)


@pytest.mark.parametrize('listed, second, views, words', [
    (LABELS, LABELS[::-1], 1, 'are of different lists of videos'),
    (LABELS[::-1], LABELS, 1, 'list.txt: its labels are not those of'),
    (LABELS, LABELS[:23], 1, '1 of 24 videos are missing'),
    (LABELS, LABELS, 3, 'expected 1 rows'),  # of one video
])
def test_runs_that_do_not_fit(tmp_path, listed, second, views, words):
    config = make_list(tmp_path, listed)
    runs = make_run(tmp_path / 'first', LABELS, LABELS, 3), make_run(tmp_path / 'second', second, second, 1)
    if views == 3:
        np.save(tmp_path / 'second/run/bin5-5_5_0.npy', np.zeros((3, 12), np.float32))
    status, report, text = compare_runs('--config', config, '--runs', *runs)
    assert status == 1 and report is None and words in text.splitlines()[-1]


@pytest.mark.parametrize('first, second, words', [
    ('this', 'this', None),
    ('this', 'other', 'are of different lists of videos'),
    ('other', 'other', 'list.txt: is not the list of'),
    ('this', 'none', 'none/run_summary.json: not checked: whether both runs are of the same videos'),
])
def test_two_runs_of_one_list(tmp_path, first, second, words):
    """The digests of their lists say it, not the order of their labels; where one says nothing, that is said."""
    config = make_list(tmp_path, LABELS)
    digests = {'this': file_digest(str(tmp_path / 'list.txt')), 'other': 'ab' * 32, 'none': None}
    runs = {name: make_run(tmp_path / name, LABELS, LABELS, 3, list_sha256=digest) for name, digest in digests.items()}
    status, report, text = compare_runs('--config', config, '--allow_unproven', '--max_drop=1', '--runs', runs[first],
                                   runs[second])
    if 'other' in (first, second):
        assert status == 1 and report is None and words in text.splitlines()[-1]
    else:
        assert status == 0 and (words in text if words else 'not checked' not in text)


@pytest.mark.parametrize('options, words', [
    (['--runs', 'a', 'b', '--models', 'm.onnx'], '--runs goes without --models'),
    ([], 'give --checkpoint and --models'),
    (['--runs', 'a', 'b', '--max_drop', '2'], '2 is not a fraction'),
    (['--runs', 'a', 'b', '--classes', 'no'], 'no: no such file'),
])
def test_arguments(tmp_path, options, words):
    done = call('r2plus1d_compare', '--config', CONFIG, *options, cwd=tmp_path, check=False)
    assert done.returncode == 2 and words in done.stderr.splitlines()[-1]


def test_probabilities_are_averaged_as_they_are():
    """A second softmax would make nearly equal numbers of them."""
    scores = np.array([[[4, 0, 3.9], [0, 9, 8.9]]])
    averaged = metrics.average_crops(metrics.softmax(scores), 'prob')
    assert np.array_equal(averaged, metrics.softmax(scores).mean(axis=1))
    assert np.allclose(averaged, metrics.average_crops(scores, 'prob'))


def test_the_report_is_strict_json():
    """NaN and Infinity are no JSON: a figure that is not finite is null."""
    figures = {'max_abs_difference': float('nan'), 'max_rel_difference': float('inf'), 'cosine': 1.0, 'name': None}
    row = as_row(ModelFile('m.onnx', 'export', 'f32'), 1e-4, False, figures)
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert [row[key] for key in figures] == [None, None, 1.0, None]
