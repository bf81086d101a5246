# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Run a model on .bin files as ais_bench runs an .om on an NPU: the same files, and the flags that both have.

    python r2plus1d_infer.py --model r2plus1d_sim.onnx --input predata_bts1 --batchsize 1 \
        --output ./predata_bts1_onnx_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_bs16.om --config --output ./om_direct_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --batchsize 1 --loop 3

The first command reads .bin files. The second one decodes the test videos of this repository's config while the NPU
computes. The third one measures the model alone.

Grouping of files into batches, padding of the last batch, names and formats of outputs and the summary JSON are those
of ais_bench, so that what reads them cannot tell the two apart. So are these flags: --model, --input, --output,
--output_dirname, --outfmt, --loop, --batchsize, --device, --warmup_count, --pure_data_type and --debug, also with
dashes for underscores as ais_bench has them since 2026. The other flags are our own.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Tuple

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

    from r2plus1d.batches import Files, PureInference, Source, TestVideos, Work
    from r2plus1d.engines import add_engine_options, make_engines, start_engines
    from r2plus1d.inference import scores_of
    from r2plus1d.metrics import are_probabilities
    from r2plus1d.models import Engine, check_memory, is_out_of_memory
    from r2plus1d.output_files import OutputWriter
    from r2plus1d.summary import RunFacts, make_summary, note_provenance


def infer(args: argparse.Namespace) -> None:
    """Take the folder of outputs, which is refused before any work where another run has it; then infer."""
    inputs = [] if not args.input else [args.input] if os.path.isdir(args.input) else args.input.split(',')
    with OutputWriter(args.output, args.output_dirname, args.outfmt, inputs) as outputs:
        try:
            infer_into(outputs, args)
        except Exception as e:
            if not is_out_of_memory(e):
                raise
            batch_size = f'--batchsize {args.batchsize}' if args.batchsize else args.model
            raise InputError(f'{batch_size}: the memory is not enough; give a smaller batch size')


def infer_into(outputs: OutputWriter, args: argparse.Namespace) -> None:
    all_engines, cfg = load(args)
    first = all_engines[0]
    engines = name_devices(args.device, all_engines)
    source = make_source(args, cfg, first)
    outputs.expect(name for names in source.groups for name in names if name)
    provenance = note_provenance(args.model, args.input, cfg)
    check_memory(source.batch_size, first.sample_shape, first.dtype)
    source.check_classes(first)
    with ThreadPoolExecutor(len(engines)) as pool:  # the devices at the same time
        list(pool.map(lambda engine: warm_up(engine, source, args.warmup_count), engines.values()))
    began = time.perf_counter()
    with tqdm(total=len(source.groups), unit='batch', desc='Inference') as bar:
        times = Work(source, args.loop, outputs, bar).divide(engines)
    seconds = time.perf_counter() - began
    if note_provenance(args.model, args.input, cfg) != provenance:
        raise InputError(f'{args.model} or {args.input or args.config}: was changed while the inference ran; run it '
                         'again')
    summary = make_summary(RunFacts(times, source.batch_size, first.describe(), source.num_videos, provenance,
                                    first.sample_shape))
    outputs.finish(summary)
    report_speed(summary, args.loop * source.num_samples / seconds)


def load(args: argparse.Namespace) -> Tuple[List[Engine], Any]:
    """The engines, and the mmcv.Config of --config or None. Reading it imports mmcv, while the engines load."""
    if not args.config:
        return make_engines(args), None
    started = start_engines(args)
    from r2plus1d.data import read_config
    cfg = read_config(args.config, args.cfg_options)
    cfg.merge_from_dict({'allow_outside': args.allow_outside, 'allow_damaged': args.allow_damaged})
    return started.result(), cfg


def make_source(args: argparse.Namespace, cfg: Any, engine: Engine) -> Source:
    batch_size = args.batchsize or engine.batch_size
    if args.input:
        return Files(args.input, batch_size, engine, args.allow_damaged)
    return TestVideos(cfg, batch_size, engine) if args.config else PureInference(args.pure_data_type, batch_size)


