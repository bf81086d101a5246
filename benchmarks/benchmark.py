"""Measure the full-size model and its preprocessing against what a user would take instead, in one run.

    python benchmarks/benchmark.py --frames <folder with data/ucf101 of videos, frames and lists>

Inference: mmaction2's own model call (PyTorch eager), PyTorch with channels_last_3d, torch.compile and bf16
autocast, ONNX Runtime, OpenVINO's benchmark_app, and r2plus1d_infer.py's engine, the last two also in bf16
where the CPU has it and in int8 where NNCF is installed; random weights, since speed does not depend on them.
Each measurement is a process of its own, in rounds, so that a change of the machine's load meets all of them;
figures are medians over the rounds. The limit of the machine is a matrix product of 2048 x 2048 in OpenVINO at
the same precision (in f32 for int8). Preprocessing: the original guide's loop (mmaction2's dataloader,
numpy.tofile) against r2plus1d_preprocess.py. And the whole way from .avi files to the accuracy, by mmaction2's
tools and by ours. Results: benchmarks/results.json, .md and .png.
"""
import argparse
import contextlib
import importlib.util
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)
CONFIG = os.path.join(ROOT, 'r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
GFLOP = 3 * 105.955328  # of a video of three crops; onnxsim counts them
SHAPE = [3, 3, 8, 256, 256]
EAGER = 'mmaction2, PyTorch eager'
PEERS = [EAGER, 'PyTorch channels_last_3d', 'PyTorch compile', 'PyTorch bf16 autocast', 'ONNX Runtime']


def cpu_flags():
    with open('/proc/cpuinfo') as f:
        return set(re.search(r'flags\s*: (.*)', f.read())[1].split())


# ---- one measurement, in a process of its own ----------------------------------------------------


def torch_engine(name, checkpoint):
    """batch -> scores with mmaction2's model as its test loop calls it."""
    import mmcv
    import torch
    from mmaction.models import build_model
    model = build_model(mmcv.Config.fromfile(CONFIG).model).eval()
    model.load_state_dict(torch.load(checkpoint)['state_dict'])
    layout = torch.contiguous_format
    if 'channels_last' in name or 'compile' in name:
        layout = torch.channels_last_3d
        model = model.to(memory_format=layout)
    call = model if name == EAGER else (lambda imgs, return_loss: model.forward_dummy(imgs)[0])
    if 'compile' in name:
        compiled = torch.compile(lambda imgs: model.forward_dummy(imgs)[0])
        call = lambda imgs, return_loss: compiled(imgs)  # noqa: E731

    def engine(batch):
        imgs = torch.from_numpy(batch)
        if layout != torch.contiguous_format:  # the crops as one batch, which is what the first layer sees
            imgs = imgs.reshape((-1, ) + imgs.shape[2:]).to(memory_format=layout)[None]
        autocast = torch.autocast('cpu', torch.bfloat16) if 'bf16' in name else contextlib.nullcontext()
        with torch.no_grad(), autocast:
            return call(imgs, return_loss=False)

    return engine


def worker(args):
    """Print {"times": [seconds], "start": seconds, "peak_mb"} of one engine at one batch size."""
    began = time.perf_counter()
    name, batch_size, model = args.worker[0], int(args.worker[1]), args.worker[2]
    batch = np.random.default_rng(0).standard_normal([batch_size] + SHAPE, dtype=np.float32)
    if name in PEERS[:4]:
        engine = torch_engine(name, model)
    elif name == 'ONNX Runtime':
        from r2plus1d_engines import OnnxRuntime
        engine = OnnxRuntime(model, list(batch.shape), 'f32')
    else:
        from r2plus1d_engines import OpenVINO
        engine = OpenVINO(model, list(batch.shape), name.split()[-1])
    engine(batch)
    start, times = time.perf_counter() - began, []
    while not times or (sum(times) < args.seconds and len(times) < 20):
        before = time.perf_counter()
        engine(batch)
        times.append(time.perf_counter() - before)
    print(json.dumps(dict(times=times, start=start, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)))


def measure(name, batch_size, model, seconds):
    """What worker() prints; for benchmark_app the same from its own report."""
    if 'benchmark_app' not in name:
        done = subprocess.run([sys.executable, __file__, '--seconds', str(seconds), '--worker', name, str(batch_size),
                               model], stdout=subprocess.PIPE, check=True, text=True)
        return json.loads(done.stdout.splitlines()[-1])
    shape = ','.join(map(str, [batch_size] + SHAPE))
    precision = name.split()[-1]
    done = subprocess.run(['benchmark_app', '-m', model, '-d', 'CPU', '-hint', 'latency', '-t', str(int(seconds) + 1),
                           '-shape', f'0[{shape}]', '-infer_precision', 'bf16' if precision == 'bf16' else 'f32'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, text=True).stdout
    return dict(times=[float(re.search(r'Median: +([\d.]+) ms', done)[1]) / 1000], start=None, peak_mb=None)


def machine_limit(precision, folder):
    """GFLOP/s of a 2048 x 2048 matrix product in OpenVINO at a precision (f32 or bf16)."""
    import onnx
    import openvino as ov
    n = 2048
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).random((n, n), np.float32), 'w')
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [n, n]) for name in 'xy']
    graph = onnx.helper.make_graph([onnx.helper.make_node('MatMul', ['x', 'w'], ['y'])], 'g', value[:1], value[1:],
                                   [weight])
    path = os.path.join(folder, 'matmul.onnx')
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 11)], ir_version=8), path)
    request = ov.compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': precision}).create_infer_request()
    x, times = np.ones((n, n), np.float32), []
    for _ in range(12):
        before = time.perf_counter()
        request.infer([x])
        times.append(time.perf_counter() - before)
    return 2 * n**3 / np.median(times[2:]) / 1e9


