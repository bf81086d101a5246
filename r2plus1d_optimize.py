# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Make variants of the simplified ONNX model: bytes as its input, int8 arithmetic, or both.

    python r2plus1d_optimize.py --model r2plus1d_sim.onnx --uint8_input --output r2plus1d_uint8.onnx
    python r2plus1d_optimize.py --model r2plus1d_sim.onnx --int8 --output r2plus1d_int8.onnx

--uint8_input: Cast, Sub and Mul in front of the first convolution do the Normalize step of the config's test pipeline,
and the model takes the bins of r2plus1d_preprocess.py --dtype uint8. Plain operators: ATC takes it.
--int8: post-training quantization by NNCF (python -m pip install nncf), calibrated on the training videos of the
config; one file with QuantizeLinear and DequantizeLinear, which OpenVINO and ONNX Runtime run. It is then evaluated
beside the model that it was made from, on the test videos, and kept only if top-1 fell by --max_drop at most and the
videos prove something (see r2plus1d/agreement.py).
What was done is noted in the model's metadata_props and printed as JSON on standard output.
"""
# isort: off
import r2plus1d.run  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on
import contextlib
import importlib.util
import json
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter
from tqdm import tqdm

from r2plus1d.agreement import Gate, add_gate_options, check_enough, check_gate_options, judge_pair, predicted_classes
from r2plus1d.bins import check_same_shape
from r2plus1d.data import Samples, read_config
from r2plus1d.engines import make_engine, read_onnx_input
from r2plus1d.inference import score_videos
from r2plus1d.metrics import choose_videos, compare_scores
from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    log,
    make_parser,
    one_line,
    positive_int,
    require_files,
    script_main,
)

NORMALIZE = ['/normalize/Cast', '/normalize/Sub', '/normalize/Mul']  # names of the nodes that --uint8_input adds
OPSET_OF_INT8 = 13  # the first in which QuantizeLinear has a scale for each channel
IR_OF_OPSET_13 = 7

# ---- --uint8_input ----------------------------------------------------------------------------------


def add_uint8_input(model, model_path, cfg):
    """Let the float32 MODEL take uint8 and normalize: (x - mean) * (1 / std), as mmcv.imnormalize does it.

    The nodes go behind the Reshape that makes samples of the crops, where the tensor is N x RGB x T x H x W.
    Raises InputError.
    """
    mean, std = normalization(cfg)
    graph = model.graph
    model_input = graph.input[0]
    if model_input.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise InputError(f'{model_path}: its input is not float32; was it made with --uint8_input already?')
    tensors, users = follow_input(graph, model_path)
    for value in [model_input, *graph.value_info]:
        if value.name in tensors:
            value.type.tensor_type.elem_type = TensorProto.UINT8

    inverse_std = (1 / std.astype(np.float64)).astype(np.float32)
    for name, array in (('normalize.mean', mean), ('normalize.inverse_std', inverse_std)):
        graph.initializer.append(numpy_helper.from_array(array.reshape(1, 3, 1, 1, 1), name))
    cast, sub, mul = (name + '_output_0' for name in NORMALIZE)
    nodes = [
        helper.make_node('Cast', [tensors[-1]], [cast], NORMALIZE[0], to=TensorProto.FLOAT),
        helper.make_node('Sub', [cast, 'normalize.mean'], [sub], NORMALIZE[1]),
        helper.make_node('Mul', [sub, 'normalize.inverse_std'], [mul], NORMALIZE[2]),
    ]
    position = min(i for i, node in enumerate(graph.node) if node in users)
    for user in users:
        user.input[:] = [mul if name == tensors[-1] else name for name in user.input]
    for i, node in enumerate(nodes):
        graph.node.insert(position + i, node)
    for key, text in (('input_dtype', 'uint8'), ('input_mean', mean.tolist()), ('input_std', std.tolist())):
        model.metadata_props.add(key=key, value=str(text))


def normalization(cfg):
    """(mean, std), float32 arrays of three channels, of the Normalize step of the config's test pipeline."""
    steps = [step for step in cfg.data.test.pipeline if step['type'] == 'Normalize']
    if len(steps) != 1 or steps[0].get('to_bgr') or len(steps[0]['mean']) != 3 or len(steps[0]['std']) != 3:
        raise InputError(f'{cfg.filename}: expected one Normalize of RGB without to_bgr in data.test.pipeline')
    return np.array(steps[0]['mean'], np.float32), np.array(steps[0]['std'], np.float32)


