# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The chain against mmaction2, PyTorch and ONNX Runtime: bins, ONNX, outputs, accuracy."""
import json
import os
import pathlib
import re
import sys

import numpy as np
import pytest
import torch
from conftest import REAL, ROOT, call, run, start

SECONDS = 40


def mmaction2_samples(config, dataset, drop=()):
    """[(array, label)] of the test split by mmaction2's own dataset and dataloader."""
    import mmcv
    from mmaction.datasets import build_dataloader, build_dataset
    cfg = mmcv.Config.fromfile(str(config))
    steps = [step for step in cfg.data.test.pipeline if step['type'] not in drop]
    test = dict(cfg.data.test, pipeline=steps)
    here = os.getcwd()
    os.chdir(dataset)
    try:
        data = build_dataset(test, dict(test_mode=True))
        loader = build_dataloader(data, videos_per_gpu=1, workers_per_gpu=0, dist=False, shuffle=False)
        return [(batch['imgs'][0].numpy(), int(batch['label'])) for batch in loader]
    finally:
        os.chdir(here)


def preprocess(dataset, config, output, *options, **run_options):
    return call('r2plus1d_preprocess', f'--config={config}', f'--output_path={output}', *options, cwd=dataset,
                **run_options)


def infer(*options, **run_options):
    return start(ROOT / 'r2plus1d_infer.py', *options, **run_options)  # engines: in a process of their own


def postprocess(*options, **run_options):
    return call('r2plus1d_postprocess', *options, **run_options)


# ---- bins ----------------------------------------------------------------------------------------


def test_bins_are_what_mmaction2_makes(dataset, small, bins):
    samples = mmaction2_samples(small.config, dataset)
    assert len(samples) == 5 and samples[0][0].shape == (3, 3, 8, 256, 256)
    names = [f'bin{i}-{i}_{label}.bin' for i, (_, label) in enumerate(samples)]
    assert sorted(os.listdir(bins)) == sorted(names + ['info.json'])
    for name, (sample, _) in zip(names, samples):
        assert (bins / name).read_bytes() == sample.tobytes()


def test_bins_of_several_samples_and_the_filled_up_last_one(dataset, small):
    samples = mmaction2_samples(small.config, dataset)
    labels = [str(label) for _, label in samples]
    preprocess(dataset, small.config, 'bins_bts3/', '--bts', '3', '--workers', '1')
    first = dataset / 'bins_bts3' / f'bin0-2_{"_".join(labels[:3])}.bin'
    last = dataset / 'bins_bts3' / f'bin3-4_{"_".join(labels[3:])}.bin'
    assert first.read_bytes() == b''.join(s.tobytes() for s, _ in samples[:3])
    assert last.read_bytes() == b''.join(samples[i][0].tobytes() for i in (3, 4, 4))


