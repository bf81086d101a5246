"""Run the ONNX model on .bin files as ais_bench runs an .om on an NPU: the same flags, the same files.

    python r2plus1d_infer.py --model r2plus1d_sim.onnx --input predata_bts1 --batchsize 1 \
        --output ./predata_bts1_out --outfmt TXT
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --config <config> --output out   # no .bin files
    python r2plus1d_infer.py --model r2plus1d_sim.onnx --batchsize 16 --loop 10         # pure inference

Flags, grouping of files into batches, padding of the last batch, names and formats of outputs and the
summary JSON follow ais_bench (Ascend/tools, ais-bench_workload/tool/ais_bench), so that what reads them
cannot tell the two apart. --backend, --precision and --config are our own.
"""
import argparse
import json
import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from r2plus1d_engines import InputError, add_engine_options, log, make_engine, positive, read_input_spec


def list_files(spec):
    """The .bin and .npy files of --input (a folder, or files with commas) in ais_bench's natural order."""
    if os.path.isdir(spec):
        files = [os.path.join(spec, f) for f in os.listdir(spec) if f.lower().endswith(('.bin', '.npy'))]
        if not files:
            raise InputError(f'{spec}: no .bin or .npy file in this folder')
        files.sort()
        return sorted(files, key=lambda f: [int(t) if t.isdigit() else t.lower() for t in re.split(r'(\d+)', f)])
    files = spec.split(',')
    for f in files:
        if not os.path.isfile(f):
            raise InputError(f'{f}: no such file or folder')
    return files


def read_file(path, out):
    """Fill the array with the bytes of a .bin or .npy."""
    try:
        if path.lower().endswith('.npy'):
            data = np.load(path)
            found = data.nbytes
            if found == out.nbytes:
                out.reshape(-1).view(np.uint8)[:] = data.reshape(-1).view(np.uint8)
        else:
            with open(path, 'rb') as f:
                found = os.fstat(f.fileno()).st_size
                if found == out.nbytes:
                    found = f.readinto(out)
    except (OSError, ValueError) as e:
        raise InputError(f'{path}: cannot be read: {e}')
    if found != out.nbytes:
        raise InputError(f'{path}: holds {found} bytes; by the first file and the model it should be {out.nbytes}')


def check_kind(files, dtype):
    """Refuse bins that info.json says are of another dtype: their sizes alone may fit by chance."""
    info = os.path.join(os.path.dirname(files[0]), 'info.json')
    if os.path.isfile(info):
        with open(info) as f:
            found = json.load(f).get('dtype', str(dtype))
        if found != str(dtype):
            raise InputError(f'{os.path.dirname(files[0])}: holds {found} bins, and the model takes {dtype}; '
                             f'run r2plus1d_preprocess.py with --dtype {dtype}, or use the other model')


