# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""test/parse.py: the tables and the verdict; what no result is, and what its outputs contradict, never passes."""
import json
import shutil

import numpy as np
import parse
import pytest
from conftest import ROOT, call, fails, run

from r2plus1d.output_files import save_output
from r2plus1d.results import Performance

SECONDS = 10
GOOD = {'top1_acc': 1.0, 'top5_acc': 1.0, 'mean_class_accuracy': 1.0, 'num_videos': 6, 'num_expected': 6,
        'average_clips': 'score'}
SUMMARY = {'args': ['ais_bench'],
           'NPU_compute_time': {'mean': 2.0}, 'throughput': 1000.0, 'npu_compute_time_list': [1.0, 3.0],
           'sample_shape': [3, 3, 8, 256, 256]}
# where three of six videos, all of label 0, are given another class
OF_OUTPUTS = {'top1_acc': 0.5, 'top5_acc': 0.5, 'mean_class_accuracy': 0.5, 'mmaction2_mean_class_accuracy': 0.25}
NAN, INF = float('nan'), float('inf')
# what is changed in the result of the second batch size, and how many of its outputs are wrong or missing:
# (words of the message or verdict, exit status)
RESULTS = [
    ({}, 'reaches', 0),
    *(({'top1_acc': value}, 'result_bs2.json: top1_acc', 1)
      for value in (NAN, INF, 2.0, -0.1, True, '1.0', None, [1.0], {})),
    ({'top5_acc': NAN}, 'result_bs2.json: top5_acc', 1),
    ({'mean_class_accuracy': 'x'}, 'result_bs2.json: mean_class_accuracy', 1),
    *(({'num_videos': value}, 'result_bs2.json: num_videos', 1) for value in (0, -1, 'x', True, 1.5, None)),
    ({'average_clips': 'x'}, 'result_bs2.json: average_clips', 1),
    # other figures than those of the outputs
    *(({key: value}, f'result_bs2.json: {key}', 1) for key, value in (
        ('top1_acc', 0.9), ('top1_acc', 5 / 6), ('top5_acc', 0.5), ('mean_class_accuracy', 0.9), ('num_videos', 5))),
    (dict(OF_OUTPUTS, wrong=3), 'is below', 1),
    ({'wrong': 3}, 'result_bs2.json: top1_acc is 1, and the outputs of', 1),
    ({'missing': 1, 'num_videos': 5}, 'has 5 of 6 videos', 1),
    # what is changed in its summary
    *(({'summary': {key: value}}, 'predata_bts1_bs2_out', 1) for key, values in {
        'throughput': (NAN, -4, None, 'x', INF, []),
        'npu_compute_time_list': ([], [NAN], [-1.0], [0], 'x', None, [[1.0]], {}, [None]),
        'NPU_compute_time': ({}, None, {'mean': NAN}, {'mean': 'x'}, []),
        'args': (None, 5, []),
        'engine': (5, {'name': 'x'}),
        'batchsize': (0, True, 'x'),
    }.items() for value in values),
]


def parse_results(folder, *options):
    return call('parse', f'--work_dir={folder}', *options, check=False)


def evaluate(folder, batch_size, wrong=0, missing=0, summary=(), **result):
    """A result of six videos of label 0, of which some are given another class, or are missing."""
    out = folder / f'predata_bts1_bs{batch_size}_out'
    (out / 'run').mkdir(parents=True)
    filesinfo = {}
    for i in range(6 - missing):
        scores = np.zeros((3, 8))
        scores[:, 0] = -1 if i < wrong else 1
        save_output(f'{out}/run/bin{i}-{i}_0_0.txt', scores)
        filesinfo[str(i)] = {'infiles': [f'bin{i}-{i}_0.bin'], 'outfiles': [f'bin{i}-{i}_0_0.txt']}
    (out / 'run_summary.json').write_text(json.dumps({**SUMMARY, 'filesinfo': filesinfo, **dict(summary)}))
    (folder / f'result_bs{batch_size}.json').write_text(json.dumps({**GOOD, **result}))


