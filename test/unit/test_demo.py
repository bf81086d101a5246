# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""demo/run.sh: its trained model, and the full-size model that it makes."""
import json
import os
import re
import shutil

import numpy as np
import onnx
import pytest
import torch
from conftest import CONFIG, REAL, ROOT, make_video, run, start
from test_chain import infer, mmaction2_samples, postprocess, preprocess, torch_model

SECONDS = 155

DEMO_CONFIG, CHECKPOINT = (ROOT / 'demo' / f'r2plus1d_r18_demo.{kind}' for kind in ('py', 'pth'))
OPPOSITE = {'Left': 'Right', 'Right': 'Left', 'Clockwise': 'Counterclockwise', 'Counterclockwise': 'Clockwise'}


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    """The folder that demo/run.sh has filled, for the second time; what it printed is in stdout.txt."""
    folder = tmp_path_factory.mktemp('demo')
    for name in ('.r2plus1d_demo', 'notes.txt', 'report/of_the_first_run.html'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / 'stdout.txt').write_text(run('bash', ROOT / 'demo/run.sh', folder).stdout)
    return folder


# ---- the trained model -----------------------------------------------------------------------------


def test_accuracy_of_the_demo(demo):
    results = [json.loads((demo / f'result_bs{bs}.json').read_text()) for bs in (1, 16)]
    assert results[0] == results[1] and results[0]['num_videos'] >= 200
    assert results[0]['top1_acc'] >= 0.95 and results[0]['top5_acc'] >= 0.99
    text = (demo / 'stdout.txt').read_text()
    for name in ('model', 'fullframe_model'):
        log = (demo / f'logs/{name}.log').read_text()
        assert 'no atc on this machine' in log and log.endswith('success\n')
    assert re.search(rf'top-1 {results[0]["top1_acc"]:.4f} \(95% interval [^)]*\) reaches 0\.9500', text)
    assert 'random weights' in text
    assert all(re.search(rf'    {views}: [\d.]+ videos/s\n', text) for views in ('three crops', 'full frame'))
    agreement = json.loads((demo / 'compare.json').read_text())
    assert agreement['passed'] and [row['step'] for row in agreement['models']] == ['export', 'simplification']
    assert 50_000 < (demo / 'report/index.html').stat().st_size < 3_000_000
    assert (demo / 'notes.txt').exists() and not (demo / 'report/of_the_first_run.html').exists()
    assert not list(demo.glob('predata_*/*.bin'))


def test_full_frame_beside_three_crops(demo):
    """Both rows, and the gate's words, against mmaction2's metrics on what the two runs left."""
    report = json.loads((demo / 'fullframe.json').read_text())
    text = (demo / 'stdout.txt').read_text()
    assert report['views'] == [3, 1] and report['num_videos'] == 252
    for way, run_folder in (('first', 'predata_bts1_bs1_out'), ('second', 'fullframe_out')):
        result = json.loads(postprocess('--result_path', demo / run_folder).stdout)
        assert report[f'top1_acc_{way}'] == pytest.approx(result['top1_acc']) and result['top1_acc'] >= 0.95
        assert re.search(rf'{run_folder}: \d views? a video, top-1 {result["top1_acc"]:.4f}, [\d.]+ samples/s', text)
    differing = report['only_first_right'] + report['only_second_right']
    assert len(report['differences']) >= differing and 'McNemar\'s exact p-value is' in text
    steps = re.findall(r'\] (\d+) of (\d+): ', text)
    assert steps == [(str(i + 1), str(len(steps))) for i in range(len(steps))] and len(steps) > 9


def test_a_failed_step_ends_the_demo(tmp_path):
    """What follows it is not run, and the end of its output is shown."""
    for name in ('demo/run.sh', 'test/shell.sh'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / 'setup.sh').touch()
    python = tmp_path / 'bin/python'
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho no videos today\nexit 3\n')
    python.chmod(0o755)
    done = run('bash', tmp_path / 'demo/run.sh', tmp_path / 'work', check=False,
               env={'VIRTUAL_ENV': str(tmp_path), 'PATH': f'{tmp_path}/bin:{os.environ["PATH"]}'})
    assert done.returncode == 1 and 'no videos today' in done.stderr and 'failed: make 252' in done.stderr
    assert done.stderr.endswith('fail!\n') and os.listdir(tmp_path / 'work/logs') == ['dataset.log']


def test_shuffled_frames_are_not_recognised(demo, tmp_path):
    """Every frame is still there: what is lost is the motion."""
    start(ROOT / 'demo/shuffle_frames.py', demo / 'data/ucf101/rawframes', demo / 'shuffled')
    names = [sorted(p.name for p in (demo / folder).glob('*/*/*')) for folder in ('data/ucf101/rawframes', 'shuffled')]
    assert names[0] == names[1]
    infer('--model', demo / 'r2plus1d_sim.onnx', '--config', DEMO_CONFIG, '--output', tmp_path, '--outfmt', 'NPY',
          '--cfg-options', 'data.test.data_prefix=shuffled', cwd=demo)
    result = json.loads(postprocess('--result_path', tmp_path).stdout)
    assert result['num_videos'] >= 200 and result['top1_acc'] < 0.5


