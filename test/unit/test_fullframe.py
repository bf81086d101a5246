# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""One view of the full frame: the chain, against mmaction2 without ThreeCrop and PyTorch; mixtures are refused."""
import importlib.util
import json
import pathlib
import re
import shutil
import sys
import types

import cv2
import numpy as np
import onnx
import pytest
from conftest import ROOT, SMALL, call, run, start
from test_chain import infer, mmaction2_samples, postprocess, preprocess, torch_model

SECONDS = 45
CONFIG, VIDEO_CONFIG = (ROOT / f'configs/r2plus1d_r34_{kind}_8x8x1_180e_ucf101_rgb2.py'
                        for kind in ('fullframe', 'fullframe_video'))
SHAPE = [1, 3, 8, 256, 341]


@pytest.fixture(scope='module')
def full(small, dataset, npu, tmp_path_factory):
    """The small model for the full frame, by test/pth2om.sh on an NPU server of stand-ins, which finds the shape."""
    folder = tmp_path_factory.mktemp('full')
    config = folder / 'config.py'
    config.write_text(SMALL.format(base=CONFIG))
    done = run('bash', ROOT / 'test/pth2om.sh', '--config', config, '--checkpoint', small.checkpoint, '--batch_sizes',
               '1 2', '--work_dir', folder, '--compare_videos', 2, cwd=dataset, env=npu)
    (folder / 'video.py').write_text(SMALL.format(base=VIDEO_CONFIG))
    return types.SimpleNamespace(folder=folder, config=config, video=folder / 'video.py', log=done.stdout + done.stderr,
                                 sim=folder / 'r2plus1d_sim.onnx', om=folder / 'r2plus1d_bs2.om')


@pytest.fixture(scope='module')
def expected(small, dataset):
    """[(sample, label)] by mmaction2's pipeline of three crops, without the crops; its scores by PyTorch."""
    samples = mmaction2_samples(small.config, dataset, drop=['ThreeCrop'])
    model = torch_model(small.config, small.checkpoint)
    return samples, np.stack([model(sample[None]) for sample, _ in samples])


@pytest.fixture(scope='module')
def full_bins(dataset, full):
    call('r2plus1d_preprocess', '--config', full.config, '--bts=1', '--output_path=bins_full', cwd=dataset)
    return dataset / 'bins_full'


@pytest.fixture(scope='module')
def full_run(full, full_bins, tmp_path_factory):
    """The outputs of the ONNX model on the bins."""
    folder = tmp_path_factory.mktemp('full_run')
    infer('--model', full.sim, '--input', full_bins, '--output', folder, '--output_dirname', 'run', '--outfmt', 'NPY')
    return folder