# ---- the model, preprocessing ----------------------------------------------------------------------


def make_models(folder):
    """(checkpoint, simplified ONNX file) of the full-size model with random weights."""
    checkpoint = os.path.join(folder, 'model.pth')
    subprocess.run([sys.executable, f'{ROOT}/demo/random_weights.py', CONFIG, checkpoint], check=True)
    subprocess.run(['bash', f'{ROOT}/test/pth2om.sh', '--config', CONFIG, '--checkpoint', checkpoint, '--work_dir',
                    folder], check=True, stdout=subprocess.DEVNULL)
    return checkpoint, os.path.join(folder, 'r2plus1d_sim.onnx')


def make_int8(frames, folder, model):
    """The int8 variant; its accuracy, of random weights, says nothing."""
    with open(f'{frames}/data/ucf101/ucf101_val_split_1_rawframes.txt') as f:
        lines = f.readlines()
    lists = {'train': lines[:8], 'test': lines[-1:]}
    for part, chosen in lists.items():
        with open(f'{folder}/{part}.txt', 'w') as f:
            f.writelines(chosen)
    path = os.path.join(folder, 'r2plus1d_int8.onnx')
    subprocess.run([sys.executable, f'{ROOT}/r2plus1d_optimize.py', '--model', model, '--config', CONFIG, '--int8',
                    '--max_drop', '1', '--output', path, '--cfg-options',
                    *(f'data.{part}.ann_file={folder}/{part}.txt' for part in lists)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=frames)
    return path


def repeat(infos, videos):
    """A list of that many videos, from the start again where the data set has fewer."""
    return [infos[i % len(infos)] for i in range(videos)]


def guide_preprocess(folder, videos):
    """The original guide's way, as its text describes it: mmaction2's dataloader, a file for each batch."""
    import mmcv
    from mmaction.datasets import build_dataloader, build_dataset
    os.mkdir(folder)
    data = build_dataset(mmcv.Config.fromfile(CONFIG).data.test, dict(test_mode=True))
    data.video_infos = repeat(data.video_infos, videos)
    loader = build_dataloader(data, videos_per_gpu=1, workers_per_gpu=4, dist=False, shuffle=False)
    for i, batch in enumerate(loader):
        batch['imgs'].numpy().tofile(os.path.join(folder, f'bin{i}-{i}_{int(batch["label"])}.bin'))


def our_preprocess(folder, videos, dtype):
    from torch.utils.data import DataLoader

    from r2plus1d_preprocess import BinWriter, Samples, parse_args
    os.mkdir(folder)
    workers = parse_args(['--config', CONFIG, '--output_path', folder]).workers
    samples = Samples(CONFIG, dtype)
    samples.dataset.video_infos = repeat(samples.dataset.video_infos, videos)
    for _ in DataLoader(BinWriter(samples, 1, folder), batch_size=None, num_workers=workers):
        pass


def preprocessing(frames, folder, videos, rounds):
    """{way: {"rate": videos/s in each round, "bytes": of one video}}."""
    ways = {'the guide\'s loop, float32': guide_preprocess,
            'r2plus1d_preprocess.py, float32': lambda f, n: our_preprocess(f, n, 'float32'),
            'r2plus1d_preprocess.py, uint8': lambda f, n: our_preprocess(f, n, 'uint8')}
    results = {name: dict(rate=[]) for name in ways}
    here = os.getcwd()
    os.chdir(frames)
    try:
        for _ in range(rounds):
            for name, way in ways.items():
                out = os.path.join(folder, 'bins')
                before = time.perf_counter()
                way(out, videos)
                files = [os.path.getsize(os.path.join(out, f)) for f in os.listdir(out)]
                results[name]['rate'].append(len(files) / (time.perf_counter() - before))
                results[name]['bytes'] = files[0]
                shutil.rmtree(out)
    finally:
        os.chdir(here)
    return results


def size_of(folder):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


def infer(*options):
    """samples/s that r2plus1d_infer.py logs with these options: of the model alone, and with reading and writing."""
    log = subprocess.run([sys.executable, f'{ROOT}/r2plus1d_infer.py', *options], check=True, text=True,
                         stderr=subprocess.PIPE).stderr
    return [float(re.search(rf'{what}: ([\d.]+)', log)[1]) for what in ('throughput .*', 'with reading and writing')]


def end_to_end(frames, folder, checkpoint, models, videos, rounds):
    """Seconds from the .avi files to the accuracy, by mmaction2's tools and by ours without files in between.

    models: {precision: ONNX file}. The share is the rate of the whole evaluation of that of pure inference.
    """
    data, tools = os.path.join(folder, 'data', 'ucf101'), f'{ROOT}/mmaction2/tools'
    shutil.copytree(f'{frames}/data/ucf101/annotations', f'{data}/annotations')
    with open(f'{data}/annotations/testlist01.txt') as f:
        listed = [line.strip() for line in f]
    listed = listed[::max(1, len(listed) // videos)][:videos]
    for name in listed:
        os.makedirs(os.path.dirname(f'{data}/videos/{name}'), exist_ok=True)
        shutil.copy(f'{frames}/data/ucf101/videos/{name}', f'{data}/videos/{name}')
    theirs, results, frames_seconds = 'mmaction2: build_rawframes.py, build_file_list.py, tools/test.py', {}, []
    here = os.getcwd()
    os.chdir(folder)

    def run(*command):
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    try:
        for _ in range(rounds):
            before = time.perf_counter()
            run(f'{tools}/data/build_rawframes.py', 'data/ucf101/videos/', 'data/ucf101/rawframes/', '--task', 'rgb',
                '--level', '2', '--ext', 'avi', '--use-opencv')
            frames_seconds.append(time.perf_counter() - before)
            run(f'{tools}/data/build_file_list.py', 'ucf101', 'data/ucf101/rawframes/', '--level', '2', '--format',
                'rawframes')
            run(f'{tools}/test.py', CONFIG, checkpoint, '--eval', 'top_k_accuracy')
            results.setdefault(theirs, dict(seconds=[], share=[]))['seconds'].append(time.perf_counter() - before)
            sizes = [size_of(f'{data}/{form}') for form in ('videos', 'rawframes')]
            shutil.rmtree(f'{data}/rawframes')
            for precision, model in models.items():
                options = ['--model', model, '--precision', precision]
                pure, _ = infer(*options, '--loop', '5')
                before = time.perf_counter()
                run(f'{tools}/data/build_file_list.py', 'ucf101', 'data/ucf101/videos/', '--level', '2', '--format',
                    'videos')
                _, whole = infer(*options, '--config', CONFIG.replace('_8x8x1', '_video_8x8x1'), '--output', 'out')
                run(f'{ROOT}/r2plus1d_postprocess.py', '--result_path', 'out')
                result = results.setdefault(f'r2plus1d_infer.py --config, {precision}', dict(seconds=[], share=[]))
                result['seconds'].append(time.perf_counter() - before)
                result['share'].append(whole / pure)
    finally:
        os.chdir(here)
    return dict(videos=len(listed), results=results, frames_seconds=frames_seconds, bytes=sizes)


# ---- tables ----------------------------------------------------------------------------------------


def summarize(results):
    """The results as Markdown text."""
    lines = [f'`{results["command"]}`', '',
             f'Machine: {results["cpu"]}, {results["cores"]} cores; {results["versions"]}; {results["date"]}.', '',
             'Full-size R(2+1)D-34, videos/s (a video is three crops); the ratio is to ' + EAGER +
             ' at the same batch size.', '',
             '| engine | batch size | videos/s | ratio | median s | min to max s | of the limit | start s | peak MB |',
             '| --- | --- | --- | --- | --- | --- | --- | --- | --- |']
    base = {r['batch_size']: r['rate'] for r in results['inference'] if r['engine'] == EAGER}
    for r in results['inference']:
        start, peak = (f'{r[key]:.{digits}f}' if r[key] else '' for key, digits in (('start', 1), ('peak_mb', 0)))
        limit = results['limit_gflops'].get(r['engine'].split()[-1], results['limit_gflops']['f32'])
        lines.append(f'| {r["engine"]} | {r["batch_size"]} | {r["rate"]:.3f} | {r["rate"] / base[r["batch_size"]]:.2f} '
                     f'| {r["median"]:.2f} | {min(r["times"]):.2f} to {max(r["times"]):.2f} '
                     f'| {r["rate"] * GFLOP / limit:.2f} | {start} | {peak} |')
    lines += ['', f'The limit: {json.dumps(results["limit_gflops"])} GFLOP/s. Start: imports, loading, compiling, '
              'the first run. For benchmark_app start and memory are not measured.', '',
              '| preprocessing | videos/s | ratio | MB a video | GB of the test split (3,783) |',
              '| --- | --- | --- | --- | --- |']
    guide = np.median(next(iter(results['preprocessing'].values()))['rate'])
    for name, r in results['preprocessing'].items():
        rate = np.median(r['rate'])
        lines.append(f'| {name} | {rate:.1f} | {rate / guide:.2f} | {r["bytes"] / 1e6:.1f} | '
                     f'{r["bytes"] * 3783 / 1e9:.1f} |')
    ends = results['end_to_end']
    lines += ['', f'From {ends["videos"]} .avi files to the accuracy, start-up included; full-size model, batch 1.',
              '', '| way | s | ratio | of pure inference |', '| --- | --- | --- | --- |']
    first = np.median(next(iter(ends['results'].values()))['seconds'])
    for name, r in ends['results'].items():
        seconds = np.median(r['seconds'])
        share = f'{np.median(r["share"]):.2f}' if r['share'] else ''
        lines.append(f'| {name} | {seconds:.1f} | {first / seconds:.2f} | {share} |')
    before, after = (size / ends['videos'] / 1e6 for size in ends['bytes'])
    lines += ['', f'The frames: build_rawframes.py took {np.median(ends["frames_seconds"]):.1f} s of the first way; '
              f'{after:.1f} MB of JPEGs a video, from {before:.2f} MB of .avi.']
    return '\n'.join(lines) + '\n'


def chart(results, path):
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    rows = results['inference'][::-1]
    fig, ax = plt.subplots(figsize=(7, 0.8 + 0.28 * len(rows)))
    bars = ax.barh([f'{r["engine"]}, {r["batch_size"]}' for r in rows], [r['rate'] for r in rows],
                   color=['#1d4ed8' if r['engine'].startswith('r2plus1d') else '#9aa4b2' for r in rows])
    ax.bar_label(bars, fmt='%.2f', padding=3)
    ax.set_xlabel('videos/s, full-size model (engine, batch size)')
    fig.savefig(path, dpi=110, bbox_inches='tight')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', help='folder in which the config finds data/ucf101')
    parser.add_argument('--batch_sizes', default='1 4 8 16')
    parser.add_argument('--engines', default='', help='only those whose name matches this expression')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=5, help='least time of a measurement (default: 5)')
    parser.add_argument('--videos', type=int, default=200, help='to preprocess (default: 200)')
    parser.add_argument('--end_to_end', type=int, default=24, help='videos from .avi to accuracy (default: 24)')
    parser.add_argument('--worker', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    if not args.frames or not os.path.isdir(os.path.join(args.frames, 'data/ucf101/rawframes')):
        parser.error('--frames: a folder with data/ucf101/rawframes, such as work_dirs/demo after demo/run.sh')
    args.frames = os.path.abspath(args.frames)
    import onnxruntime
    import openvino
    import torch

    from r2plus1d_engines import cpu_name
    bf16 = bool({'avx512_bf16', 'amx_bf16'} & cpu_flags())  # elsewhere it is emulated
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, model = make_models(folder)
        jobs = [(name, checkpoint if name in PEERS[:4] else model) for name in PEERS if bf16 or 'bf16' not in name]
        variants = {'f32': model}
        if bf16:
            variants['bf16'] = model
        if importlib.util.find_spec('nncf'):
            variants['int8'] = make_int8(args.frames, folder, model)
        for precision, variant in variants.items():
            jobs += [(f'benchmark_app {precision}', variant), (f'r2plus1d_infer.py {precision}', variant)]
        jobs = [job for job in jobs if job[0] == EAGER or re.search(args.engines, job[0])]
        runs = {(name, bs): [] for bs in map(int, args.batch_sizes.split()) for name, _ in jobs}
        for i in range(args.rounds):
            for (name, bs), found in runs.items():
                found.append(measure(name, bs, dict(jobs)[name], args.seconds))
                print(f'round {i + 1}: {name}, batch size {bs}: {np.median(found[-1]["times"]):.3f} s', flush=True)
        inference = []
        for (name, bs), found in runs.items():
            times = [t for run in found for t in run['times']]
            inference.append(dict(engine=name, batch_size=bs, rate=bs / float(np.median(times)), times=times,
                                  median=float(np.median(times)), start=found[-1]['start'],
                                  peak_mb=found[-1]['peak_mb']))
        results = dict(
            command=' '.join(['python', 'benchmarks/benchmark.py', *map(shlex.quote, sys.argv[1:])]),
            cpu=cpu_name(), cores=os.cpu_count(), date=time.strftime('%Y-%m-%d'), inference=inference,
            versions=f'torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, '
            f'OpenVINO {openvino.__version__.split("-")[0]}',
            limit_gflops={p: round(machine_limit(p, folder)) for p in ['f32'] + ['bf16'] * bf16},
            preprocessing=preprocessing(args.frames, folder, args.videos, args.rounds),
            end_to_end=end_to_end(args.frames, folder, checkpoint, variants, args.end_to_end,
                                  args.rounds))
    base = os.path.join(ROOT, 'benchmarks', 'results')
    with open(base + '.json', 'w') as f:
        json.dump(results, f, indent=1)
    with open(base + '.md', 'w') as f:
        f.write(summarize(results))
    chart(results, base + '.png')
    print(summarize(results))


if __name__ == '__main__':
    main()
