# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Say how far the models of one checkpoint agree with PyTorch, on real samples, and at which step they part.

    python r2plus1d_compare.py --checkpoint best_top1_acc_epoch_35.pth \
        --models r2plus1d.onnx r2plus1d_sim.onnx r2plus1d_bs16.om --bins predata_bts1 > compare.json
    python r2plus1d_compare.py --checkpoint best_top1_acc_epoch_35.pth --models r2plus1d_int8_bs16.om
    python r2plus1d_compare.py --runs ./predata_bts1_onnx_out ./fullframe_out > fullframe.json

Test videos of the config go through its pipeline and through PyTorch and each model. The JSON on standard output has
the figures of each model, the table on standard error the most important of them. The exit status is 1 where a model is
further from PyTorch than its kind may be (BOUNDS). Then the step of the chain is named at which the difference first
appears, and what the difference looks like: crops in another order, BGR for RGB, another mean.

--runs compares the accuracy of two runs on the same videos; two --models with two files of --config are compared each
with its own config. The report has both accuracies, the videos with different answers and the p-value of McNemar's
test. The exit status is 1 where top-1 falls by more than --max_drop, or where the videos prove nothing; the rules are
in r2plus1d/agreement.py.
"""
# isort: off
import r2plus1d.run  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on
import json
import os
import sys

import numpy as np
from tqdm import tqdm

from r2plus1d.agreement import (
    add_gate_options,
    check_gate_options,
    compare_accuracies,
    explain_bin,
    explain_normalization,
    explain_scores,
)
from r2plus1d.bins import check_same_shape, check_values, list_inputs, read_bin_name, read_info, read_input
from r2plus1d.data import Clips, Samples, read_config
from r2plus1d.engines import PyTorch, make_engine
from r2plus1d.inference import infer_sample, score_videos
from r2plus1d.metrics import choose_videos, compare_scores, top1_accuracy
from r2plus1d.onnx_files import load_onnx
from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    log,
    make_parser,
    positive_int,
    require_files,
    script_main,
    signals_wait,
)

# The largest max_rel_difference that a kind of model may have (see compare_scores() for what that is). f32 has the same
# sums in another order, and the same bound as pytorch2onnx.py --verify. fp16 and bf16 have 11 and 8 bits of precision:
# 6e-4 and 6e-3 were seen with the demo's trained model. int8 is judged by its cosine above all, since single scores may
# differ much where the best class is the same: 0.27 and a cosine of 0.988 were seen, with no best class changed.
BOUNDS = {'f32': 1e-4, 'fp16': 5e-3, 'bf16': 3e-2, 'int8': 0.5}
LEAST_COSINE = {'f32': 0.99999, 'fp16': 0.999, 'bf16': 0.999, 'int8': 0.95}
BIN_BOUNDS = {'uint8': 5, 'float32': 0.09}  # JPEG decoders differ by a few levels of 255; one level is 1/57 normalized
STEPS = ('preprocessing', 'export', 'simplification', 'uint8 input', 'quantization', 'conversion')


# ---- what a model file is ----------------------------------------------------------------------------


def describe_models(paths, precision, om_precision):
    """[{model, step, precision}] of model files in the order of STEPS, those of the same step as given.

    The first plain ONNX file is what the export wrote, the next ones are simplified ones.
    """
    rows = []
    for path in paths:
        if path.endswith('.om'):
            is_int8 = 'int8' in os.path.basename(path)  # as test/pth2om.sh --amct calls it
            rows.append({'model': path, 'step': 'conversion', 'precision': 'int8' if is_int8 else om_precision})
            continue
        step = onnx_step(path)
        if step == 'export' and any(row['step'] == 'export' for row in rows):
            step = 'simplification'
        rows.append({'model': path, 'step': step, 'precision': 'int8' if step == 'quantization' else precision})
    return sorted(rows, key=lambda row: STEPS.index(row['step']))


def onnx_step(path):
    """The step that made an ONNX file, by its nodes and its input."""
    with signals_wait():
        import onnx
    graph = load_onnx(path).graph
    if any(node.op_type == 'QuantizeLinear' for node in graph.node):
        return 'quantization'
    if any(value.type.tensor_type.elem_type == onnx.TensorProto.UINT8 for value in graph.input):
        return 'uint8 input'
    return 'export'


# ---- comparison --------------------------------------------------------------------------------------


def within(precision, expected, found):
    """Whether the scores FOUND are finite and within the bounds of a precision."""
    if not np.isfinite(found).all():
        return False
    figures = compare_scores(expected, found)
    return figures['max_rel_difference'] <= BOUNDS[precision] and figures['cosine'] >= LEAST_COSINE[precision]


class Comparison:
    """The chosen test videos, as PyTorch scores them, and the comparison of models with that."""

    def __init__(self, cfg, checkpoint, samples, indices):
        """SAMPLES: those of the config's test split, float32. INDICES: the numbers of the chosen ones."""
        self.cfg = cfg
        self.indices = indices
        self.samples = {'float32': samples}
        self.names = samples.names
        _, sample = samples[indices[0]]
        self.reference = PyTorch(cfg, checkpoint, list(sample.shape))
        progress = tqdm(indices, unit='video', desc='PyTorch')
        self.labels, scores = score_videos([self.reference], samples, progress)
        self.expected = scores[0]

    def samples_of(self, dtype):
        if dtype not in self.samples:
            self.samples[dtype] = Samples(self.cfg, dtype)
        return self.samples[dtype]

    def compare(self, row, backend, device):
        """Add to ROW, a dict of describe_models(), the figures of its model and whether they are within the bounds."""
        precision = row['precision']
        if row['step'] == 'conversion':
            engine = make_engine(row['model'], device=device)
        else:
            engine = make_engine(row['model'], backend, precision, device)
        check_same_shape(self.cfg.filename, self.reference.sample_shape, row['model'], engine.sample_shape)
        engine.prepare(engine.batch_size or 1)
        samples = self.samples_of(str(engine.dtype))
        _, scores = score_videos([engine], samples, tqdm(self.indices, unit='video', desc=row['model']))
        found = scores[0]
        if found.shape != self.expected.shape:
            raise InputError(f'{row["model"]}: gives scores of {found.shape[1:]} for a video, '
                             f'PyTorch gives {self.expected.shape[1:]}')
        row.update(compare_scores(self.expected, found), engine=engine.describe().to_json(), bound=BOUNDS[precision])
        row['top1_acc'] = top1_accuracy(found, self.labels)
        row['passed'] = within(precision, self.expected, found)
        position = row.pop('first_top1_difference')
        row['first_top1_difference'] = None if position is None else self.describe_video(self.indices[position])
        if not row['passed']:
            swapped = self.score_swapped(engine, samples, self.indices)
            row['looks_like'] = explain_scores(self.expected, found, swapped, lambda a, b: within(precision, a, b))
            row['looks_like'] = row['looks_like'] or explain_normalization(row['model'], self.cfg)

    @staticmethod
    def score_swapped(engine, samples, indices):
        """The scores of videos whose red and blue channels are swapped: videos x crops x classes."""
        scores = []
        for i in indices:
            _, sample = samples[i]
            scores.append(infer_sample(engine, np.ascontiguousarray(sample[:, ::-1])))
        return np.array(scores)

    def describe_video(self, index):
        """The name of a video and the numbers of the frames that the models saw."""
        frames, _ = Clips(self.cfg)[index]
        return {'number': index, 'video': self.names[index], 'frames': [int(frame) for frame in frames]}