class Files:
    """Batches from .bin or .npy files, grouped as ais_bench does it.

    groups[i] is the list of names of batch i, None for padding; load(i, batch) fills an array of SHAPE, in which
    the first name of the group stands in for the padding.
    """

    def __init__(self, args, shape, dtype):
        files = list_files(args.input)
        check_kind(files, dtype)
        sample = int(np.prod(shape)) * dtype.itemsize
        npy = files[0].lower().endswith('.npy')
        size = np.load(files[0], mmap_mode='r').nbytes if npy else os.path.getsize(files[0])
        if size == 0 or size % sample:
            raise InputError(f'{files[0]}: {size} bytes are not a whole number of samples of {sample} bytes '
                             f'({"x".join(map(str, shape))} {dtype}); was it made for another model?')
        self.batchsize = args.batchsize or size // sample
        if self.batchsize * sample % size:
            raise InputError(f'--batchsize {self.batchsize}: a file holds {size // sample} samples ({files[0]}), '
                             'which does not divide it; make the files with a --bts that does')
        self.shape, self.dtype = [self.batchsize] + shape, dtype
        self.groups = group(files, self.batchsize * sample // size)

    def load(self, i, batch):
        parts = batch.reshape(len(self.groups[i]), -1)
        for part, name in zip(parts, self.groups[i]):
            if name:
                read_file(name, part)
            else:
                part[:] = parts[0]


class Videos:
    """Batches straight from the test videos of a config; the names are those that their bins would have."""

    def __init__(self, args, shape, dtype):
        from r2plus1d_preprocess import Samples  # and with it mmaction2, which files and pure inference do without
        self.samples = Samples(args.config, str(dtype), args.cfg_options)
        found = list(self.samples[0][1].shape) if len(self.samples) else shape
        if not len(self.samples) or found != shape:
            raise InputError(f'{args.config}: gives {len(self.samples)} samples of {found}, the model takes {shape}')
        self.batchsize = args.batchsize or 1
        self.shape, self.dtype = [self.batchsize] + shape, dtype
        infos = self.samples.dataset.video_infos
        self.groups = group([f'bin{i}-{i}_{info["label"]}.bin' for i, info in enumerate(infos)], self.batchsize)

    def load(self, i, batch):
        for j, name in enumerate(self.groups[i]):
            batch[j] = self.samples[i * self.batchsize + j][1] if name else batch[0]


class PureInference:
    """ais_bench's pure inference: one batch of zeros or of random values."""

    def __init__(self, args, shape, dtype):
        self.batchsize = args.batchsize or 1
        self.shape, self.dtype, self.groups = [self.batchsize] + shape, dtype, [['pure_infer_data']]
        self.random = args.pure_data_type == 'random'

    def load(self, i, batch):
        # ais_bench takes random bytes; as float32 they would be denormals and NaNs, slow for their own sake
        batch[:] = np.random.default_rng(0).random(self.shape, np.float32) * 255 if self.random else 0


def group(names, n):
    """Lists of N names, the last one filled up with None."""
    groups = [names[i:i + n] for i in range(0, len(names), n)]
    groups[-1] = groups[-1] + [None] * (n - len(groups[-1]))
    return groups


def prefetch(source):
    """(index, names, batch) of each batch; the next one is read or decoded while this one is being used.

    Two arrays take turns: fresh ones for each batch, of 302 MB at batch size 16, cost as much as the reading.
    """
    batches = [np.empty(source.shape, source.dtype) for _ in source.groups[:2]]
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(source.load, 0, batches[0])
        for i, names in enumerate(source.groups):
            coming.result()
            if i + 1 < len(source.groups):
                coming = pool.submit(source.load, i + 1, batches[(i + 1) % 2])
            yield i, names, batches[i % 2]


# ---- outputs -----------------------------------------------------------------------------------


def save(path, array):
    if path.endswith('.npy'):
        np.save(path, array)
    elif path.endswith('.bin'):
        array.tofile(path)
    else:
        with open(path, 'w') as f:
            for row in array.reshape(-1, array.shape[-1]):
                f.write(''.join('%f ' % value for value in row) + '\n')


class Outputs:
    """The folder of outputs and the summary beside it; both appear when everything is there."""

    def __init__(self, args):
        name = args.output_dirname or time.strftime('%Y_%m_%d-%H_%M_%S')
        self.folder = os.path.join(args.output, name) if args.output else None
        self.extension = args.outfmt.lower()
        self.filesinfo = {}
        if self.folder:
            shutil.rmtree(self.folder + '.part', ignore_errors=True)
            os.makedirs(self.folder + '.part')

    def add(self, first_id, group, outputs):
        """Save what belongs to each file of a group, outputs[i] being split along its first axis."""
        if not self.folder:
            return
        for i, output in enumerate(outputs):
            for j, (path, part) in enumerate(zip(group, np.array_split(output, len(group)))):
                if path is None:
                    continue
                name = f'{os.path.basename(path).split(".")[0]}_{i}.{self.extension}'
                save(os.path.join(self.folder + '.part', name), part)
                info = self.filesinfo.setdefault(str(first_id + j), dict(infiles=[path], outfiles=[]))
                info['outfiles'].append(os.path.join(self.folder, name))

    def finish(self, summary):
        if not self.folder:
            return
        os.makedirs(self.folder, exist_ok=True)
        for name in os.listdir(self.folder + '.part'):
            os.replace(os.path.join(self.folder + '.part', name), os.path.join(self.folder, name))
        part = self.folder + '_summary.json.part'
        with open(part, 'w') as f:
            json.dump(dict(filesinfo=self.filesinfo, **summary), f)
        os.replace(part, self.folder + '_summary.json')
        log(f'outputs: {self.folder}, {self.folder}_summary.json')

    def remove_parts(self):
        if self.folder:
            shutil.rmtree(self.folder + '.part', ignore_errors=True)


def statistics(times):
    """ais_bench's figures of a list of times in ms."""
    if not times:
        return {'min': 0.0, 'max': 0.0, 'mean': 0.0, 'median': 0.0, 'percentile(99%)': 0.0, 'count': 0}
    return {
        'min': float(np.min(times)), 'max': float(np.max(times)), 'mean': float(np.mean(times)),
        'median': float(np.median(times)), 'percentile(99%)': float(np.percentile(times, 99)), 'count': len(times)
    }


def infer(args):
    shape, dtype = read_input_spec(args.model)
    source = (Files if args.input else Videos if args.config else PureInference)(args, shape, dtype)
    engine = make_engine(args, source.shape)
    outputs = Outputs(args)
    times, warm_up, started = [], 0, time.perf_counter()
    try:
        for i, names, batch in tqdm(prefetch(source), total=len(source.groups), unit='batch', desc='Inference'):
            if i == 0:
                start = time.perf_counter()
                for _ in range(args.warmup_count):
                    engine(batch)
                warm_up = time.perf_counter() - start
            for _ in range(args.loop):
                start = time.perf_counter()
                results = engine(batch)
                times.append(1000 * (time.perf_counter() - start))
            if not all(np.isfinite(r).all() for r in results):
                raise InputError(f'{names[0]}: the outputs are not finite; is the model damaged?')
            outputs.add(i * len(names), names, results)
        seconds = time.perf_counter() - started - warm_up
        time_ms = statistics(times)
        throughput = 1000 * source.batchsize / time_ms['mean']
        outputs.finish({
            'args': sys.argv, 'NPU_compute_time': time_ms, 'H2D_latency': statistics([]),
            'D2H_latency': statistics([]), 'throughput': throughput, 'npu_compute_time_list': times, 'pid': os.getpid()
        })
    finally:
        outputs.remove_parts()
    log('compute time (ms): ' + ', '.join(f'{key} = {value:.6g}' for key, value in time_ms.items()))
    log(f'throughput 1000*batchsize({source.batchsize})/mean({time_ms["mean"]:.6g}): {throughput:.6g}')
    log(f'with reading and writing: {source.batchsize * len(times) / seconds:.6g} samples/s')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', '-m', required=True, help='ONNX model')
    parser.add_argument('--input', '-i', help='folder of .bin or .npy files, or files with commas between; '
                        'without it: pure inference')
    parser.add_argument('--config', help='instead of --input: config of mmaction2, whose test videos are decoded '
                        'while the model runs; no files in between')
    parser.add_argument('--cfg-options', nargs='+', help='of --config, as of mmaction2\'s tools')
    parser.add_argument('--output', '-o', help='folder for the folder of outputs and its _summary.json')
    parser.add_argument('--output_dirname', help='name of the folder of outputs (default: date and time)')
    parser.add_argument('--outfmt', default='BIN', choices=['NPY', 'BIN', 'TXT'], help='(default: BIN)')
    parser.add_argument('--loop', '-l', type=positive, default=1, help='runs of each batch (default: 1)')
    parser.add_argument('--batchsize', type=positive, help='samples in a batch (default: as many as in a file)')
    parser.add_argument('--warmup_count', type=int, default=1, help='runs before the first (default: 1)')
    parser.add_argument('--pure_data_type', default='zero', choices=['zero', 'random'], help='(default: zero)')
    parser.add_argument('--debug', help='for ais_bench\'s sake; errors are shown with a traceback')
    add_engine_options(parser)
    args = parser.parse_args(argv)
    if not os.path.isfile(args.model):
        parser.error(f'--model {args.model}: no such file')
    if args.model.endswith('.om'):
        flags = ' '.join(f'--{k} {v}' for k in ('model', 'input', 'batchsize', 'output', 'outfmt')
                         for v in [getattr(args, k)] if v)
        parser.error(f'{args.model} is for an NPU; run it with: python3 -m ais_bench {flags}')
    if args.config and (args.input or not os.path.isfile(args.config)):
        parser.error(f'--config {args.config}: ' + ('goes without --input' if args.input else 'no such file'))
    if args.cfg_options:
        from mmcv import DictAction
        options = argparse.ArgumentParser()
        options.add_argument('--cfg-options', nargs='+', action=DictAction)
        args.cfg_options = options.parse_args(['--cfg-options', *args.cfg_options]).cfg_options
    if args.output_dirname and not args.output:
        parser.error('--output_dirname needs --output')
    return args


def main():
    args = parse_args()
    try:
        infer(args)
    except (InputError, OSError) as e:
        if str(args.debug).lower() in ('1', 'true'):
            raise
        sys.exit(f'r2plus1d_infer.py: {e}')


if __name__ == '__main__':
    main()
