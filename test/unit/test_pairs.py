# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The gate for whoever takes one way for another: its statistics, against scipy and by hand; verdicts; messages."""
import json
import math

import numpy as np
import pytest
from conftest import CONFIG, call

from r2plus1d.metrics import average_crops, softmax
from r2plus1d.store import file_digest

SECONDS = 15


# ---- statistics --------------------------------------------------------------------------------------


@pytest.mark.parametrize('only_first, only_second, expected', [
    (0, 0, 1),
    (2, 0, 0.5),  # two tosses of a coin, both ways: 2 / 4
    (10, 0, 2 / 1024),
    (1, 4, 2 * (1 + 5) / 32),
    (3, 3, 1),
    (121, 59, 4.434449e-06),  # the example of the documentation of statsmodels' mcnemar()
])
def test_p_values_that_are_known(only_first, only_second, expected):
    from r2plus1d.metrics import mcnemar_p_value
    assert mcnemar_p_value(only_first, only_second) == pytest.approx(expected, rel=1e-6)
    assert mcnemar_p_value(only_second, only_first) == mcnemar_p_value(only_first, only_second)


def test_statistics_against_scipy():
    from r2plus1d.metrics import binomial_tail, loss_bound, mcnemar_p_value
    stats = pytest.importorskip('scipy.stats', reason='scipy comes with NNCF, which is optional')
    for first, second in ((1, 0), (7, 2), (30, 45), (200, 150)):
        assert mcnemar_p_value(first, second) == pytest.approx(stats.binomtest(first, first + second, 0.5).pvalue)
    for lost, videos in ((0, 4), (0, 252), (2, 252), (19, 3783), (4, 4)):
        expected = stats.beta.ppf(0.95, lost + 1, videos - lost) if lost < videos else 1
        assert loss_bound(lost, videos) == pytest.approx(expected, abs=1e-9)
    for least, trials, probability in ((1, 10, 0.1), (30, 252, 1 / 12), (3000, 3783, 0.8), (0, 5, 0.5), (5, 5, 1.0)):
        assert binomial_tail(least, trials, probability) == pytest.approx(
            stats.binom.sf(least - 1, trials, probability), rel=1e-9)


def test_how_many_videos_are_needed():
    """The smallest number of tosses in which a coin of this bias shows its rare side at 95%, found by trying."""
    from r2plus1d.metrics import least_videos, loss_bound
    for max_drop in (0.001, 0.005, 0.01, 0.02, 0.5):
        tried = next(n for n in range(1, 10000) if (1 - max_drop)**n <= 0.05)
        assert least_videos(max_drop) == tried
        assert loss_bound(0, tried) <= max_drop < loss_bound(0, tried - 1) or tried == 1
    assert least_videos(0.005) == 598 and least_videos(1) == 1 and math.isinf(least_videos(0))


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
    from r2plus1d.metrics import Gate, judge_pair
    labels = labels_of(videos)
    ways = wrong_on(labels, wrong_first), wrong_on(labels, wrong_second)
    found = vars(judge_pair(labels, *ways, Gate(max_drop)))
    assert found['top1_acc_first'] == pytest.approx(1 - wrong_first / videos)
    assert found['top1_drop'] == pytest.approx((wrong_second - wrong_first) / videos)
    assert found['only_first_right'] == max(wrong_second - wrong_first, 0)
    if words is None:
        assert found['rejected'] is None and found['proves_nothing'] is None
    else:
        assert words in found['rejected']
        # What is unproven may be allowed; a larger drop may not.
        allowed = judge_pair(labels, *ways, Gate(max_drop, allow_unproven=True)).rejected
        assert bool(allowed) == ('fell' in words)


# ---- the script --------------------------------------------------------------------------------------


def make_list(folder, labels):
    """A config whose test list has these labels, and no frames."""
    lines = [f'c{label}/v_c{label}_g{i:04} 64 {label}\n' for i, label in enumerate(labels)]
    (folder / 'list.txt').write_text(''.join(lines))
    (folder / 'config.py').write_text(f"_base_ = ['{CONFIG}']\ndata = dict(test=dict(\n"
                                      f"    ann_file='{folder}/list.txt', data_prefix='{folder}/frames'))\n")
    (folder / 'classes.txt').write_text(''.join(f'{i + 1} Class{i}\n' for i in range(12)))
    return folder / 'config.py'


def make_run(folder, labels, predicted, views, rate=10, **more):
    """A run as r2plus1d_infer.py leaves it, in which each video is given its predicted class."""
    out = folder / 'run'
    out.mkdir(parents=True)
    files = {}
    for i, (label, best) in enumerate(zip(labels, predicted)):
        scores = np.zeros((views, 12), np.float32)
        scores[:, best] = 1
        np.save(out / f'bin{i}-{i}_{label}_0.npy', scores)
        files[str(i)] = {'infiles': [f'bins/bin{i}-{i}_{label}.bin'], 'outfiles': [f'run/bin{i}-{i}_{label}_0.npy']}
    summary = {'filesinfo': files, 'args': ['r2plus1d_infer.py'], 'npu_compute_time_list': [1000 / rate] * len(labels),
               'throughput': float(rate), 'NPU_compute_time': {'mean': 1000 / rate}, 'batchsize': 1,
               'num_videos': len(labels), 'sample_shape': [views, 3, 8, 256, 256],
               'engine': {'name': 'any', 'version': '1', 'precision': 'f32', 'cpu': 'any'}, **more}
    (folder / 'run_summary.json').write_text(json.dumps(summary))
    return folder


