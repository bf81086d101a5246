"""Make variants of the simplified ONNX model: bytes as its input, int8 arithmetic, or both.

    python r2plus1d_optimize.py --model r2plus1d_sim.onnx --config <config> --uint8_input --output r2plus1d_uint8.onnx
    python r2plus1d_optimize.py --model r2plus1d_sim.onnx --config <config> --int8 --output r2plus1d_int8.onnx

--uint8_input: Cast, Sub and Mul in front of the first convolution do the Normalize step of the config's test
pipeline, and the model takes the bins of r2plus1d_preprocess.py --dtype uint8. Plain operators: ATC takes it.
--int8: post-training quantization by NNCF (pip install nncf), calibrated on the training videos of the config;
one file with QuantizeLinear and DequantizeLinear, which OpenVINO and ONNX Runtime run. It is then evaluated
beside the model it was made from, on the test videos, and kept only if top-1 fell by --max_drop at most.
What was done is noted in the model's metadata_props and printed as JSON on standard output.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

warnings.filterwarnings('ignore', module='mmcv')  # its announcements of mmcv 2
import mmcv  # noqa: E402
from mmaction.core import top_k_accuracy  # noqa: E402
from tqdm import tqdm  # noqa: E402

from r2plus1d_engines import InputError, log, make_engine, positive, read_input_spec  # noqa: E402
from r2plus1d_postprocess import average  # noqa: E402
from r2plus1d_preprocess import Samples, read_config  # noqa: E402

NORMALIZE = ['/normalize/Cast', '/normalize/Sub', '/normalize/Mul']  # names of the nodes that --uint8_input adds


def add_uint8_input(model, args, cfg):
    """Let the float32 model take uint8 and normalize: (x - mean) * (1 / std), as mmcv.imnormalize does it.

    The nodes go behind the Reshape that makes samples of the crops, where the tensor is N x RGB x T x H x W.
    """
    steps = [step for step in cfg.data.test.pipeline if step['type'] == 'Normalize']
    if len(steps) != 1 or steps[0].get('to_bgr') or len(steps[0]['mean']) != 3 or len(steps[0]['std']) != 3:
        raise InputError(f'{args.config}: expected one Normalize of RGB without to_bgr in data.test.pipeline')
    mean, std = (np.array(steps[0][key], np.float32) for key in ('mean', 'std'))

    graph, value = model.graph, model.graph.input[0]
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise InputError(f'{args.model}: its input is not float32; was it made with --uint8_input already?')
    path = [value.name]  # the tensors that become bytes
    while True:
        users = [n for n in graph.node if path[-1] in n.input and n.op_type != 'Shape']
        if len(users) != 1 or users[0].op_type != 'Reshape':
            break
        path.append(users[0].output[0])
    if not users or {n.op_type for n in users} - {'Conv', 'QuantizeLinear'}:
        raise InputError(f'{args.model}: the input goes to {[n.op_type for n in users]}, not to a convolution')
    for info in [value, *graph.value_info]:
        if info.name in path:
            info.type.tensor_type.elem_type = TensorProto.UINT8
    for name, array in (('mean', mean), ('inverse_std', (1 / std.astype(np.float64)).astype(np.float32))):
        graph.initializer.append(numpy_helper.from_array(array.reshape(1, 3, 1, 1, 1), f'normalize.{name}'))
    cast, sub, mul = (name + '_output_0' for name in NORMALIZE)
    position = min(i for i, node in enumerate(graph.node) if node in users)
    for node in users:
        node.input[:] = [mul if name == path[-1] else name for name in node.input]
    for node in (helper.make_node('Mul', [sub, 'normalize.inverse_std'], [mul], NORMALIZE[2]),
                 helper.make_node('Sub', [cast, 'normalize.mean'], [sub], NORMALIZE[1]),
                 helper.make_node('Cast', [path[-1]], [cast], NORMALIZE[0], to=TensorProto.FLOAT)):
        graph.node.insert(position, node)
    for key, text in dict(input_dtype='uint8', input_mean=mean.tolist(), input_std=std.tolist()).items():
        model.metadata_props.add(key=key, value=str(text))


def calibration_samples(args, cfg, test):
    """Samples of the training videos, through the test pipeline; raises if any of them is in TEST."""
    train = cfg.data.get('train')
    while train and 'dataset' in train:  # RepeatDataset
        train = train.dataset
    if not train or not train.get('ann_file'):
        raise InputError(f'{args.config}: has no data.train with an ann_file to calibrate on')
    options = {f'data.test.{key}': value for key, value in train.items() if key != 'pipeline'}
    samples = Samples(args.config, str(test.dtype), {**(args.cfg_options or {}), **options})
    paths, test_paths = ({os.path.realpath(i.get('frame_dir') or i['filename']) for i in s.dataset.video_infos}
                         for s in (samples, test))
    if not paths or not test_paths:
        raise InputError(f'{cfg.data.test.ann_file if paths else train.ann_file}: lists no video')
    shared = len(paths & test_paths)
    if shared or os.path.realpath(train.ann_file) == os.path.realpath(cfg.data.test.ann_file):
        raise InputError(f'{train.ann_file}: has {shared or len(test)} videos of the test list '
                         f'{cfg.data.test.ann_file}; int8 is calibrated on training videos, never on test videos')
    return samples


def choose(samples, count, seed):
    """The indices, in order, of COUNT samples by a seeded choice, of all if there are no more."""
    return sorted(np.random.default_rng(seed).permutation(len(samples))[:count].tolist())


def quantize(model, args, samples, indices):
    """The model in int8, opset 13 (which has a scale for each channel), calibrated on samples[i] for i in INDICES."""
    if any(node.op_type == 'QuantizeLinear' for node in model.graph.node):
        raise InputError(f'{args.model}: is quantized already')
    import nncf
    name = model.graph.input[0].name
    normalize = [node.name for node in model.graph.node if node.name in NORMALIZE]
    try:
        if model.opset_import[0].version < 13:
            model = version_converter.convert_version(model, 13)
            model.ir_version = max(model.ir_version, 7)  # that of opset 13
        model = nncf.quantize(
            model, nncf.Dataset(indices, lambda i: {name: samples[i][1][None]}), subset_size=len(indices),
            preset=nncf.QuantizationPreset.MIXED, target_device=nncf.TargetDevice.CPU,
            ignored_scope=nncf.IgnoredScope(names=normalize))
    except (InputError, OSError):
        raise
    except Exception as e:
        raise InputError(f'{args.model}: NNCF {nncf.__version__} cannot quantize it: {e}')
    model.metadata_props.add(key='precision', value='int8')
    model.metadata_props.add(key='quantized_by', value=f'NNCF {nncf.__version__}, on {len(indices)} videos')
    return model


def evaluate(args, float_model, int8_model, samples):
    """Top-1 of two models on the same samples, and how far they agree, as a dict."""
    shape = [1] + read_input_spec(float_model)[0]
    engines = [make_engine(argparse.Namespace(model=model, precision=precision, backend='auto', device=0), shape)
               for model, precision in ((float_model, 'f32'), (int8_model, 'int8'))]
    labels, scores = [], ([], [])
    for i in tqdm(choose(samples, args.eval_videos, args.seed), unit='video', desc='Evaluation'):
        label, sample = samples[i]
        labels.append(label)
        for engine, rows in zip(engines, scores):
            rows.append(engine(sample[None])[0])
    scores = np.array(scores)  # models x videos x crops x classes
    if not np.isfinite(scores).all() or max(labels) >= scores.shape[-1]:
        raise InputError(f'{args.model}: outputs that are not finite, or fewer classes than the test list has')
    videos = [average(s, 'score') for s in scores]
    top1 = [float(top_k_accuracy(v, labels, (1, ))[0]) for v in videos]
    return {
        'top1_acc_float': top1[0], 'top1_acc_int8': top1[1], 'top1_drop': top1[0] - top1[1], 'max_drop': args.max_drop,
        'top1_agreement': float(np.mean(videos[0].argmax(1) == videos[1].argmax(1))),
        'logits_rms': float(np.sqrt(np.mean(scores[0]**2))),
        'logits_rms_difference': float(np.sqrt(np.mean((scores[1] - scores[0])**2))),
        'num_videos': len(labels), 'num_test_videos': len(samples), 'average_clips': 'score', 'engine': engines[0].name
    }


def optimize(args):
    """Write the variant; what is known of it as a dict, in which 'accepted' says whether it was kept."""
    cfg = read_config(args.config, args.cfg_options)
    if not cfg.data.test.get('ann_file'):
        raise InputError(f'{args.config}: its data.test has no ann_file')
    shape, dtype = read_input_spec(args.model)
    model = onnx.load(args.model)
    float_model, base = args.model, os.path.splitext(args.output)[0]
    part, float_part = base + '.part.onnx', base + '.float.part.onnx'
    report = {'model': args.model, 'output': args.output}
    try:
        if args.uint8_input:
            add_uint8_input(model, args, cfg)
            dtype = np.dtype(np.uint8)
            if args.int8:
                float_model = float_part
                onnx.save(model, float_model)
        report.update(input_dtype=str(dtype), accepted=True)
        if args.int8:
            test = Samples(args.config, str(dtype), args.cfg_options)
            train = calibration_samples(args, cfg, test)
            found = list(test[0][1].shape)
            if found != shape:
                raise InputError(f'{args.model}: takes samples of {shape}, the test pipeline makes {found}')
            indices = choose(train, args.calibration_videos, args.seed)
            log(f'calibration on {len(indices)} of {len(train)} training videos')
            with contextlib.redirect_stdout(sys.stderr):  # NNCF's logs and bars
                model = quantize(model, args, train, indices)
        onnx.checker.check_model(model)
        onnx.save(model, part)
        if args.int8:
            report.update(evaluate(args, float_model, part, test), calibration_videos=len(indices), seed=args.seed)
            report['accepted'] = report['top1_drop'] <= args.max_drop + 1e-9  # a difference of floats
        report['bytes'] = os.path.getsize(part)
        if report['accepted']:
            os.replace(part, args.output)
    finally:
        for path in (part, float_part):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
    return report


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', required=True, help='simplified ONNX model, or a variant of it')
    parser.add_argument('--config', required=True, help='config file of mmaction2, for its data')
    parser.add_argument('--output', required=True, help='the new .onnx file')
    parser.add_argument('--uint8_input', action='store_true', help='take bytes and normalize in the model')
    parser.add_argument('--int8', action='store_true', help='quantize to int8')
    parser.add_argument('--calibration_videos', type=positive, default=100, help='of data.train (default: 100)')
    parser.add_argument('--eval_videos', type=positive, help='of data.test (default: all)')
    parser.add_argument('--max_drop', type=float, default=0.005, help='of top-1, 0 to 1 (default: 0.005)')
    parser.add_argument('--seed', type=int, default=0, help='of the choice of videos (default: 0)')
    parser.add_argument('--cfg-options', nargs='+', action=mmcv.DictAction, help='as of mmaction2\'s tools')
    args = parser.parse_args(argv)
    for name, path in (('model', args.model), ('config', args.config)):
        if not os.path.isfile(path):
            parser.error(f'--{name} {path}: no such file')
    if not args.uint8_input and not args.int8:
        parser.error('nothing to do; give --uint8_input, --int8 or both')
    if not args.output.endswith('.onnx') or not os.path.isdir(os.path.dirname(args.output) or '.'):
        parser.error(f'--output {args.output}: expected a file name with .onnx at its end, in a folder that exists')
    if os.path.realpath(args.output) == os.path.realpath(args.model):
        parser.error(f'--output {args.output}: is --model itself; choose another name')
    if not 0 <= args.max_drop <= 1 or args.seed < 0:
        parser.error('--max_drop is 0 to 1, --seed 0 or more')
    if args.int8 and not importlib.util.find_spec('nncf'):
        sys.exit('r2plus1d_optimize.py: --int8 needs NNCF, which is not installed: pip install nncf')
    return args


def main():
    args = parse_args()
    try:
        report = optimize(args)
    except (InputError, OSError, onnx.checker.ValidationError) as e:
        sys.exit(f'r2plus1d_optimize.py: {" ".join(str(e).split())[:500]}')
    print(json.dumps(report))
    if not report['accepted']:
        sys.exit(f'r2plus1d_optimize.py: {args.output}: not written: top-1 fell from {report["top1_acc_float"]:.4f} to '
                 f'{report["top1_acc_int8"]:.4f}, by more than --max_drop {args.max_drop}')


if __name__ == '__main__':
    main()