def follow_input(graph, model_path):
    """(names of the tensors that hold the input's values as they are, nodes that use the last of them)."""
    tensors = [graph.input[0].name]
    while True:
        users = [node for node in graph.node if tensors[-1] in node.input and node.op_type != 'Shape']
        if len(users) != 1 or users[0].op_type != 'Reshape':
            break
        tensors.append(users[0].output[0])
    kinds = [node.op_type for node in users]
    if not kinds or set(kinds) - {'Conv', 'QuantizeLinear'}:
        raise InputError(f'{model_path}: the input goes to {kinds}, not to a convolution')
    return tensors, users


# ---- --int8 -----------------------------------------------------------------------------------------


def calibration_samples(cfg, test):
    """Samples of the training videos, through the test pipeline; raises InputError if any of them is in TEST."""
    train = Samples.of_training_split(cfg, str(test.dtype))
    for samples in (train, test):
        if not len(samples):
            raise InputError(f'{samples.list_file}: lists no video')
    shared = {os.path.realpath(name) for name in train.names} & {os.path.realpath(name) for name in test.names}
    same_list = os.path.realpath(train.list_file) == os.path.realpath(test.list_file)
    if shared or same_list:
        raise InputError(f'{train.list_file}: has {len(shared) or len(test)} videos of the test list '
                         f'{test.list_file}; int8 is calibrated on training videos, never on test videos')
    return train


def quantize(model, model_path, samples, indices):
    """The MODEL in int8, opset 13, calibrated on samples[i] for i in INDICES. Raises InputError."""
    if any(node.op_type == 'QuantizeLinear' for node in model.graph.node):
        raise InputError(f'{model_path}: is quantized already')
    import nncf
    input_name = model.graph.input[0].name
    data = nncf.Dataset(indices, lambda i: {input_name: samples[i][1][None]})
    normalize = [node.name for node in model.graph.node if node.name in NORMALIZE]
    try:
        if model.opset_import[0].version < OPSET_OF_INT8:
            model = version_converter.convert_version(model, OPSET_OF_INT8)
            model.ir_version = max(model.ir_version, IR_OF_OPSET_13)
        model = nncf.quantize(model, data, subset_size=len(indices), preset=nncf.QuantizationPreset.MIXED,
                              target_device=nncf.TargetDevice.CPU, ignored_scope=nncf.IgnoredScope(names=normalize))
    except (InputError, OSError):
        raise
    except Exception as e:
        raise InputError(f'{model_path}: NNCF {nncf.__version__} cannot quantize it: {e}')
    model.metadata_props.add(key='precision', value='int8')
    model.metadata_props.add(key='quantized_by', value=f'NNCF {nncf.__version__}, on {len(indices)} videos')
    return model


def evaluate(float_model, int8_model, samples, indices, args):
    """What judge_pair() says of the two model files on samples[i] for i in INDICES, and their agreement, as a dict."""
    engines = [make_engine(float_model, 1), make_engine(int8_model, 1, precision='int8')]
    labels, scores = score_videos(engines, samples, tqdm(indices, unit='video', desc='Evaluation'))
    if not np.isfinite(scores).all() or max(labels) >= scores.shape[-1]:
        raise InputError(f'{float_model}: outputs that are not finite, or fewer classes than the test list has')
    first, second = (predicted_classes(rows) for rows in scores)
    judgement = judge_pair(labels, first, second, Gate(args.max_drop, args.allow_unproven))
    agreement = compare_scores(*scores)
    return {
        **{key.replace('first', 'float').replace('second', 'int8'): value for key, value in vars(judgement).items()},
        'top1_agreement': agreement['top1_agreement'],
        'logits_rms': float(np.sqrt(np.mean(scores[0]**2))),
        'logits_rms_difference': agreement['rms_difference'],
        'num_test_videos': len(samples),
        'average_clips': 'score',
        'engine': engines[0].describe(),
    }


# ---- the script -------------------------------------------------------------------------------------