def compare_bins(folder, comparison):
    """How far the bins in a folder are from what the test pipeline makes, as a row like those of models."""
    files = {}
    for path in list_inputs(folder):
        first, labels = read_bin_name(path)
        for offset in range(len(labels)):
            files[first + offset] = (path, offset)
    info = read_info(folder) or {}
    dtype = info.get('dtype', 'float32')
    bound = BIN_BOUNDS[dtype]
    samples = comparison.samples_of(dtype)
    largest = 0.0
    looks_like = None
    for index in comparison.indices:
        if index not in files:
            raise InputError(f'{folder}: has no bin of video {index}, {comparison.names[index]}')
        path, offset = files[index]
        expected = samples[index][1]
        found = read_bin_sample(path, offset, expected)
        difference = float(np.abs(found.astype(np.float32) - expected).max())
        largest = max(largest, difference)
        if difference > bound and looks_like is None:
            looks_like = explain_bin(found, expected, bound)
    return {'model': folder, 'step': 'preprocessing', 'precision': dtype, 'max_abs_difference': largest,
            'bound': bound, 'passed': largest <= bound, 'looks_like': looks_like}


def read_bin_sample(path, offset, like):
    """Sample OFFSET of a bin, an array of the shape and dtype of LIKE."""
    count, rest = divmod(os.path.getsize(path), like.nbytes)
    if rest or count <= offset:
        raise InputError(f'{path}: {os.path.getsize(path)} bytes are not samples of {like.nbytes} bytes')
    data = np.empty((count, *like.shape), like.dtype)
    read_input(path, data)
    check_values(path, data.reshape(-1))
    return data[offset]


# ---- the script --------------------------------------------------------------------------------------


def compare(args):
    """The report as a dict, in which 'passed' says whether all models are within their bounds.

    None where the data set is not there and --skip_without_data is given.
    """
    config, = args.config
    cfg = read_config(config, args.cfg_options)
    if args.skip_without_data and not os.path.isfile(cfg.data.test.ann_file):
        log(f'no comparison with PyTorch: the test list {cfg.data.test.ann_file} is not there')
        return None
    samples = Samples(cfg)
    num_videos = len(samples)
    if not num_videos:
        raise InputError(f'{config}: its test list has no video')
    models = describe_models(args.models, args.precision, args.om_precision)
    comparison = Comparison(cfg, args.checkpoint, samples, choose_videos(num_videos, args.videos or 20, args.seed))
    rows = []
    if args.bins:
        rows.append(compare_bins(args.bins, comparison))
    for row in models:
        comparison.compare(row, args.backend, args.device)
        rows.append(row)
    failed = [row for row in rows if not row['passed']]
    first = None
    if failed:
        first = {'step': failed[0]['step'], 'model': failed[0]['model'], 'looks_like': failed[0].get('looks_like')}
    return {
        'checkpoint': args.checkpoint,
        'config': config,
        'reference': comparison.reference.describe().to_json(),
        'top1_acc': top1_accuracy(comparison.expected, comparison.labels),
        'num_videos': len(comparison.indices),
        'num_test_videos': num_videos,
        'seed': args.seed,
        'models': rows,
        'first_difference': first,
        'passed': not failed,
    }


