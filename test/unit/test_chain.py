# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The chain against mmaction2, PyTorch and ONNX Runtime: bins, ONNX, outputs, accuracy, with three crops of a video and
with one view of the full frame; mixtures of the two are refused.
"""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import onnx
import pytest
import torch
from conftest import CONFIG, REAL, ROOT, SMALL, call, run, start

from r2plus1d.bins import list_inputs
from r2plus1d.data import empty_at_page, read_config
from r2plus1d.metrics import average_crops
from r2plus1d.outputs import Run
from r2plus1d.preprocessing import write_past_cache

import mmcv
from mmaction.apis import inference_recognizer, init_recognizer
from mmaction.datasets import build_dataloader, build_dataset
from mmaction.models import build_model

SECONDS = 80


def mmaction2_samples(config, dataset, drop=()):
    """[(array, label)] of the test split by mmaction2's own dataset and dataloader."""
    cfg = mmcv.Config.fromfile(str(config))
    steps = [step for step in cfg.data.test.pipeline if step['type'] not in drop]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(dataset)
        data = build_dataset(dict(cfg.data.test, pipeline=steps), dict(test_mode=True))
        loader = build_dataloader(data, videos_per_gpu=1, workers_per_gpu=0, dist=False, shuffle=False)
        return [(batch['imgs'][0].numpy(), int(batch['label'])) for batch in loader]


def preprocess(dataset, config, output, *options, **run_options):
    return call('r2plus1d_preprocess', f'--config={config}', f'--output_path={output}', *options, cwd=dataset,
                **run_options)


def infer(*options, **run_options):
    return start(ROOT / 'r2plus1d_infer.py', *options, **run_options)  # engines: in a process of their own


def postprocess(*options, **run_options):
    return call('r2plus1d_postprocess', *options, **run_options)