def compare(*options):
    done = call('r2plus1d_compare', *options, check=False)
    assert 'Traceback' not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def test_two_runs(tmp_path):
    labels = labels_of(600)
    config = make_list(tmp_path, labels)
    three = make_run(tmp_path / 'three', labels, wrong_on(labels, 3), 3)
    one = make_run(tmp_path / 'one', labels, wrong_on(labels, 5), 1, rate=23)
    options = ['--config', config, '--runs', three, one, '--classes', tmp_path / 'classes.txt']
    status, report, text = compare(*options)
    assert status == 0 and report['rejected'] is None and report['views'] == [3, 1]
    assert (report['only_first_right'], report['only_second_right'], report['p_value']) == (2, 0, 0.5)
    assert report['samples_per_second'] == [pytest.approx(10), pytest.approx(23)]
    assert [row['video'].split('/')[-1] for row in report['differences']] == ['v_c3_g0003', 'v_c4_g0004']
    assert report['differences'][0] == dict(report['differences'][0], label='Class3', first='Class3', second='Class4')
    assert 'v_c3_g0003, Class3: Class3, then Class4' in text
    assert f'{three}: 3 views a video, top-1 0.9950, 10 samples/s' in text and '1 view a video, top-1 0.9917' in text
    assert "McNemar's exact p-value is 0.5" in text
    status, report, text = compare(*options, '--max_drop=0.003')
    assert status == 1 and 'top-1 fell from 0.9950 to 0.9917, by more than 0.003' in text.splitlines()[-1]
    status, report, text = compare(*options, '--max_drop=0.0049')
    assert status == 1 and '600 videos are too few' in text.splitlines()[-1] and '--allow_unproven' in text
    status, report, text = compare(*options, '--max_drop=0.0049', '--allow_unproven')
    assert status == 0 and 'proves nothing: 600 videos are too few' in text


@pytest.mark.parametrize('case, words', [
    ('another order', 'are of different lists of videos'),
    ('another config', "list.txt: its labels are not those of"),
    ('missing', '1 of 24 videos are missing'),
    ('other rows', 'expected 1 rows'),
])
def test_runs_that_do_not_fit(tmp_path, case, words):
    labels = labels_of(24)
    config = make_list(tmp_path, labels[::-1] if case == 'another config' else labels)
    first = make_run(tmp_path / 'first', labels, labels, 3)
    others = labels[::-1] if case == 'another order' else labels[:23] if case == 'missing' else labels
    second = make_run(tmp_path / 'second', others, others, 1)
    if case == 'other rows':
        np.save(second / 'run/bin5-5_5_0.npy', np.zeros((3, 12), np.float32))
    status, report, text = compare('--config', config, '--runs', first, second)
    assert status == 1 and report is None and words in text.splitlines()[-1]


def test_two_runs_of_one_list(tmp_path):
    """The digests of their lists say it, not the order of their labels; where one says nothing, that is said."""
    labels = labels_of(24)
    options = ['--config', make_list(tmp_path, labels), '--allow_unproven', '--max_drop=1', '--runs']
    digests = {'this': file_digest(str(tmp_path / 'list.txt')), 'other': 'ab' * 32, 'none': None}
    runs = {name: make_run(tmp_path / name, labels, labels, 3, list_sha256=digest) for name, digest in digests.items()}
    status, _, text = compare(*options, runs['this'], runs['this'])
    assert status == 0 and 'not checked' not in text
    status, report, text = compare(*options, runs['this'], runs['other'])
    assert status == 1 and report is None and 'are of different lists of videos' in text.splitlines()[-1]
    status, report, text = compare(*options, runs['other'], runs['other'])
    assert status == 1 and 'list.txt: is not the list of' in text.splitlines()[-1]
    status, report, text = compare(*options, runs['this'], runs['none'])
    assert status == 0 and 'none/run_summary.json: not checked: whether both runs are of the same videos' in text


@pytest.mark.parametrize('options, words', [
    (['--runs', 'a', 'b', '--models', 'm.onnx'], '--runs goes without --models'),
    ([], 'give --checkpoint and --models'),
    (['--runs', 'a', 'b', '--max_drop', '2'], '2 is not a fraction'),
    (['--runs', 'a', 'b', '--classes', 'no'], 'no: no such file'),
])
def test_arguments(tmp_path, options, words):
    options = [option.format(config=CONFIG) for option in options]
    if '--config' not in options:
        options = ['--config', CONFIG, *options]
    done = call('r2plus1d_compare', *options, cwd=tmp_path, check=False)
    assert done.returncode == 2 and words in done.stderr.splitlines()[-1]


def test_probabilities_are_averaged_as_they_are():
    """A second softmax would make nearly equal numbers of them."""
    scores = np.array([[[4, 0, 3.9], [0, 9, 8.9]]])
    averaged = average_crops(softmax(scores), 'prob')
    assert np.array_equal(averaged, softmax(scores).mean(axis=1))
    assert np.allclose(averaged, average_crops(scores, 'prob'))