def optimize(args):
    """Write the variant. Returns what is known of it as a dict, in which 'accepted' says whether it was kept."""
    cfg = read_config(args.config, args.cfg_options)
    if not cfg.data.test.get('ann_file'):
        raise InputError(f'{args.config}: its data.test has no ann_file')
    read_onnx_input(args.model)  # raises where it is no model of this kind
    model = onnx.load(args.model)
    report = {'model': args.model, 'output': args.output, 'accepted': True}
    base = os.path.splitext(args.output)[0]
    part = base + '.part.onnx'
    float_part = base + '.float.part.onnx'
    try:
        if args.uint8_input:
            add_uint8_input(model, args.model, cfg)
        if args.int8:
            float_model = args.model
            if args.uint8_input:
                float_model = float_part
                onnx.save(model, float_model)
            report.update(make_int8(args, cfg, model, float_model, part))
        else:
            save_checked(model, part)
        report['input_dtype'] = str(read_onnx_input(part)[1])
        report['bytes'] = os.path.getsize(part)
        if report['accepted']:
            os.replace(part, args.output)
    finally:
        for path in (part, float_part):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)
    return report


def make_int8(args, cfg, model, float_model, output):
    """Quantize MODEL, which is that of the file FLOAT_MODEL, write it to OUTPUT, and evaluate both. Returns a dict."""
    shape, dtype = read_onnx_input(float_model)
    test = Samples(cfg, str(dtype))
    train = calibration_samples(cfg, test)
    check_same_shape(args.config, test[0][1].shape, args.model, shape)
    chosen = choose_videos(len(test), args.eval_videos, args.seed)
    check_enough(len(chosen), Gate(args.max_drop, args.allow_unproven))
    indices = choose_videos(len(train), args.calibration_videos, args.seed)
    log(f'calibration on {len(indices)} of {len(train)} training videos')
    with contextlib.redirect_stdout(sys.stderr):  # NNCF's logs and bars
        model = quantize(model, args.model, train, indices)
    save_checked(model, output)
    report = evaluate(float_model, output, test, chosen, args)
    report.update(calibration_videos=len(indices), seed=args.seed, accepted=not report['rejected'])
    return report


def save_checked(model, path):
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as e:
        raise InputError(f'{path}: the new model is not valid: {one_line(e)}')
    onnx.save(model, path)


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--model', required=True, help='The simplified ONNX model, or a variant of it.')
    parser.add_argument('--config', default=DEFAULT_CONFIG, help='The config file of mmaction2 with the test pipeline '
                        'and with the videos for calibration and evaluation.')
    parser.add_argument('--output', required=True, help='The new .onnx file.')
    parser.add_argument('--uint8_input', action='store_true', help='Make a model that takes bytes and normalizes them.')
    parser.add_argument('--int8', action='store_true', help='Make a model that computes in int8.')
    parser.add_argument('--calibration_videos', type=positive_int, default=100, help='The number of training videos '
                        '(data.train) that --int8 calibrates on.')
    parser.add_argument('--eval_videos', type=positive_int, help='The number of test videos (data.test) that the int8 '
                        'model is evaluated on. (default: all)')
    add_gate_options(parser)
    parser.add_argument('--seed', type=int, default=0, help='The seed of the choice of videos.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to the config, as of '
                        'mmaction2\'s tools.')
    args = parser.parse_args()
    require_files(parser, args, 'model', 'config')
    if not args.uint8_input and not args.int8:
        parser.error('nothing to do; give --uint8_input, --int8 or both')
    if not args.output.endswith('.onnx') or not os.path.isdir(os.path.dirname(args.output) or '.'):
        parser.error(f'--output {args.output}: expected a file name with .onnx at its end, in a folder that exists')
    if os.path.realpath(args.output) == os.path.realpath(args.model):
        parser.error(f'--output {args.output}: is --model itself; choose another name')
    check_gate_options(parser, args)
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: is 0 or more')
    if args.int8 and not importlib.util.find_spec('nncf'):
        raise InputError('--int8 needs NNCF, which is not installed: python -m pip install nncf')
    return args


@script_main
def main():
    args = parse_args()
    report = optimize(args)
    print(json.dumps(report))
    if not report['accepted']:
        raise InputError(f'{args.output}: not written: {report["rejected"]}')
    if report.get('proves_nothing'):
        log(f'{args.output}: written, and nothing is proven: {report["proves_nothing"]}')


if __name__ == '__main__':
    main()