def test_uint8_bins_are_the_pipeline_without_normalize(dataset, small):
    preprocess(dataset, small.config, 'bins_uint8', '--dtype', 'uint8')
    for i, (sample, label) in enumerate(mmaction2_samples(small.config, dataset, drop=['Normalize'])):
        assert sample.dtype == np.uint8
        assert (dataset / 'bins_uint8' / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()


def test_another_pipeline_is_run_as_it_is(dataset, small, tmp_path):
    """A pipeline whose end is not the usual one goes through mmaction2 whole."""
    config = tmp_path / 'config.py'
    text = (ROOT / 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py').read_text()
    text = text.replace('to_bgr=False', 'to_bgr=True')
    config.write_text(text.replace("type='ThreeCrop', crop_size=256", "type='CenterCrop', crop_size=224"))
    preprocess(dataset, config, 'bins_bgr')
    for i, (sample, label) in enumerate(mmaction2_samples(config, dataset)):
        assert (dataset / 'bins_bgr' / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()
    failed = preprocess(dataset, config, 'bins_bgr_uint8', '--dtype=uint8', check=False)
    assert failed.returncode == 1 and 'uint8' in failed.stderr and 'Traceback' not in failed.stderr


def test_writing_past_the_page_cache(tmp_path):
    """Sizes, places and positions in the file that O_DIRECT takes, and such that it does not."""
    from r2plus1d.data import empty_at_page
    from r2plus1d.preprocessing import write_past_cache
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


# ---- ONNX ----------------------------------------------------------------------------------------


def torch_model(config, checkpoint):
    import mmcv
    from mmaction.models import build_model
    model = build_model(mmcv.Config.fromfile(str(config)).model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    return lambda x: model.forward_dummy(torch.from_numpy(x))[0].detach().numpy()


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


@pytest.mark.parametrize('change', ['garbage', 'missing', 'foreign'])
def test_export_refuses_a_checkpoint_that_does_not_fit(small, tmp_path, change):
    checkpoint = tmp_path / 'bad.pth'
    state = torch.load(small.checkpoint, weights_only=True)['state_dict']
    if change == 'garbage':
        checkpoint.write_bytes(b'no checkpoint')
    elif change == 'missing':
        torch.save({'state_dict': dict(list(state.items())[:-1])}, checkpoint)
    else:
        torch.save({'state_dict': {'other.weight': torch.zeros(1)}}, checkpoint)
    failed = start(ROOT / 'mmaction2/tools/deployment/pytorch2onnx.py', small.config, checkpoint, '--output-file',
                    tmp_path / 'x.onnx', check=False)
    assert failed.returncode == 1 and str(checkpoint) in failed.stderr.splitlines()[-1]
    assert 'Traceback' not in failed.stderr and not list(tmp_path.glob('*.onnx*'))


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
    folders = {}
    for bs, backend, fmt in ((1, 'openvino', 'TXT'), (16, 'openvino', 'TXT'), (2, 'onnxruntime', 'NPY'),
                             (3, 'auto', 'BIN')):
        folder = small.folder / f'out_{bs}'
        infer('--model', small.sim, '--input', bins, '--batchsize', bs, '--output', folder, '--outfmt', fmt,
              '--backend', backend)
        folders[bs] = folder
    return folders


@pytest.mark.parametrize('average', ['score', 'prob'])
@pytest.mark.parametrize('bs', [1, 2, 3, 16])
def test_accuracy_is_that_of_mmaction2(outputs, mmaction2_results, bs, average):
    from r2plus1d.metrics import average_crops
    from r2plus1d.outputs import Run
    expected_scores, expected = mmaction2_results[average]
    printed = postprocess(f'--result_path={outputs[bs]}', f'--average_clips={average}').stdout
    result = json.loads(printed)
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
    assert set(ours['engine']) == {'name', 'version', 'precision', 'cpu', 'threads'}
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
    from r2plus1d.bins import list_inputs
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


# ---- no files in between -------------------------------------------------------------------------


@pytest.fixture(scope='module')
def video_config(dataset, small):
    """The small model with test videos read from the .avi files, and the list of them."""
    start(ROOT / 'mmaction2/tools/data/build_file_list.py', 'ucf101', 'data/ucf101/videos/', '--level', '2',
           '--format', 'videos', '--shuffle', cwd=dataset)
    config = small.folder / 'video.py'
    text = small.config.read_text().replace('r2plus1d_r34_8x8x1', 'configs/r2plus1d_r34_video_8x8x1')
    config.write_text(text)
    return config


def test_seeking_gives_the_frames_of_mmaction2(dataset, video_config, monkeypatch):
    """Our decoding against mmaction2's PyAVDecode and OpenCVDecode, for clips longer and shorter than a sample."""
    from r2plus1d.data import Samples, read_config

    from mmaction.datasets import build_dataset
    monkeypatch.chdir(dataset)
    cfg = read_config(str(video_config))
    samples = Samples(cfg)
    assert len(samples) == 5
    for library in ('PyAV', 'OpenCV'):
        steps = [dict(step, type=step['type'].replace('PyAV', library)) for step in cfg.data.test.pipeline]
        expected = build_dataset(dict(cfg.data.test, pipeline=steps), dict(test_mode=True))
        for i in range(5):
            label, sample = samples[i]
            assert label == expected[i]['label'] and sample.tobytes() == np.asarray(expected[i]['imgs']).tobytes()


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


def test_a_video_is_decoded_by_the_thread_that_asks_for_it(dataset, video_config):
    """libav starts a thread for each core and video, unless it is told otherwise; so this needs two cores to fail."""
    done = run(sys.executable, '-c', COUNT_THREADS, video_config, cwd=dataset, env={'PYTHONPATH': str(ROOT)})
    assert done.stdout == '0 more threads; OpenCV has 1\n'


def test_bins_straight_from_avi(dataset, video_config, monkeypatch):
    """The script itself, with the config that names the decoding step, leaves the bins that the pipeline makes."""
    from r2plus1d.data import Samples, read_config
    start(ROOT / 'r2plus1d_preprocess.py', '--config', video_config, '--output_path', 'bins_avi', cwd=dataset)
    monkeypatch.chdir(dataset)
    samples = Samples(read_config(str(video_config)))
    assert len(list((dataset / 'bins_avi').glob('*.bin'))) == len(samples) == 5
    for i, (label, sample) in enumerate(samples[i] for i in range(5)):
        assert (dataset / 'bins_avi' / f'bin{i}-{i}_{label}.bin').read_bytes() == sample.tobytes()


def test_prediction_for_one_video(dataset, small, video_config, tmp_path):
    """r2plus1d_predict.py against mmaction2's inference_recognizer, both configs, a name with a space and Chinese."""
    from mmaction.apis import inference_recognizer, init_recognizer
    video = tmp_path / '我的 clip.avi'
    video.write_bytes((dataset / 'data/ucf101/videos/YoYo/v_YoYo_g02_c01.avi').read_bytes())
    names = [f'class {i} 类' for i in range(50)]  # fewer than the model has
    (tmp_path / 'classes.txt').write_text(''.join(f'{i} {name}\n' for i, name in enumerate(names, 1)), 'utf-8')
    expected = inference_recognizer(init_recognizer(str(small.config), str(small.checkpoint), 'cpu'), str(video))
    for config in (small.config, video_config):
        done = start(ROOT / 'r2plus1d_predict.py', '--model', small.sim, '--precision', 'f32', '--video', video,
                      '--config', config, '--classes', tmp_path / 'classes.txt')
        title, *lines = done.stdout.splitlines()
        assert title == str(video)
        found = [line.split(' ', 1) for line in lines]
        # A class without a name has its number in UCF-101's way of counting, from 1.
        assert [name for _, name in found] == [
            names[i] if i < len(names) else f'class {i + 1}, not in the list' for i, _ in expected]
        np.testing.assert_allclose([float(p) for p, _ in found], [p for _, p in expected], atol=6e-5)


def test_a_video_that_ends_early_is_an_error(dataset, video_config, small, tmp_path):
    import shutil
    shutil.copytree(dataset / 'data', tmp_path / 'data', ignore=shutil.ignore_patterns('rawframes'))
    video = tmp_path / 'data/ucf101/videos/YoYo/v_YoYo_g02_c01.avi'
    video.write_bytes(video.read_bytes()[:20000])
    failed = infer('--model', small.sim, '--config', video_config, '--output', tmp_path / 'out', cwd=tmp_path,
                   check=False)
    assert failed.returncode == 1 and video.stem in failed.stderr.splitlines()[-1]
    assert not list(tmp_path.glob('out/*'))


@pytest.mark.parametrize('bs', [1, 3])
def test_without_files_the_outputs_are_the_same(dataset, small, bins, tmp_path, bs):
    """--config against --input with the bins of the same config: outputs and accuracy."""
    options = ['--model', small.sim, '--batchsize', bs, '--outfmt', 'TXT', '--output_dirname', 'run']
    infer('--config', small.config, '--output', tmp_path / 'direct', *options, cwd=dataset)
    infer('--input', bins, '--output', tmp_path / 'files', *options)
    direct, files = ({p.name: p.read_bytes() for p in (tmp_path / o / 'run').iterdir()} for o in ('direct', 'files'))
    assert direct == files and len(files) == 5
    assert postprocess('--result_path', tmp_path / 'direct').stdout == postprocess('--result_path',
                                                                                   tmp_path / 'files').stdout


def test_evaluation_from_avi(dataset, small, video_config, tmp_path):
    infer('--model', small.sim, '--config', video_config, '--output', tmp_path, '--cfg-options',
          'data.test.test_mode=True', cwd=dataset)
    assert json.loads(postprocess('--result_path', tmp_path).stdout)['num_videos'] == 5