def torch_model(config, checkpoint):
    model = build_model(mmcv.Config.fromfile(str(config)).model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    return lambda x: model.forward_dummy(torch.from_numpy(x))[0].detach().numpy()


# ---- the two ways of showing a video ---------------------------------------------------------------


def config_of(kind):
    return ROOT / f'configs/r2plus1d_r34_{kind}_8x8x1_180e_ucf101_rgb2.py'


def make_way(folder, kind, **more):
    """A way of showing a video, of which FOLDER has the config of frames. KIND: of the config of .avi files."""
    (folder / 'video.py').write_text(SMALL.format(base=config_of(kind)))
    return SimpleNamespace(folder=folder, config=folder / 'config.py', video=folder / 'video.py', **more)


@pytest.fixture(scope='module')
def video_list(dataset):
    """The list of the .avi files, by mmaction2."""
    start(ROOT / 'mmaction2/tools/data/build_file_list.py', 'ucf101', 'data/ucf101/videos/', '--level', '2', '--format',
          'videos', '--shuffle', cwd=dataset)


@pytest.fixture(scope='module')
def three(dataset, small, bins, video_list):
    """Three crops."""
    return make_way(small.folder, 'video', drop=[], samples=mmaction2_samples(CONFIG, dataset), bins=bins,
                    shape=[3, 3, 8, 256, 256], sim=small.sim)


@pytest.fixture(scope='module')
def full(dataset, small, video_list, npu, tmp_path_factory):
    """The full frame, by test/pth2om.sh on an NPU server of stand-ins, which finds the shape."""
    folder = tmp_path_factory.mktemp('full')
    config = folder / 'config.py'
    config.write_text(SMALL.format(base=config_of('fullframe')))
    run('bash', ROOT / 'test/pth2om.sh', '--config', config, '--checkpoint', small.checkpoint, '--batch_sizes', '1 2',
        '--work_dir', folder, '--compare_videos', 2, cwd=dataset, env=npu)
    preprocess(dataset, config, 'bins_full', '--bts=1')
    drop = ['ThreeCrop']
    return make_way(folder, 'fullframe_video', drop=drop, samples=mmaction2_samples(CONFIG, dataset, drop),
                    bins=dataset / 'bins_full', shape=[1, 3, 8, 256, 341], sim=folder / 'r2plus1d_sim.onnx',
                    om=folder / 'r2plus1d_bs2.om')


@pytest.fixture(params=['three', 'full'])
def way(request):
    return request.getfixturevalue(request.param)


# ---- bins ----------------------------------------------------------------------------------------


def test_bins_are_what_mmaction2_makes(way):
    names = [f'bin{i}-{i}_{label}.bin' for i, (_, label) in enumerate(way.samples)]
    assert len(names) == 5 and sorted(os.listdir(way.bins)) == sorted(names + ['info.json'])
    for name, (sample, _) in zip(names, way.samples):
        assert list(sample.shape) == way.shape and (way.bins / name).read_bytes() == sample.tobytes()
    assert json.loads((way.bins / 'info.json').read_text())['shape'] == way.shape


def test_bins_of_several_samples_and_the_filled_up_last_one(dataset, three):
    samples, labels = zip(*three.samples)
    preprocess(dataset, three.config, 'bins_bts3/', '--bts', '3', '--workers', '1')
    first = dataset / 'bins_bts3' / 'bin0-2_{}_{}_{}.bin'.format(*labels[:3])
    last = dataset / 'bins_bts3' / 'bin3-4_{}_{}.bin'.format(*labels[3:])
    assert first.read_bytes() == b''.join(sample.tobytes() for sample in samples[:3])
    assert last.read_bytes() == b''.join(samples[i].tobytes() for i in (3, 4, 4))


def test_uint8_bins_are_the_pipeline_without_normalize(dataset, way, tmp_path):
    preprocess(dataset, way.config, tmp_path / 'bins', '--dtype', 'uint8')
    for i, (sample, label) in enumerate(mmaction2_samples(CONFIG, dataset, ['Normalize', *way.drop])):
        assert sample.dtype == np.uint8
        assert (tmp_path / 'bins' / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()


def test_another_pipeline_is_run_as_it_is(dataset, tmp_path):
    """A pipeline whose end is not the usual one goes through mmaction2 whole."""
    config = tmp_path / 'config.py'
    text = CONFIG.read_text().replace('to_bgr=False', 'to_bgr=True')
    config.write_text(text.replace("type='ThreeCrop', crop_size=256", "type='CenterCrop', crop_size=224"))
    preprocess(dataset, config, tmp_path / 'bins')
    for i, (sample, label) in enumerate(mmaction2_samples(config, dataset)):
        assert (tmp_path / 'bins' / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()
    failed = preprocess(dataset, config, 'bins_bgr_uint8', '--dtype=uint8', check=False)
    assert failed.returncode == 1 and 'uint8' in failed.stderr and 'Traceback' not in failed.stderr


def test_writing_past_the_page_cache(tmp_path):
    """Sizes, places and positions in the file that O_DIRECT takes, and such that it does not."""
    arrays = [empty_at_page((3, 4096), np.dtype(np.float32)) for _ in range(3)]
    for i, array in enumerate(arrays):
        assert array.ctypes.data % 4096 == 0
        array[:] = i + np.arange(4096)
    arrays[1:2] = [arrays[1][1:, 3:4000].copy()]
    with open(tmp_path / 'x', 'wb', buffering=0) as f:
        for array in arrays:
            write_past_cache(f, array)
    assert (tmp_path / 'x').read_bytes() == b''.join(a.tobytes() for a in arrays)


@pytest.mark.skipif(not (REAL / 'short_rawframes').is_dir(), reason='no real clips at UCF101_REAL')
def test_real_clips_shorter_than_a_sample(small, tmp_path):
    """25 real frames, 340x256, for 64 that the sampler spans."""
    (tmp_path / 'data/ucf101').mkdir(parents=True)
    (tmp_path / 'data/ucf101/rawframes').symlink_to(REAL / 'short_rawframes')
    clips = sorted((REAL / 'short_rawframes').glob('*/*'))
    (tmp_path / 'data/ucf101/ucf101_val_split_1_rawframes.txt').write_text(
        ''.join(f'{c.parent.name}/{c.name} {len(list(c.glob("*.jpg")))} 0\n' for c in clips))
    preprocess(tmp_path, small.config, 'bins')
    for i, (sample, _) in enumerate(mmaction2_samples(small.config, tmp_path)):
        assert (tmp_path / 'bins' / f'bin{i}-{i}_0.bin').read_bytes() == sample.tobytes()


# ---- straight from .avi files --------------------------------------------------------------------


def test_bins_straight_from_avi(dataset, three, way, tmp_path, monkeypatch):
    """Our decoding against mmaction2's PyAVDecode and OpenCVDecode, for clips longer and shorter than a sample."""
    start(ROOT / 'r2plus1d_preprocess.py', '--config', way.video, '--output_path', tmp_path / 'bins', cwd=dataset)
    monkeypatch.chdir(dataset)
    test = read_config(str(three.video)).data.test
    for library in ('PyAV', 'OpenCV'):
        steps = [dict(step, type=step['type'].replace('PyAV', library)) for step in test.pipeline
                 if step['type'] not in way.drop]
        samples = build_dataset(dict(test, pipeline=steps), dict(test_mode=True))
        assert len(list((tmp_path / 'bins').glob('*.bin'))) == len(samples) == 5
        for i in range(5):
            found = (tmp_path / 'bins' / f'bin{i}-{i}_{samples[i]["label"]}.bin').read_bytes()
            assert found == np.asarray(samples[i]['imgs']).tobytes()


COUNT_THREADS = """
import os, sys, cv2
from r2plus1d.data import Samples, read_config
from r2plus1d.container import picture
from r2plus1d.video_file import VideoFile
samples = Samples(read_config(sys.argv[1]))
before = len(os.listdir('/proc/self/task'))
with VideoFile(samples.names[0], False) as video:
    next(video.indexes())
    picture(samples.names[0], next(video.shown()))
    print(len(os.listdir('/proc/self/task')) - before, 'more threads; OpenCV has', cv2.getNumThreads())
"""


def test_a_video_is_decoded_by_the_thread_that_asks_for_it(dataset, three):
    """libav starts a thread for each core and video, unless it is told otherwise; so this needs two cores to fail."""
    done = run(sys.executable, '-c', COUNT_THREADS, three.video, cwd=dataset, env={'PYTHONPATH': str(ROOT)})
    assert done.stdout == '0 more threads; OpenCV has 1\n'


def test_prediction_for_one_video(dataset, small, way, tmp_path):
    """r2plus1d_predict.py against mmaction2's inference_recognizer, both configs, a name with a space and Chinese."""
    video = tmp_path / '我的 clip.avi'
    video.write_bytes((dataset / 'data/ucf101/videos/YoYo/v_YoYo_g02_c01.avi').read_bytes())
    names = [f'class {i} 类' for i in range(50)]  # fewer than the model has
    (tmp_path / 'classes.txt').write_text(''.join(f'{i} {name}\n' for i, name in enumerate(names, 1)), 'utf-8')
    expected = inference_recognizer(init_recognizer(str(way.config), str(small.checkpoint), 'cpu'), str(video))
    for config in (way.config, way.video):
        done = start(ROOT / 'r2plus1d_predict.py', '--model', way.sim, '--precision', 'f32', '--video', video,
                     '--config', config, '--classes', tmp_path / 'classes.txt')
        title, *lines = done.stdout.splitlines()
        assert title == str(video)
        found = [line.split(' ', 1) for line in lines]
        # A class without a name has its number in UCF-101's way of counting, from 1.
        assert [name for _, name in found] == [
            names[i] if i < len(names) else f'class {i + 1}, not in the list' for i, _ in expected]
        np.testing.assert_allclose([float(p) for p, _ in found], [p for _, p in expected], atol=6e-5)


@pytest.mark.parametrize('bs', [1, 3])
def test_without_files_the_outputs_are_the_same(dataset, way, tmp_path, bs):
    """--config against --input with the bins of the same config: outputs and accuracy."""
    options = ['--model', way.sim, '--batchsize', bs, '--outfmt', 'TXT', '--output_dirname', 'run']
    infer('--config', way.config, '--output', tmp_path / 'direct', *options, cwd=dataset)
    infer('--input', way.bins, '--output', tmp_path / 'files', *options)
    direct, files = ({p.name: p.read_bytes() for p in (tmp_path / o / 'run').iterdir()} for o in ('direct', 'files'))
    assert direct == files and len(files) == 5
    direct, files = (postprocess('--result_path', tmp_path / o).stdout for o in ('direct', 'files'))
    assert direct == files


def test_evaluation_from_avi(dataset, way, tmp_path):
    infer('--model', way.sim, '--config', way.video, '--output', tmp_path, '--batchsize', 3, '--cfg-options',
          'data.test.test_mode=True', cwd=dataset)
    assert json.loads(postprocess('--result_path', tmp_path).stdout)['num_videos'] == 5


# ---- ONNX ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime'])
def test_one_onnx_file_agrees_with_pytorch_at_every_batch_size(small, backend, tmp_path):
    reference = torch_model(small.config, small.checkpoint)
    for batch in (1, 2, 3):
        x = np.random.default_rng(batch).standard_normal((batch, 3, 3, 8, 256, 256), dtype=np.float32)
        np.save(tmp_path / f'x{batch}.npy', x)
        model = small.onnx if batch == 1 else small.sim
        infer('--model', model, '--input', tmp_path / f'x{batch}.npy', '--batchsize', batch, '--backend', backend,
              '--output', tmp_path, '--output_dirname', f'out{batch}', '--outfmt', 'NPY')
        result = np.load(tmp_path / f'out{batch}' / f'x{batch}_0.npy')
        np.testing.assert_allclose(result, reference(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize('damage', [
    lambda state: b'no checkpoint',
    lambda state: {'state_dict': dict(list(state.items())[:-1])},
    lambda state: {'state_dict': {'other.weight': torch.zeros(1)}},
], ids=['garbage', 'missing', 'foreign'])
def test_export_refuses_a_checkpoint_that_does_not_fit(small, tmp_path, damage):
    checkpoint = tmp_path / 'bad.pth'
    content = damage(torch.load(small.checkpoint, weights_only=True)['state_dict'])
    if isinstance(content, bytes):
        checkpoint.write_bytes(content)
    else:
        torch.save(content, checkpoint)
    failed = start(ROOT / 'mmaction2/tools/deployment/pytorch2onnx.py', small.config, checkpoint, '--output-file',
                   tmp_path / 'x.onnx', check=False)
    assert failed.returncode == 1 and str(checkpoint) in failed.stderr.splitlines()[-1]
    assert 'Traceback' not in failed.stderr and not list(tmp_path.glob('*.onnx*'))


def test_conversion_takes_the_shape_from_the_config(full, tmp_path):
    for name in ('r2plus1d.onnx', 'r2plus1d_sim.onnx'):
        value, = onnx.load(str(full.folder / name)).graph.input
        assert [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim] == ['-1', *full.shape]
    for batch_size in (1, 2):
        note = json.loads((full.folder / f'r2plus1d_bs{batch_size}.om.json').read_text())
        assert note['input_shape'] == f'0:{batch_size},1,3,8,256,341'
    agreement = json.loads((full.folder / 'compare.json').read_text())
    assert agreement['passed'] and [row['step'] for row in agreement['models']] == [
        'export', 'simplification', 'conversion', 'conversion']
    # An ONNX file tells it, too, to a server without PyTorch.
    for path in (full.sim, full.om, full.config):
        done = run(sys.executable, ROOT / 'test/sample_shape.py', path)
        assert done.stdout.split() == list(map(str, full.shape))
    config = tmp_path / 'config.py'
    config.write_text(full.config.read_text() + 'frame_size = None\n')
    failed = run('bash', ROOT / 'test/pth2om.sh', '--config', config, '--checkpoint', full.config, check=False,
                 cwd=tmp_path)
    assert failed.returncode == 1 and 'has no frame_size' in failed.stderr and '--shape is needed' in failed.stderr


# ---- inference and accuracy ----------------------------------------------------------------------


@pytest.fixture(scope='module')
def mmaction2_results(dataset, small):
    """{average_clips: (scores of each video, {metric: value})} by mmaction2's tools/test.py."""
    results = {}
    for average in ('score', 'prob'):
        out = small.folder / f'{average}.json'
        printed = start(ROOT / 'mmaction2/tools/test.py', small.config, small.checkpoint, '--out', out, '--eval',
                         'top_k_accuracy', 'mean_class_accuracy', '--average-clips', average, cwd=dataset).stdout
        metrics = {key: float(value) for key, value in re.findall(r'^(\w+_acc\w*): (\S+)', printed, re.M)}
        results[average] = np.array(json.loads(out.read_text())), metrics
    return results


@pytest.fixture(scope='module')
def outputs(bins, small):
    """Folders of outputs by batch size and backend."""
    folders = {bs: small.folder / f'out_{bs}' for bs in (1, 2, 3, 16)}
    for bs, backend, fmt in ((1, 'openvino', 'TXT'), (16, 'openvino', 'TXT'), (2, 'onnxruntime', 'NPY'),
                             (3, 'auto', 'BIN')):
        infer('--model', small.sim, '--input', bins, '--batchsize', bs, '--output', folders[bs], '--outfmt', fmt,
              '--backend', backend)
    return folders


@pytest.mark.parametrize('average', ['score', 'prob'])
@pytest.mark.parametrize('bs', [1, 2, 3, 16])
def test_accuracy_is_that_of_mmaction2(outputs, mmaction2_results, bs, average):
    expected_scores, expected = mmaction2_results[average]
    result = json.loads(postprocess(f'--result_path={outputs[bs]}', f'--average_clips={average}').stdout)
    assert set(expected) == {'top1_acc', 'top5_acc', 'mean_class_accuracy'}
    theirs = result.get('mmaction2_mean_class_accuracy', result['mean_class_accuracy'])
    found = {**result, 'mean_class_accuracy': theirs}
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=5e-5)  # printed with 4 digits
    assert result['num_videos'] == 5 and result['average_clips'] == average
    scores, _ = Run.open(str(outputs[bs])).scores(3, 5)
    np.testing.assert_allclose(average_crops(scores, average), expected_scores, rtol=0, atol=1e-4)


def test_batch_16_gives_the_outputs_of_batch_1(outputs):
    one, sixteen = ({p.name: np.loadtxt(p) for p in outputs[bs].glob('*/*.txt')} for bs in (1, 16))
    assert set(one) == set(sixteen) and len(one) == 5
    for name in one:
        np.testing.assert_allclose(one[name], sixteen[name], rtol=0, atol=1e-4)


def test_files_are_those_of_ais_bench(bins, small, npu, tmp_path):
    """Names, contents and summary against the stand-in of ais_bench, at a batch size with padding."""
    run('atc', '--framework=5', f'--model={small.sim}', f'--output={tmp_path}/m', '--input_shape=0:2,3,3,8,256,256',
        '--soc_version=Ascend310P3', env=npu)
    for fmt in ('TXT', 'NPY', 'BIN'):
        options = ['--input', bins, '--batchsize', 2, '--outfmt', fmt, '--output_dirname', fmt]
        run(sys.executable, '-m', 'ais_bench', '--model', tmp_path / 'm.om', '--output', tmp_path / 'npu', *options,
            env=npu)
        infer('--model', small.sim, '--output', tmp_path / 'cpu', '--backend', 'onnxruntime', *options)
        ours, theirs = ({p.name: p.read_bytes() for p in (tmp_path / side / fmt).iterdir()} for side in ('cpu', 'npu'))
        assert ours == theirs and len(ours) == 5
    ours, theirs = (json.loads((tmp_path / side / 'TXT_summary.json').read_text()) for side in ('cpu', 'npu'))
    added = {'engine', 'batchsize', 'num_videos', 'environment', 'model_sha256', 'info_sha256', 'outputs_sha256',
             'sample_shape', 'config_sha256', 'list_sha256', 'speed_sha256', 'time', 'num_classes', 'version',
             'batches_by_device'}
    assert set(ours) == set(theirs) | added
    assert ours['batchsize'] == 2 and ours['num_videos'] == 5
    assert ours['engine']['name'].startswith('ONNX Runtime') and ours['engine']['precision'] == 'f32'
    assert set(ours['engine']) == {'name', 'version', 'precision', 'cpu', 'threads', 'streams'}
    for key in theirs:
        if isinstance(theirs[key], dict) and key != 'filesinfo':
            assert set(ours[key]) == set(theirs[key])
    strip = [{k: [os.path.basename(f) for f in v['infiles'] + v['outfiles']] for k, v in s['filesinfo'].items()}
             for s in (ours, theirs)]
    assert strip[0] == strip[1]
    assert ours['NPU_compute_time']['count'] == 3 and len(ours['npu_compute_time_list']) == 3
    assert ours['throughput'] == pytest.approx(2000 / ours['NPU_compute_time']['mean'])
    results = [postprocess(f'--result_path={tmp_path}/{side}/TXT').stdout for side in ('cpu', 'npu')]
    assert results[0] == results[1]


def test_natural_order_and_files_of_several_samples(dataset, small, tmp_path):
    """A batch of 6 from files of 3 samples, in the order 2 before 10."""
    for n in (10, 2, 1):
        (tmp_path / f'b{n}.bin').write_bytes(b'0' * 12)
    assert [os.path.basename(f) for f in list_inputs(str(tmp_path))] == ['b1.bin', 'b2.bin', 'b10.bin']
    preprocess(dataset, small.config, tmp_path / 'bins', '--bts=3')
    infer('--model', small.sim, '--input', tmp_path / 'bins', '--batchsize', 6, '--output', tmp_path / 'out')
    infer('--model', small.sim, '--input', tmp_path / 'bins', '--output', tmp_path / 'out3')
    one, two = (json.loads(postprocess('--result_path', tmp_path / o).stdout) for o in ('out', 'out3'))
    assert one == two and one['num_videos'] == 5
    failed = infer('--model', small.sim, '--input', tmp_path / 'bins', '--batchsize', 4, check=False)
    assert failed.returncode == 1 and '--bts' in failed.stderr


def test_bf16_is_bf16(small, tmp_path):
    """OpenVINO runs f32 where the CPU has no bf16: there it is refused; elsewhere it is near f32, and not f32."""
    outputs = {}
    for precision in ('f32', 'bf16'):
        done = infer('--model', small.sim, '--precision', precision, '--pure_data_type', 'random', '--backend',
                     'openvino', '--output', tmp_path / precision, check=False)
        outputs[precision] = [np.fromfile(path, np.float32) for path in (tmp_path / precision).glob('*/*.bin')]
    flags = pathlib.Path('/proc/cpuinfo').read_text()
    if done.returncode:
        assert 'no bf16' in done.stderr and done.returncode == 1 and not outputs['bf16']
        assert 'avx512_bf16' not in flags and 'amx_bf16' not in flags
    else:
        f32, bf16 = outputs['f32'][0], outputs['bf16'][0]
        assert 0 < np.abs(f32 - bf16).max() < 0.05 * np.abs(f32).max()


def test_pure_inference(small, tmp_path):
    done = infer('--model', small.sim, '--batchsize', 2, '--loop', 3, '--output', tmp_path, '--pure_data_type',
                 'random')
    summary = json.loads(next(tmp_path.glob('*_summary.json')).read_text())
    assert summary['NPU_compute_time']['count'] == 3 and 'throughput' in done.stderr
    assert np.fromfile(next(tmp_path.glob('*/pure_infer_data_0.bin')), np.float32).size == 2 * 3 * 400


# ---- the full frame ------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def expected(small, full):
    """The scores of the samples by PyTorch."""
    model = torch_model(small.config, small.checkpoint)
    return np.stack([model(sample[None]) for sample, _ in full.samples])


@pytest.fixture(scope='module')
def full_run(full, tmp_path_factory):
    """The outputs of the ONNX model on the bins."""
    folder = tmp_path_factory.mktemp('full_run')
    infer('--model', full.sim, '--input', full.bins, '--output', folder, '--output_dirname', 'run', '--outfmt', 'NPY')
    return folder


def test_outputs_are_those_of_pytorch(full, full_run, expected):
    for i, (_, label) in enumerate(full.samples):
        np.testing.assert_allclose(np.load(full_run / 'run' / f'bin{i}-{i}_{label}_0.npy'), expected[i], atol=1e-4)
    assert json.loads((full_run / 'run_summary.json').read_text())['sample_shape'] == full.shape


def test_evaluation_on_an_npu(dataset, full, expected, npu, tmp_path):
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
    top1 = np.mean(expected[:, 0].argmax(1) == [label for _, label in full.samples])
    assert result['num_videos'] == 5 and result['top1_acc'] == pytest.approx(top1)
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


def test_bytes_int8_and_bf16(dataset, full, expected, tmp_path):
    """Bytes as input; int8 and bf16 arithmetic, near PyTorch."""
    preprocess(dataset, full.config, tmp_path / 'bins', '--dtype=uint8')
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
        infer('--model', model, '--precision', precision, '--input', tmp_path / 'bins', '--output',
              tmp_path / precision, '--output_dirname', 'run', '--outfmt', 'NPY')
        scores = [np.load(path) for path in sorted((tmp_path / precision / 'run').iterdir())]
        largest = np.abs(expected).max()
        assert np.abs(np.array(scores) - expected).max() < bounds[precision] * largest, precision
        assert json.loads(postprocess('--result_path', tmp_path / precision).stdout)['num_videos'] == 5


# ---- mixtures --------------------------------------------------------------------------------------

ONE, THREE = '1 view of 8 frames of 341 x 256', '3 views of 8 frames of 256 x 256'


def refused(done, *words):
    assert done.returncode == 1 and not done.stdout and 'Traceback' not in done.stderr, done.stderr
    last = [line for line in done.stderr.splitlines() if line != 'fail!'][-1]
    assert all(word in last for word in words), last


def test_mixtures_of_bins_config_and_model(dataset, small, full, bins, tmp_path):
    out = ['--output', tmp_path / 'out']
    refused(infer('--model', small.sim, '--input', full.bins, *out, check=False), 'bins_full', ONE, 'sim.onnx', THREE)
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


def test_what_is_said_of_a_run_is_not_contradicted(full_run):
    refused(postprocess('--result_path', full_run, '--crops=3', check=False),
            'bins_full/info.json has bins of 1 view', 'says 3 views')
    assert json.loads(postprocess('--result_path', full_run, '--crops=1').stdout)['num_videos'] == 5


# ---- videos of another shape -----------------------------------------------------------------------


@pytest.fixture(scope='module')
def mixed(dataset, video_list, tmp_path_factory):
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
    for form, row in (('rawframes', f'{name} 64 2\n'), ('videos', f'{name}.avi 2\n')):
        with (folder / f'data/ucf101/ucf101_val_split_1_{form}.txt').open('a') as f:
            f.write(row)
    return SimpleNamespace(folder=folder, name=name, video=path)


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
    of_full, of_three = (start(ROOT / 'r2plus1d_predict.py', '--model', way.sim, '--config', way.config, '--video',
                               mixed.video, '--classes', tmp_path / 'classes.txt', check=False)
                         for way in (full, small))
    refused(of_full, str(mixed.video), '426 x 240', ONE)
    assert of_three.returncode == 0 and len(of_three.stdout.splitlines()) == 6


def test_another_frame_size(mixed, full, tmp_path):
    """A list of another shape alone is no mixture: frame_size tells the shape. Without it, the first video does."""
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{mixed.name} 64 2\n')
    options = ['--cfg-options', f'data.test.ann_file={listed}']
    preprocess(mixed.folder, full.config, tmp_path / 'bins', *options, 'frame_size=(454,256)')
    assert (tmp_path / 'bins/bin0-0_2.bin').stat().st_size == 4 * 3 * 8 * 256 * 454
    config = tmp_path / 'config.py'
    config.write_text(full.config.read_text() + 'frame_size = None\n')
    refused(preprocess(mixed.folder, config, tmp_path / 'none', check=False), mixed.name, '454 x 256', ONE)