def write_video_list(dataset, folder):
    """The list of frames as one of .avi files; its path."""
    lines = (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    path = folder / 'videos.txt'
    path.write_text(''.join(f'{line.split()[0]}.avi {line.split()[2]}\n' for line in lines))
    return path


# ---- the chain -------------------------------------------------------------------------------------


def test_bins_are_those_of_mmaction2_without_crops(dataset, full, full_bins, expected):
    for i, (sample, label) in enumerate(expected[0]):
        assert list(sample.shape) == SHAPE
        assert (full_bins / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()
    assert json.loads((full_bins / 'info.json').read_text())['shape'] == SHAPE


def test_videos_give_the_same_kind_of_samples(dataset, full, monkeypatch, tmp_path):
    """The .avi files, by our decoder, against mmaction2's own decoder and its pipeline without crops."""
    from r2plus1d.data import Samples, read_config

    import mmcv
    from mmaction.datasets.pipelines import Compose
    monkeypatch.chdir(dataset)
    samples = Samples(read_config(str(full.video), [f'data.test.ann_file={write_video_list(dataset, tmp_path)}']))
    steps = mmcv.Config.fromfile(str(ROOT / 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')).data.test.pipeline
    decoder = [dict(type='OpenCVInit'), *steps]
    decoder[2] = dict(type='OpenCVDecode')
    pipeline = Compose([step for step in decoder if step['type'] != 'ThreeCrop'])
    for i in range(len(samples)):
        results = pipeline(dict(filename=samples.names[i], label=samples.labels[i], start_index=0, modality='RGB'))
        assert samples[i][1].tobytes() == results['imgs'].numpy().tobytes() and list(samples[i][1].shape) == SHAPE


def test_conversion_takes_the_shape_from_the_config(full, tmp_path):
    for name in ('r2plus1d.onnx', 'r2plus1d_sim.onnx'):
        value, = onnx.load(str(full.folder / name)).graph.input
        assert [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim] == ['-1', *SHAPE]
    for batch_size in (1, 2):
        note = json.loads((full.folder / f'r2plus1d_bs{batch_size}.om.json').read_text())
        assert note['input_shape'] == f'0:{batch_size},1,3,8,256,341'
    agreement = json.loads((full.folder / 'compare.json').read_text())
    assert agreement['passed'] and [row['step'] for row in agreement['models']] == [
        'export', 'simplification', 'conversion', 'conversion']
    # An ONNX file tells it, too, to a server without PyTorch.
    for path in (full.sim, full.om, full.config):
        assert run(sys.executable, ROOT / 'test/sample_shape.py', path).stdout.split() == list(map(str, SHAPE))
    config = tmp_path / 'config.py'
    config.write_text(full.config.read_text() + 'frame_size = None\n')
    failed = run('bash', ROOT / 'test/pth2om.sh', '--config', config, '--checkpoint', full.config, check=False,
                 cwd=tmp_path)
    assert failed.returncode == 1 and 'has no frame_size' in failed.stderr and '--shape is needed' in failed.stderr


def test_outputs_are_those_of_pytorch(full_run, expected):
    samples, scores = expected
    for i, (_, label) in enumerate(samples):
        np.testing.assert_allclose(np.load(full_run / 'run' / f'bin{i}-{i}_{label}_0.npy'), scores[i], atol=1e-4)
    assert json.loads((full_run / 'run_summary.json').read_text())['sample_shape'] == SHAPE


def accuracy_of(expected):
    """Top-1 by NumPy, of the scores of PyTorch."""
    samples, scores = expected
    return np.mean(scores[:, 0].argmax(1) == [label for _, label in samples])


def test_evaluation_on_an_npu(dataset, full, full_bins, expected, npu, tmp_path):
    """test/eval_acc_perf.sh with the .om and ais_bench: nothing says how many views there are but info.json."""
    shutil.copytree(dataset / 'data', tmp_path / 'data')
    for path in (full.om, full.folder / 'r2plus1d_bs2.om.json', full.config):
        shutil.copy(path, tmp_path)
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', 'config.py', '--batch_sizes', 2, '--reference', 0,
               cwd=tmp_path, env=npu)
    assert 'on NPU 0' in done.stdout and done.stdout.endswith('success\n')
    assert 'a sample is one video of 1 view)' in done.stdout
    summary, = tmp_path.glob('predata_bts1_bs2_out/*_summary.json')
    assert 'sample_shape' not in json.loads(summary.read_text())
    result = json.loads((tmp_path / 'result_bs2.json').read_text())
    assert result['num_videos'] == 5 and result['top1_acc'] == pytest.approx(accuracy_of(expected))
    # Without info.json nothing tells; --crops does.
    info = tmp_path / 'predata_bts1' / 'info.json'
    text = info.read_text()
    info.unlink()
    failed = postprocess('--result_path', summary, '--num_videos=5', cwd=tmp_path, check=False)
    assert failed.returncode == 1 and 'give --crops' in failed.stderr.splitlines()[-1]
    told = postprocess('--result_path', summary, '--num_videos=5', '--crops=1', cwd=tmp_path)
    assert json.loads(told.stdout)['top1_acc'] == result['top1_acc']
    # info.json of three crops beside outputs of one view
    info.write_text(text.replace('[1, 3, 8, 256, 341]', '[3, 3, 8, 256, 256]'))
    failed = postprocess('--result_path', summary, cwd=tmp_path, check=False)
    assert failed.returncode == 1 and re.search(r'bin0-0_\d_0.txt: 1 rows, expected 3 rows', failed.stderr)


@pytest.mark.parametrize('kind', ['frames', 'videos'])
def test_without_bins(dataset, full, expected, tmp_path, kind):
    source = ['--config', full.config]
    if kind == 'videos':
        source = ['--config', full.video, '--cfg-options', f'data.test.ann_file={write_video_list(dataset, tmp_path)}']
    infer('--model', full.sim, '--output', tmp_path / 'out', '--batchsize', 3, *source, cwd=dataset)
    result = json.loads(postprocess('--result_path', tmp_path / 'out').stdout)
    assert result['num_videos'] == 5
    if kind == 'frames':
        assert result['top1_acc'] == pytest.approx(accuracy_of(expected))


def test_prediction(dataset, small, full, tmp_path):
    """Against mmaction2's inference_recognizer with its own pipeline, which has no ThreeCrop."""
    from mmaction.apis import inference_recognizer, init_recognizer
    video = dataset / 'data/ucf101/videos/YoYo/v_YoYo_g02_c01.avi'
    (tmp_path / 'classes.txt').write_text(''.join(f'{i} class{i}\n' for i in range(1, 401)))
    expected = inference_recognizer(init_recognizer(str(full.config), str(small.checkpoint), 'cpu'), str(video))
    done = start(ROOT / 'r2plus1d_predict.py', '--model', full.sim, '--precision', 'f32', '--video', video, '--config',
                 full.config, '--classes', tmp_path / 'classes.txt')
    found = [line.split() for line in done.stdout.splitlines()[1:]]  # below the path of the video
    assert [name for _, name in found] == [f'class{i + 1}' for i, _ in expected]
    np.testing.assert_allclose([float(p) for p, _ in found], [p for _, p in expected], atol=6e-5)


def test_bytes_int8_and_bf16(dataset, full, expected, tmp_path):
    """uint8 bins of a ninth of the size of three crops in float32; int8 and bf16 arithmetic, near PyTorch."""
    preprocess(dataset, full.config, 'bins_full_uint8', '--dtype=uint8')
    assert {path.stat().st_size for path in (dataset / 'bins_full_uint8').glob('*.bin')} == {3 * 8 * 256 * 341}
    call('r2plus1d_optimize', '--model', full.sim, '--config', full.config, '--uint8_input', '--output',
         tmp_path / 'uint8.onnx', cwd=dataset)
    runs = {'f32': tmp_path / 'uint8.onnx'}
    if 'avx512_bf16' in pathlib.Path('/proc/cpuinfo').read_text():
        runs['bf16'] = tmp_path / 'uint8.onnx'
    if importlib.util.find_spec('nncf'):
        start(ROOT / 'r2plus1d_optimize.py', '--model', full.sim, '--config', full.config, '--uint8_input', '--int8',
              '--allow_unproven', '--max_drop', 1, '--output', tmp_path / 'int8.onnx', cwd=dataset)
        runs['int8'] = tmp_path / 'int8.onnx'
    bounds = {'f32': 1e-4, 'bf16': 5e-2, 'int8': 0.5}
    for precision, model in runs.items():
        infer('--model', model, '--precision', precision, '--input', dataset / 'bins_full_uint8', '--output',
              tmp_path / precision, '--output_dirname', 'run', '--outfmt', 'NPY')
        scores = [np.load(path) for path in sorted((tmp_path / precision / 'run').iterdir())]
        largest = np.abs(expected[1]).max()
        assert np.abs(np.array(scores) - expected[1]).max() < bounds[precision] * largest, precision
        assert json.loads(postprocess('--result_path', tmp_path / precision).stdout)['num_videos'] == 5


def test_the_report_says_one_view(dataset, full, full_bins, tmp_path):
    out = tmp_path / 'predata_bts1_bs1_out'
    infer('--model', full.sim, '--input', full_bins, '--output', out, '--outfmt', 'TXT')
    (tmp_path / 'result_bs1.json').write_text(postprocess('--result_path', out).stdout)
    (tmp_path / 'classes.txt').write_text(''.join(f'{i} class{i}\n' for i in range(1, 4)))
    call('r2plus1d_report', '--work_dir', tmp_path, '--batch_sizes=1', '--config', full.config, '--classes',
         tmp_path / 'classes.txt', cwd=dataset)
    assert 'one sample of 1 ' in (tmp_path / 'report/index.html').read_text('utf-8')


# ---- mixtures --------------------------------------------------------------------------------------

ONE, THREE = '1 view of 8 frames of 341 x 256', '3 views of 8 frames of 256 x 256'


def refused(done, *words):
    assert done.returncode == 1 and not done.stdout and 'Traceback' not in done.stderr, done.stderr
    last = [line for line in done.stderr.splitlines() if line != 'fail!'][-1]
    assert all(word in last for word in words), last


def test_mixtures_of_bins_config_and_model(dataset, small, full, bins, full_bins, tmp_path):
    out = ['--output', tmp_path / 'out']
    refused(infer('--model', small.sim, '--input', full_bins, *out, check=False), 'bins_full', ONE, 'sim.onnx', THREE)
    refused(infer('--model', full.sim, '--input', bins, *out, check=False), f'{bins}', THREE, str(full.sim), ONE)
    refused(infer('--model', full.sim, '--config', small.config, *out, cwd=dataset, check=False), THREE, ONE)
    refused(start(ROOT / 'r2plus1d_compare.py', '--config', full.config, '--checkpoint', small.checkpoint, '--models',
                  small.sim, '--videos=1', cwd=dataset, check=False), str(full.config), ONE, str(small.sim), THREE)
    (tmp_path / 'classes.txt').write_text('1 a\n')
    refused(start(ROOT / 'r2plus1d_predict.py', '--model', full.sim, '--config', small.config, '--video',
                  dataset / 'data/ucf101/videos/YoYo/v_YoYo_g02_c01.avi', '--classes', tmp_path / 'classes.txt',
                  check=False), THREE, ONE)
    refused(preprocess(dataset, full.config, 'no', '--models', small.sim, check=False), ONE, str(small.sim), THREE)
    refused(preprocess(dataset, full.config, 'no', '--models', full.om, '--cfg-options', 'frame_size=(340,256)',
                       check=False), '341 x 256', '340 x 256')
    assert not (dataset / 'no').exists() and not (tmp_path / 'out').exists() or not list((tmp_path / 'out').iterdir())


def test_mixtures_on_an_npu(dataset, small, full, bins, npu, tmp_path):
    """ais_bench would say "input data size not match" at best; what test/pth2om.sh noted beside the .om tells."""
    done = run(sys.executable, ROOT / 'test/run_ais_bench.py', '--model', full.om, '--input', bins, '--batchsize', 2,
               '--output', tmp_path / 'out', env=npu, check=False)
    refused(done, str(bins), THREE, str(full.om), ONE)
    for name in ('r2plus1d_bs2.om', 'r2plus1d_bs2.om.json'):
        shutil.copy(full.folder / name, tmp_path)
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--batch_sizes', 2, '--work_dir',
               tmp_path, cwd=dataset, env=npu, check=False)
    assert done.returncode == 1 and done.stderr.endswith('fail!\n')
    assert f'has {THREE} a video, and {tmp_path}/r2plus1d_bs2.om takes {ONE}' in done.stderr
    assert not (tmp_path / 'predata_bts1').exists()


def test_what_is_said_of_a_run_is_not_contradicted(full_bins, full_run):
    for crops, words in ((3, ('bins_full/info.json has bins of 1 view', 'says 3 views')), (1, ())):
        done = postprocess('--result_path', full_run, f'--crops={crops}', check=False)
        if words:
            refused(done, *words)
        else:
            assert done.returncode == 0 and json.loads(done.stdout)['num_videos'] == 5


# ---- videos of another shape -----------------------------------------------------------------------


@pytest.fixture(scope='module')
def mixed(dataset, tmp_path_factory):
    """A data set with a video of 426 x 240 among those of 320 x 240, as frames and as files."""
    folder = tmp_path_factory.mktemp('mixed')
    shutil.copytree(dataset / 'data', folder / 'data', ignore=shutil.ignore_patterns('annotations'))
    name = 'YoYo/v_YoYo_g03_c01'
    frames = folder / 'data/ucf101/rawframes' / name
    frames.mkdir()
    path = folder / 'data/ucf101/videos' / f'{name}.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'XVID'), 25, (426, 240))
    for i in range(64):
        image = np.full((240, 426, 3), 3 * i, np.uint8)
        writer.write(image)
        cv2.imwrite(str(frames / f'img_{i + 1:05}.jpg'), image)
    writer.release()
    with (folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt').open('a') as f:
        f.write(f'{name} 64 2\n')
    write_video_list(folder, folder).rename(folder / 'data/ucf101/ucf101_val_split_1_videos.txt')
    return types.SimpleNamespace(folder=folder, name=name, video=path)


@pytest.mark.parametrize('kind', ['config', 'video'])
def test_a_video_of_another_shape_is_named(mixed, full, tmp_path, kind):
    """Nothing is cropped or squeezed; the config of three crops is named, which takes it."""
    words = [mixed.name, '426 x 240', '1 view of 8 frames of 454 x 256', ONE, 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
    config = getattr(full, kind)
    refused(start(ROOT / 'r2plus1d_preprocess.py', '--config', config, '--output_path', tmp_path / 'bins',
                  cwd=mixed.folder, check=False), *words)
    assert not (tmp_path / 'bins').exists()
    refused(infer('--model', full.sim, '--config', config, '--output', tmp_path / 'out', '--batchsize', 4,
                  cwd=mixed.folder, check=False), *words)
    assert not list((tmp_path / 'out').glob('*'))


def test_a_prediction_for_a_video_of_another_shape(mixed, small, full, tmp_path):
    (tmp_path / 'classes.txt').write_text('1 a\n')
    for model, config, words in ((full.sim, full.config, [str(mixed.video), '426 x 240', ONE]),
                                 (small.sim, small.config, None)):
        done = start(ROOT / 'r2plus1d_predict.py', '--model', model, '--config', config, '--video', mixed.video,
                     '--classes', tmp_path / 'classes.txt', check=False)
        if words:
            refused(done, *words)
        else:
            assert done.returncode == 0 and len(done.stdout.splitlines()) == 6


def test_another_frame_size(mixed, full, tmp_path):
    """A list of another shape alone is no mixture: frame_size tells the shape. Without it, the first video does."""
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{mixed.name} 64 2\n')
    options = ['--cfg-options', f'data.test.ann_file={listed}']
    preprocess(mixed.folder, full.config, tmp_path / 'bins', *options, 'frame_size=(454,256)')
    assert (tmp_path / f'bins/bin0-0_{2}.bin').stat().st_size == 4 * 3 * 8 * 256 * 454
    config = tmp_path / 'config.py'
    config.write_text(full.config.read_text() + 'frame_size = None\n')
    refused(preprocess(mixed.folder, config, tmp_path / 'none', check=False), mixed.name, '454 x 256', ONE)