def test_predictions_are_those_of_mmaction2(demo, tmp_path):
    """mmaction2's tools/test.py on the same checkpoint and videos: every prediction, and the accuracy."""
    from r2plus1d.metrics import average_crops
    from r2plus1d.outputs import Run
    done = start(ROOT / 'mmaction2/tools/test.py', DEMO_CONFIG, CHECKPOINT, '--out', tmp_path / 'scores.json',
                  '--eval', 'top_k_accuracy', cwd=demo)
    expected = np.array(json.loads((tmp_path / 'scores.json').read_text()))
    summary, = (demo / 'predata_bts1_bs1_out').glob('*_summary.json')
    scores, _ = Run([str(summary)]).scores(3, len(expected))
    found = average_crops(scores, 'prob')
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (found.argmax(1) == expected.argmax(1)).all()
    ours = json.loads(postprocess('--result_path', summary, '--average_clips', 'prob').stdout)
    assert ours['top1_acc'] == pytest.approx(float(re.search(r'top1_acc: ([\d.]+)', done.stdout)[1]), abs=5e-5)


def test_the_checkpoint_is_small_safe_and_documented():
    assert CHECKPOINT.stat().st_size <= 4_000_000
    import mmcv
    state = torch.load(CHECKPOINT, weights_only=True)
    record = json.loads(CHECKPOINT.with_suffix('.json').read_text())
    assert record['command'] == 'bash demo/train.sh' and record['versions']['torch'] and record['train_seconds'] > 60
    assert record['parameters'] == sum(v.numel() for k, v in state['state_dict'].items()
                                       if not re.search('running_|num_batches', k))
    assert record['test']['top1_acc'] >= 0.95 and record['test_shuffled_frames']['top1_acc'] < 0.5
    mirrored = mmcv.Config.fromfile(str(DEMO_CONFIG)).mirrored
    for i, name in enumerate(state['meta']['classes']):
        swapped = re.sub('Left|Right|Clockwise|Counterclockwise', lambda m: OPPOSITE[m[0]], name)
        assert state['meta']['classes'][mirrored.get(i, i)] == swapped
    assert record['curve'][-1]['loss'] < record['curve'][0]['loss']


# ---- the full-size model ---------------------------------------------------------------------------


@pytest.fixture(scope='module')
def full_size(demo, tmp_path_factory):
    """The folder of the full-size models that test/pth2om.sh makes of the demo's random weights."""
    folder = tmp_path_factory.mktemp('full_size')
    for model in demo.glob('full_models/*.onnx'):
        model.unlink()  # 255 MB each
    done = run('bash', ROOT / 'test/pth2om.sh', '--checkpoint', demo / 'full_models/random.pth', '--work_dir', folder,
               '--compare_videos', 0, '--config', CONFIG)
    assert 'batch 2: PyTorch and ONNX differ by' in done.stdout
    return folder


def test_full_size_graph(full_size):
    """The graph that ATC has taken: opset 11, input 0, BatchNorm folded in, one file."""
    folder = full_size
    for path in folder / 'r2plus1d.onnx', folder / 'r2plus1d_sim.onnx':
        model = onnx.load(path, load_external_data=False)
        ops = [node.op_type for node in model.graph.node]
        assert [(o.domain, o.version) for o in model.opset_import] == [('', 11)]
        value, = model.graph.input
        dims = [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        assert value.name == '0' and dims == ['-1', 3, 3, 8, 256, 256]
        assert ops.count('Conv') == 72 and ops.count('Relu') == 69 and ops.count('Add') == 16
        assert set(ops) <= {'Conv', 'Relu', 'Add', 'MaxPool', 'GlobalAveragePool', 'Gemm', 'Reshape', 'Shape',
                            'Gather', 'Unsqueeze', 'Concat', 'Constant'}
        assert not any(w.data_location == onnx.TensorProto.EXTERNAL for w in model.graph.initializer)
        # 63,759,281 parameters less 2 for each BatchNorm channel that is folded in, plus a bias of each Conv
        assert 63.6e6 < sum(int(np.prod(w.dims)) for w in model.graph.initializer) < 63.8e6
    assert sorted(p.name for p in folder.glob('*.onnx*')) == ['r2plus1d.onnx', 'r2plus1d_sim.onnx']


def test_full_size_chain_on_one_video(demo, full_size, tmp_path):
    """avi -> frames -> bin -> scores, against PyTorch on mmaction2's own sample."""
    name = 'ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01'
    video = tmp_path / 'data/ucf101/videos' / f'{name}.avi'
    real = REAL / 'videos' / f'{name}.avi'
    if real.is_file():
        video.parent.mkdir(parents=True)
        video.write_bytes(real.read_bytes())
    else:
        make_video(video, 164, 0)
    start(ROOT / 'mmaction2/tools/data/build_rawframes.py', 'data/ucf101/videos/', 'data/ucf101/rawframes/', '--task',
           'rgb', '--level', '2', '--ext', 'avi', '--use-opencv', cwd=tmp_path)
    (tmp_path / 'data/ucf101/ucf101_val_split_1_rawframes.txt').write_text(f'{name} 164 0\n')
    preprocess(tmp_path, CONFIG, 'bins')
    infer('--model', full_size / 'r2plus1d_sim.onnx', '--input', 'bins', '--output', 'out', '--outfmt', 'NPY',
          cwd=tmp_path)
    output, = (tmp_path / 'out').glob('*/*.npy')
    (sample, _), = mmaction2_samples(CONFIG, tmp_path)
    expected = torch_model(CONFIG, demo / 'full_models/random.pth')(sample[None])
    np.testing.assert_allclose(np.load(output), expected, rtol=0, atol=1e-4 * max(1, np.abs(expected).max()))