def print_table(report):
    """The most important figures, as text on standard error."""
    lines = [('model', 'step', 'precision', 'max diff', 'relative', 'bound', 'cosine', 'top-1', 'top-5', '')]
    for row in report['models']:
        figures = [f'{row["max_abs_difference"]:.2e}']
        for name, form in (('max_rel_difference', '.2e'), ('bound', '.0e'), ('cosine', '.5f'),
                           ('top1_agreement', '.3f'), ('top5_agreement', '.3f')):
            figures.append(format(row[name], form) if name in row else '')
        verdict = 'good' if row['passed'] else 'TOO FAR'
        lines.append((row['model'], row['step'], row['precision'], *figures, verdict))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print(f'\n{report["num_videos"]} of {report["num_test_videos"]} test videos, against PyTorch', file=sys.stderr)
    for line in lines:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip(), file=sys.stderr)


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--config', default=[DEFAULT_CONFIG], nargs='+', help='The config file of mmaction2 with the '
                        'model and the test videos. Two of them compare the accuracy of two --models, each with its '
                        'own config. (default: this repository\'s config of three crops)')
    parser.add_argument('--checkpoint', help='The .pth that the models were made from.')
    parser.add_argument('--models', nargs='+', default=[], metavar='MODEL', help='ONNX files and .om files, in any '
                        'order. Of several plain ONNX files the first is taken for the exported one.')
    parser.add_argument('--runs', nargs=2, metavar='RUN', help='Two runs on the same videos, whose accuracies are '
                        'compared: the --output of two inferences, the one that is to be replaced first.')
    parser.add_argument('--bins', help='A folder of r2plus1d_preprocess.py, which is compared with what the test '
                        'pipeline makes.')
    parser.add_argument('--classes', help='The class list, which names the different answers where two accuracies are '
                        'compared.')
    add_gate_options(parser)
    parser.add_argument('--videos', type=positive_int, help='The number of test videos to compare on. (default: 20, or '
                        'all where two accuracies are compared)')
    parser.add_argument('--seed', type=int, default=0, help='The seed of the choice of videos.')
    parser.add_argument('--precision', choices=['f32', 'bf16'], default='f32', help='The precision of the arithmetic '
                        'for ONNX files that are not int8.')
    parser.add_argument('--om_precision', choices=list(BOUNDS), default='fp16', help='The precision of the .om files, '
                        'which do not tell it themselves. ATC makes fp16 unless told otherwise. Those with int8 in '
                        'their name are int8.')
    parser.add_argument('--backend', default='auto', choices=['auto', 'openvino', 'onnxruntime'],
                        help='The engine for the ONNX files.')
    parser.add_argument('--device', type=int, default=0, help='The number of the accelerator.')
    parser.add_argument('--skip_without_data', action='store_true', help='Where the test list is missing, say so and '
                        'end with exit status 0.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to the config, as of '
                        'mmaction2\'s tools.')
    args = parser.parse_args()
    check_arguments(parser, args)
    return args


def check_arguments(parser, args):
    check_gate_options(parser, args)
    if args.classes:
        require_files(parser, args, 'classes')
    for path in args.config:
        if not os.path.isfile(path):
            parser.error(f'--config {path}: no such file')
    if args.runs:
        if args.models or args.checkpoint or len(args.config) > 1:
            parser.error('--runs goes with one --config, and without --models and --checkpoint')
        return
    if len(args.config) > 2 or (len(args.config) == 2 and (len(args.models) != 2 or args.checkpoint)):
        parser.error('two files of --config go with two --models, and without --checkpoint')
    if len(args.config) == 1:
        if not args.checkpoint or not args.models:
            parser.error('give --checkpoint and --models, or --runs, or two files of --config and two --models')
        require_files(parser, args, 'checkpoint')
    for path in args.models:
        if not os.path.isfile(path):
            parser.error(f'--models {path}: no such file')
        if not path.endswith(('.onnx', '.om')):
            parser.error(f'--models {path}: expected an .onnx or an .om')


@script_main
def main():
    args = parse_args()
    if args.runs or len(args.config) == 2:
        compare_accuracies(args)
        return
    report = compare(args)
    if report is None:
        return
    print(json.dumps(report))
    print_table(report)
    if not report['passed']:
        first = report['first_difference']
        reason = f'; it looks like {first["looks_like"]}' if first['looks_like'] else ''
        raise InputError(f'{first["model"]}: differs too much from the step before: {first["step"]}{reason}')


if __name__ == '__main__':
    main()
