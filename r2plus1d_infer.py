# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Run a model on .bin files as ais_bench runs an .om on an NPU: the same flags, the same files.

    python r2plus1d_infer.py --model r2plus1d_sim.onnx --input predata_bts1 --batchsize 1 \
        --output ./predata_bts1_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --config <config> --output out   # no .bin files
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --batchsize 16 --loop 10         # pure inference
    python r2plus1d_infer.py --model r2plus1d_bs16.om --config <config> --device 0,1 --output out   # on two NPUs

Flags, grouping of files into batches, padding of the last batch, names and formats of outputs and the summary JSON
follow ais_bench, so that what reads them cannot tell the two apart. --backend, --precision and --config are our own.
"""
# isort: off
import r2plus1d_interruptions  # noqa: F401 - it comes first, so that Ctrl-C while the next ones are imported is one line
# isort: on
import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from tqdm import tqdm

from r2plus1d_batches import Files, PureInference, TestVideos, prefetch
from r2plus1d_engines import add_engine_options, make_engines
from r2plus1d_files import InputError, log, positive_int, require_files, script_main
from r2plus1d_outputs import OutputWriter, make_summary, note_provenance


def make_source(args, engine):
    batch_size = args.batchsize or engine.batch_size
    if args.input:
        return Files(args.input, batch_size, engine, args.allow_damaged)
    if args.config:
        allowed = {'allow_outside': args.allow_outside, 'allow_damaged': args.allow_damaged}
        return TestVideos(args.config, args.cfg_options, allowed, batch_size, engine)
    return PureInference(args.pure_data_type, batch_size)


def run_batches(source, engine, indices, loop, outputs, bar):
    """Infer the batches with these INDICES, LOOP times each, and hand the results to OUTPUTS. Returns ms of each."""
    times = []
    for i, names, batch in prefetch(source, engine, indices):
        for _ in range(loop):
            before = time.perf_counter()
            results = engine(batch)
            times.append(1000 * (time.perf_counter() - before))
        if not all(np.isfinite(result).all() for result in results):
            raise InputError(f'{names[0]}: the outputs are not finite; is the model damaged?')
        outputs.add(i * len(names), names, results)
        bar.update()
        if outputs.stopped:
            break
    return times


def run_devices(source, engines, loop, outputs):
    """Divide the batches among the engines, {name of a device: engine}, which work at the same time.

    Returns {name of a device: ms of each of its batches}, without the devices for which there was no batch.
    """
    count = len(source.groups)
    shares = {name: range(i, count, len(engines)) for i, name in enumerate(engines) if i < count}
    with tqdm(total=count, unit='batch', desc='Inference') as bar:
        if len(shares) == 1:
            return {name: run_batches(source, engines[name], share, loop, outputs, bar)
                    for name, share in shares.items()}
        with ThreadPoolExecutor(len(shares)) as pool:
            runs = {name: pool.submit(run_batches, source, engines[name], share, loop, outputs, bar)
                    for name, share in shares.items()}
            try:
                for run in as_completed(runs.values()):
                    run.result()
            except BaseException:
                outputs.stopped = True  # the other devices end after their present batch
                raise
        return {name: run.result() for name, run in runs.items()}


def infer(args):
    """Take the folder of outputs, which is refused before any work where another run has it; then infer."""
    with OutputWriter(args.output, args.output_dirname, args.outfmt) as outputs:
        infer_into(outputs, args)


def infer_into(outputs, args):
    provenance = note_provenance(args.model, args.input)
    engines = {f'device{number}': engine for number, engine in zip(args.device, make_engines(args))}
    first = next(iter(engines.values()))
    source = make_source(args, first)
    for engine in engines.values():
        engine.prepare(source.batch_size)
        for _ in range(args.warmup_count):
            engine(np.zeros([source.batch_size, *engine.sample_shape], engine.dtype))
    started = time.perf_counter()
    times = run_devices(source, engines, args.loop, outputs)
    seconds = time.perf_counter() - started
    if note_provenance(args.model, args.input) != provenance:
        raise InputError(f'{args.model} or {args.input}: was changed while the inference ran; run it again')
    summary = make_summary(times, source.batch_size, first.describe(), source.num_videos,
                           dict(provenance, sample_shape=first.sample_shape))
    outputs.finish(summary)
    figures = summary['NPU_compute_time']
    log('compute time (ms): ' + ', '.join(f'{key} = {value:.6g}' for key, value in figures.items()))
    log(f'throughput 1000*batchsize({source.batch_size})/mean({figures["mean"]:.6g}): {summary["throughput"]:.6g}')
    log(f'with reading and writing: {source.batch_size * figures["count"] / seconds:.6g} samples/s')


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', '-m', required=True, help='ONNX model, or an .om')
    parser.add_argument('--input', '-i', help='folder of .bin or .npy files, or files with commas between; '
                        'without it: pure inference')
    parser.add_argument('--config', help='instead of --input: config of mmaction2, whose test videos are decoded '
                        'while the model runs; no files in between')
    parser.add_argument('--cfg-options', nargs='+', help='of --config, as of mmaction2\'s tools')
    parser.add_argument('--allow_outside', action='store_true', help='of --config: take videos outside the data folder')
    parser.add_argument('--allow_damaged', action='store_true', help='of --config: take damaged videos as the decoder '
                        'mends them; of --input: take files with many zeros in a row')
    parser.add_argument('--output', '-o', help='folder for the folder of outputs and its _summary.json')
    parser.add_argument('--output_dirname', help='name of the folder of outputs (default: date and time)')
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'], help='(default: BIN)')
    parser.add_argument('--loop', '-l', type=positive_int, default=1, help='runs of each batch (default: 1)')
    parser.add_argument('--batchsize', type=positive_int, help='samples in a batch (default: as many as in a file)')
    parser.add_argument('--warmup_count', type=int, default=1, help='runs before the first (default: 1)')
    parser.add_argument('--pure_data_type', default='zero', choices=['zero', 'random'], help='(default: zero)')
    parser.add_argument('--debug', help='for ais_bench\'s sake; errors are shown with a traceback')
    add_engine_options(parser)
    args = parser.parse_args()
    require_files(parser, args, 'model')
    if args.config:
        if args.input:
            parser.error(f'--config {args.config}: goes without --input')
        require_files(parser, args, 'config')
    if args.output_dirname and not args.output:
        parser.error('--output_dirname needs --output')
    return args


@script_main
def main():
    args = parse_args()
    try:
        infer(args)
    except (InputError, OSError):
        if str(args.debug).lower() in ('1', 'true'):
            sys.excepthook(*sys.exc_info())
        raise


if __name__ == '__main__':
    main()