def name_devices(numbers: List[int], engines: List[Engine]) -> Dict[str, Engine]:
    """The engines by the name of their device. A device that is there twice has two names."""
    once = len(set(numbers)) == len(numbers)
    return {f'device{number}' if once else f'device{number}_{i}': engine
            for i, (number, engine) in enumerate(zip(numbers, engines))}


def warm_up(engine: Engine, source: Source, count: int) -> None:
    engine.prepare(source.batch_size)
    batch = np.zeros([source.batch_size, *engine.sample_shape], engine.dtype)
    for number in range(count):
        outputs = engine(batch)
        if number == 0:
            scores = scores_of(engine, outputs, source.batch_size)
            engine.num_classes = scores.shape[-1]  # an .om says it now
            source.check_classes(engine)
            if are_probabilities(scores):
                log(f'{engine.model}: gives probabilities, by a softmax of its own')


def report_speed(summary: Dict[str, Any], rate: float) -> None:
    figures = summary['NPU_compute_time']
    log('compute time (ms): ' + ', '.join(f'{key} = {value:.6g}' for key, value in figures.items()))
    log(f'throughput 1000*batchsize({summary["batchsize"]})/mean({figures["mean"]:.6g}): {summary["throughput"]:.6g}')
    log(f'with reading and writing: {rate:.6g} samples/s, without padding')


def count_from_0(text: str) -> int:
    """Type of --warmup_count."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text} is not 0 or more')
    return value


def parse_args() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument('--model', '-m', required=True, help='The ONNX model, or the .om.')
    parser.add_argument('--input', '-i', help='The folder of .bin or .npy files, or files with commas between. '
                        'Without --input and --config the model runs on made-up values, for its speed alone.')
    parser.add_argument('--config', nargs='?', const=DEFAULT_CONFIG, help='Instead of --input: a config of mmaction2, '
                        'whose test videos are decoded while the model runs, without files in between. Without a '
                        'value it is this repository\'s config.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to --config, as of '
                        'mmaction2\'s tools.')
    parser.add_argument('--allow_outside', '--allow-outside', action='store_true', help='Of --config: take videos '
                        'outside the data folder.')
    parser.add_argument('--allow_damaged', '--allow-damaged', action='store_true', help='Of --config: take damaged '
                        'videos as the decoder mends them. Of --input: take files with many zeros in a row.')
    parser.add_argument('--output', '-o', help='The folder for the folder of outputs and its _summary.json.')
    parser.add_argument('--output_dirname', '--output-dirname', help='The name of the folder of outputs. (default: '
                        'date and time)')
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'], help='The format of the outputs.')
    parser.add_argument('--loop', '-l', type=positive_int, default=1, help='How often each batch is run.')
    parser.add_argument('--batchsize', type=positive_int, help='The number of samples in a batch. (default: as many '
                        'as in a file)')
    parser.add_argument('--warmup_count', '--warmup-count', type=count_from_0, default=1, help='How often the model is '
                        'run before time is taken.')
    parser.add_argument('--pure_data_type', '--pure-data-type', default='zero', choices=['zero', 'random'],
                        help='The values that the model runs on without --input and --config.')
    parser.add_argument('--debug', nargs='?', const='1', help='With 1, or without a value: show errors with a '
                        'traceback.')
    add_engine_options(parser)
    args = parser.parse_args()
    require_files(parser, args, 'model', *(['config'] if args.config else []))
    if args.config and args.input:
        parser.error(f'--config {args.config}: goes without --input')
    if args.output_dirname and not args.output:
        parser.error('--output_dirname needs --output')
    if args.output_dirname and os.path.isabs(args.output_dirname):
        parser.error(f'--output_dirname {args.output_dirname}: is a name in --output, not a path from /')
    return args


@script_main
def main() -> None:
    args = parse_args()
    try:
        infer(args)
    except (InputError, OSError):
        if str(args.debug).lower() in ('1', 'true'):
            sys.excepthook(*sys.exc_info())
        raise


if __name__ == '__main__':
    main()
