# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
r"""Run a model on .bin files as ais_bench runs an .om on an NPU: the same flags, the same files.

    python r2plus1d_infer.py --model r2plus1d_sim.onnx --input predata_bts1 --batchsize 1 \
        --output ./predata_bts1_onnx_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_bs16.om --config --output ./om_direct_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --batchsize 1 --loop 3

The first command reads .bin files. The second one decodes the test videos of this repository's config while the NPU
computes. The third one measures the model alone.

Flags, grouping of files into batches, padding of the last batch, names and formats of outputs and the summary JSON
follow ais_bench, so that what reads them cannot tell the two apart. --backend, --precision and --config are our own.
"""
# isort: off
import r2plus1d.run  # noqa: F401 - it comes first, so that a missing package and Ctrl-C are one line each
# isort: on
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from tqdm import tqdm

from r2plus1d.engines import add_engine_options, check_memory, is_out_of_memory, make_engines, start_engines
from r2plus1d.inference import Files, PureInference, TestVideos, prefetch
from r2plus1d.output_writer import OutputWriter
from r2plus1d.run import DEFAULT_CONFIG, InputError, log, make_parser, positive_int, require_files, script_main
from r2plus1d.summary import RunFacts, make_summary, note_provenance


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
        try:
            infer_into(outputs, args)
        except Exception as e:
            if not is_out_of_memory(e):
                raise
            batch_size = f'--batchsize {args.batchsize}' if args.batchsize else args.model
            raise InputError(f'{batch_size}: the memory is not enough; give a smaller batch size')


def load_engines(args):
    """The engines. Those for --config are loaded while mmaction2 is imported."""
    if not args.config:
        return make_engines(args)
    engines = start_engines(args)
    import mmaction.datasets  # noqa: F401 - TestVideos needs it
    return engines.result()


def infer_into(outputs, args):
    engines = {f'device{number}': engine for number, engine in zip(args.device, load_engines(args))}
    first = next(iter(engines.values()))
    source = make_source(args, first)
    cfg = getattr(source, 'cfg', None)
    provenance = note_provenance(args.model, args.input, cfg)
    outputs.expect(name for names in source.groups for name in names if name)
    check_memory(source.batch_size, first.sample_shape, first.dtype)
    for engine in engines.values():
        engine.prepare(source.batch_size)
        for _ in range(args.warmup_count):
            engine(np.zeros([source.batch_size, *engine.sample_shape], engine.dtype))
    started = time.perf_counter()
    times = run_devices(source, engines, args.loop, outputs)
    seconds = time.perf_counter() - started
    if note_provenance(args.model, args.input, cfg) != provenance:
        raise InputError(f'{args.model} or {args.input or args.config}: was changed while the inference ran; run it '
                         'again')
    summary = make_summary(RunFacts(times, source.batch_size, first.describe(), source.num_videos, provenance,
                                    first.sample_shape))
    outputs.finish(summary)
    figures = summary['NPU_compute_time']
    log('compute time (ms): ' + ', '.join(f'{key} = {value:.6g}' for key, value in figures.items()))
    log(f'throughput 1000*batchsize({source.batch_size})/mean({figures["mean"]:.6g}): {summary["throughput"]:.6g}')
    log(f'with reading and writing: {source.batch_size * figures["count"] / seconds:.6g} samples/s')


def parse_args():
    parser = make_parser(__doc__)
    parser.add_argument('--model', '-m', required=True, help='The ONNX model, or the .om.')
    parser.add_argument('--input', '-i', help='The folder of .bin or .npy files, or files with commas between. '
                        'Without --input and --config the model runs on made-up values, for its speed alone.')
    parser.add_argument('--config', nargs='?', const=DEFAULT_CONFIG, help='Instead of --input: a config of mmaction2, '
                        'whose test videos are decoded while the model runs, without files in between. Without a '
                        'value it is this repository\'s config.')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='Changes to --config, as of '
                        'mmaction2\'s tools.')
    parser.add_argument('--allow_outside', action='store_true', help='Of --config: take videos outside the data '
                        'folder.')
    parser.add_argument('--allow_damaged', action='store_true', help='Of --config: take damaged videos as the decoder '
                        'mends them. Of --input: take files with many zeros in a row.')
    parser.add_argument('--output', '-o', help='The folder for the folder of outputs and its _summary.json.')
    parser.add_argument('--output_dirname', help='The name of the folder of outputs. (default: date and time)')
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'], help='The format of the outputs.')
    parser.add_argument('--loop', '-l', type=positive_int, default=1, help='How often each batch is run.')
    parser.add_argument('--batchsize', type=positive_int, help='The number of samples in a batch. (default: as many '
                        'as in a file)')
    parser.add_argument('--warmup_count', type=int, default=1, help='How often the model is run before time is taken.')
    parser.add_argument('--pure_data_type', default='zero', choices=['zero', 'random'], help='The values that the '
                        'model runs on without --input and --config.')
    parser.add_argument('--debug', help='1 shows errors with a traceback. ais_bench has this option.')
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
