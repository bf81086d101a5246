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
videos prove something (see r2plus1d/metrics.py).
What was done is noted in the model's metadata_props and printed as JSON on standard output.
"""
from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from typing import Any, Dict, List

from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    log,
    make_parser,
    packages_needed,
    positive_int,
    require_files,
    script_main,
)

with packages_needed():
    import numpy as np
    from tqdm import tqdm

    from r2plus1d.bins import check_same_shape
    from r2plus1d.data import Samples, read_config
    from r2plus1d.engines import make_engine
    from r2plus1d.inference import score_videos
    from r2plus1d.metrics import (
        Gate,
        add_gate_options,
        choose_videos,
        compare_scores,
        judge_pair,
        predicted_classes,
    )
    from r2plus1d.models import check_all_weights, check_classes, classes_of, read_onnx_input
    from r2plus1d.optimize import add_uint8_input, calibration_samples, check_replaceable, quantize, save
    from r2plus1d.store import PART_ENDING, claim, remove_tree

NEW = 'new.onnx'  # the variant, until it is accepted


def evaluate(models: List[str], samples: Samples, indices: List[int], args: argparse.Namespace) -> Dict[str, Any]:
    """What judge_pair() says of two MODELS, float and int8, on samples[i] for i in INDICES, and their agreement."""
    engines = [make_engine(models[0]), make_engine(models[1], precision='int8')]
    for engine in engines:
        engine.prepare(1)
    labels, scores = score_videos(engines, samples, tqdm(indices, unit='video', desc='Evaluation'))
    if not np.isfinite(scores).all() or max(labels) >= scores.shape[-1]:
        raise InputError(f'{models[0]}: outputs that are not finite, or fewer classes than the test list has')
    first, second = (predicted_classes(rows) for rows in scores)
    judgement = judge_pair(labels, first, second, Gate(args.max_drop, args.allow_unproven))
    figures = compare_scores(*scores)
    return {
        **{key.replace('first', 'float').replace('second', 'int8'): value for key, value in vars(judgement).items()},
        'top1_agreement': figures['top1_agreement'],
        'logits_rms': float(np.sqrt(np.mean(scores[0]**2))),
        'logits_rms_difference': figures['rms_difference'],
        'num_test_videos': len(samples),
        'average_clips': 'score',
        'engine': engines[0].describe(),
    }


# ---- the script -------------------------------------------------------------------------------------


def optimize(args: argparse.Namespace) -> Dict[str, Any]:
    """Write the variant. Returns what is known of it, in which 'accepted' says whether it was kept."""
    cfg = read_config(args.config, args.cfg_options)
    if not cfg.data.test.get('ann_file'):
        raise InputError(f'{args.config}: its data.test has no ann_file')
    read_onnx_input(args.model)  # raises where it is no model of this kind
    with claim(args.output, check_replaceable, [args.model, args.config]) as output:
        part = output + PART_ENDING
        remove_tree(part)
        os.mkdir(part)
        try:
            report = make_variant(args, cfg, part)
            if report['accepted']:
                os.replace(os.path.join(part, NEW), output)
        finally:
            remove_tree(part)
    return report


def make_variant(args: argparse.Namespace, cfg: Any, folder: str) -> Dict[str, Any]:
    """Write the variant as NEW into FOLDER. Returns what optimize() returns."""
    import onnx
    model = onnx.load(args.model)
    check_all_weights(args.model, model)
    check_classes(cfg, args.model, classes_of(args.model, model))
    report = {'model': args.model, 'output': args.output, 'accepted': True}
    new = os.path.join(folder, NEW)
    if args.uint8_input:
        add_uint8_input(model, args.model, cfg)
        save(model, new)
    if args.int8:
        float_model = args.model
        if args.uint8_input:
            float_model = os.path.join(folder, 'float.onnx')
            os.rename(new, float_model)
        report.update(make_int8(args, cfg, model, [float_model, new]))
    return {**report, 'input_dtype': str(read_onnx_input(new).dtype), 'bytes': os.path.getsize(new)}


def make_int8(args: argparse.Namespace, cfg: Any, model: Any, paths: List[str]) -> Dict[str, Any]:
    """Quantize MODEL, which is that of the first of the PATHS, write it to the second, and evaluate both."""
    shape, dtype = read_onnx_input(paths[0])
    test = Samples(cfg, str(dtype))
    train = calibration_samples(cfg, test)
    check_same_shape(args.config, test[0][1].shape, args.model, shape)
    chosen = choose_videos(len(test), args.eval_videos, args.seed)
    Gate(args.max_drop, args.allow_unproven).check_enough(len(chosen))
    indices = choose_videos(len(train), args.calibration_videos, args.seed)
    log(f'calibration on {len(indices)} of {len(train)} training videos')
    with contextlib.redirect_stdout(sys.stderr):  # NNCF's logs and bars
        model = quantize(model, args.model, train, indices)
    save(model, paths[1])
    report = evaluate(paths, test, chosen, args)
    report.update(calibration_videos=len(indices), seed=args.seed, accepted=not report['rejected'])
    return report


def parse_args() -> argparse.Namespace:
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
    if args.seed < 0:
        parser.error(f'--seed {args.seed}: is 0 or more')
    if args.int8 and not importlib.util.find_spec('nncf'):
        raise InputError('--int8 needs NNCF, which is not installed: python -m pip install nncf')
    return args


@script_main
def main() -> None:
    args = parse_args()
    report = optimize(args)
    print(json.dumps(report))
    if not report['accepted']:
        raise InputError(f'{args.output}: not written: {report["rejected"]}')
    if report.get('proves_nothing'):
        log(f'{args.output}: written, and nothing is proven: {report["proves_nothing"]}')


if __name__ == '__main__':
    main()