@pytest.mark.parametrize('changes, words, status', RESULTS)
def test_a_result_that_is_none_never_passes(tmp_path, changes, words, status):
    evaluate(tmp_path, 1)
    evaluate(tmp_path, 2, **changes)
    done = parse_results(tmp_path, '--batch_sizes=1 2', '--reference=0.8892')
    assert done.returncode == status and words in done.stdout + done.stderr and 'Traceback' not in done.stderr
    assert status == 0 or 'reaches' not in done.stdout
    assert ('verdict' in done.stdout) == (words in done.stdout)


@pytest.mark.parametrize('options, status', [
    (['--tolerance=inf'], 2), (['--tolerance=nan'], 2), (['--tolerance=-0.1'], 2), (['--reference=-inf'], 2),
    (['--reference=nan'], 2), (['--reference=abc'], 2), (['--reference=5', '--tolerance=10'], 2),
    (['--reference=1.5', '--tolerance=0.9'], 2), (['--reference=88.92'], 2), (['--reference=1', '--tolerance=0'], 0),
])
def test_a_reference_that_is_none_never_passes(tmp_path, options, status):
    evaluate(tmp_path, 1)
    assert parse_results(tmp_path, *options).returncode == status


def test_what_is_not_there(tmp_path):
    for content, words in ((None, 'result_bs1.json'), ('{', 'not JSON'), ('{"top1_acc": 1}', 'top5_acc'),
                           (json.dumps(GOOD), 'predata_bts1_bs1_out')):
        if content:
            (tmp_path / 'result_bs1.json').write_text(content)
        fails(parse_results(tmp_path, '--batch_sizes=1'), 1, words)


def test_speed_beside_the_guides(capsys):
    times = np.array([10.0, 20.0, 30.0])
    run_of_4 = Performance(4, {'device0': times})
    parse.print_performance({4: run_of_4, 5: run_of_4}, '3 views', True)
    with_guide = capsys.readouterr().out
    parse.print_performance({4: run_of_4}, '3 views', False)
    assert '| 200.0000 |     20.00 |  29.80 | 49.2828 | 80.4857 | 38.8568 |' in with_guide
    assert '| 200.0000 |     20.00 |  29.80 |       - |       - |       - |' in with_guide
    assert '310' not in capsys.readouterr().out


def test_a_verdict_of_no(small, dataset, tmp_path):
    """The tables are there all the same. (A verdict of yes, and pth2om.sh without an NPU: test_demo.py.)"""
    shutil.copy(small.sim, tmp_path)
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--work_dir', tmp_path,
               '--batch_sizes', '1 4', '--reference', '1', '--tolerance=0', cwd=dataset, check=False)
    assert done.returncode == 1 and 'is below 1.0000 - 0.0000' in done.stdout
    assert 'beside it: a guess among 3 classes gives 0.3333' in done.stdout
    assert done.stderr.endswith('fail!\n') and 'success' not in done.stdout
    assert 'without an NPU' in done.stdout and 'best: batch size' in done.stdout
    for bs in (1, 4):
        accuracy = json.loads((tmp_path / f'result_bs{bs}.json').read_text())
        assert f'| {accuracy["top1_acc"]:.4f} | {accuracy["top5_acc"]:.4f} |' in done.stdout
    assert '310P' not in done.stdout  # five videos do not compare with the guide's 3,783
    # The records say config, reference and where it was started; the small model has no names of classes.
    call('r2plus1d_report', f'--work_dir={tmp_path}', '--language=en',
         f'--classes={dataset}/data/ucf101/annotations/classInd.txt', cwd=tmp_path)
    page = (tmp_path / 'report/index.html').read_text(encoding='utf-8')
    assert 'R(2+1)D-18, 8 channels' in page and 'is below the required 100.00%' in page
    assert 'v_Basketball_g01_c01' in page and '<article' in page
