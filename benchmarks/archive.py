# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Measure r2plus1d_predict.py on many videos: alone and with --ray local; rate, memory of each process, object store.

    bash demo/run.sh
    python benchmarks/archive.py --demo work_dirs/demo

The small model of the demo predicts --many videos, which are links to those of the demo. All processes are looked at
after --few and after --many of them: what grows shows. The full-size model predicts --full_size videos, a part of them
by each way in turn, because other work on the machine slows one part more than another. Rates are from the first row
to the last one, start-up apart.
"""
import argparse
import contextlib
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from common import CONFIG, ROOT, machine, table

from r2plus1d.json_forms import read_json, write_json
from r2plus1d.run import InputError, positive_int, script_main
from r2plus1d.store import write_whole

MILLION = 10**6
# videos/s of an NPU: three views on a 310P as the original guide measured it; full frame, 2.25 times as fast here
RATES = [84, 190]
WAYS = {'one process': [], '--ray local': ['--ray', 'local']}


# ---- one run -------------------------------------------------------------------------------------------


def link_videos(demo, folder, count):
    """Make FOLDER with COUNT links to the demo's videos."""
    videos = sorted(glob.glob(f'{demo}/data/ucf101/videos/*/*.avi'))
    if not videos:
        raise InputError(f'{demo}: has no videos; run demo/run.sh {demo} first')
    os.mkdir(folder)
    for i in range(count):
        os.symlink(os.path.abspath(videos[i % len(videos)]), f'{folder}/{i:07}.avi')


def processes_below(root):
    """The numbers of the process ROOT and of all that it has started."""
    found = [root]
    for pid in found:
        for path in glob.glob(f'/proc/{pid}/task/*/children'):
            with contextlib.suppress(OSError), open(path) as f:
                found += map(int, f.read().split())
    return found


def read_processes(root):
    """{name of a process: (MB of its own, MB of shared memory, such as the object store, s of CPU)}."""
    found = {}
    for pid in processes_below(root):
        try:
            with open(f'/proc/{pid}/status') as f:
                fields = dict(line.split(':\t', 1) for line in f if ':\t' in line)
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                title = f.read().split(b'\0')
            with open(f'/proc/{pid}/stat') as f:
                ticks = f.read().rpartition(')')[2].split()[11:13]
        except OSError:
            continue
        if 'RssAnon' not in fields:
            continue
        own, shared = (int(fields[name].split()[0]) / 1024 for name in ('RssAnon', 'RssShmem'))
        name = name_of(b' '.join(title).decode(errors='replace'), pid == root)
        cpu = sum(map(int, ticks)) / os.sysconf('SC_CLK_TCK')
        before = found.get(name, (0, 0, 0))
        found[name] = (before[0] + own, max(before[1], shared), before[2] + cpu)
    return found


def name_of(command, is_driver):
    names = {'ray::Worker': 'actor', 'ray::IDLE': 'idle workers', 'gcs_server': 'gcs_server', 'raylet/raylet': 'raylet'}
    found = [name for word, name in names.items() if word in command]
    return 'driver' if is_driver else found[0] if found else 'helpers of Ray'


def predict(folder, model, config, classes, videos, way, stages):
    """Run one way. {'start': s to the first row, 'rate': videos/s after it, 'stages': {stage: (rows, {process: …})}}.

    STAGES: after how many rows the processes are looked at, by read_processes().
    """
    output = os.path.join(folder, 'rows.jsonl')
    for path in glob.glob(f'{output}*'):
        os.unlink(path)
    command = [sys.executable, f'{ROOT}/r2plus1d_predict.py', '--model', model, '--config', config,
               '--classes', classes, '--video', videos, '--output', output, *WAYS[way]]
    begin = time.perf_counter()
    marks = []
    seen = {}
    with open(os.path.join(folder, 'log'), 'w') as log, \
            subprocess.Popen(command, stdout=log, stderr=log) as process:
        while process.poll() is None:
            time.sleep(0.1)
            rows = count_rows(output)
            if rows and (not marks or marks[-1][1] != rows):
                marks.append((time.perf_counter() - begin, rows))
            for stage in stages:
                if rows >= 0.95 * stage and stage not in seen:
                    seen[stage] = (rows, read_processes(process.pid))
    if process.returncode:
        with open(os.path.join(folder, 'log')) as f:
            raise InputError(f'{" ".join(command)}: {f.read().strip().splitlines()[-1]}')
    (start, first), (end, last) = marks[0], marks[-1]
    return {'start': start, 'rate': (last - first) / max(end - start, 1e-9), 'stages': seen}


def count_rows(path):
    if not os.path.exists(path):
        return 0
    with open(path, 'rb') as f:
        return f.read().count(b'\n')


# ---- parts ---------------------------------------------------------------------------------------------


def classes_of(args):
    return f'{args.demo}/data/ucf101/annotations/classInd.txt'


def small_model(args):
    return [f'{args.demo}/r2plus1d_sim.onnx', f'{ROOT}/demo/r2plus1d_r18_demo.py', classes_of(args)]


def measure_small(args, folder):
    """{way: predict()} of the small model on many videos."""
    link_videos(args.demo, f'{folder}/many', args.many)
    return {way: predict(folder, *small_model(args), f'{folder}/many', way, (args.few, args.many)) for way in WAYS}


def measure_full_size(args, folder):
    """{way: [predict()]} of the full-size model."""
    link_videos(args.demo, f'{folder}/part', args.part)
    model = [f'{args.demo}/full_models/three_crops.onnx', CONFIG, classes_of(args)]
    results = {way: [] for way in WAYS}
    for _ in range(max(1, args.full_size // args.part)):
        for way, runs in results.items():
            runs.append(predict(folder, *model, f'{folder}/part', way, (args.part,)))
    return results


def measure_million(args, folder):
    """What the driver takes for a list of a million videos that are all done: MB and s of CPU; MB of their rows."""
    link_videos(args.demo, f'{folder}/one', 1)
    predict(folder, *small_model(args), f'{folder}/one', 'one process', (1,))
    output = f'{folder}/rows.jsonl'
    with open(output) as f:
        row = json.loads(f.readline())
    with open(f'{folder}/list.txt', 'w') as videos, open(output, 'w') as rows:
        for i in range(MILLION):
            path = f'/archive/videos/{i // 1000:04}/v_{i:08}_some_name_of_a_clip.mp4'
            videos.write(path + '\n')
            rows.write(json.dumps(dict(row, id=path, path=path)) + '\n')
    model, config, classes = small_model(args)
    with open(os.devnull, 'w') as nowhere:
        process = subprocess.Popen(
            [sys.executable, f'{ROOT}/r2plus1d_predict.py', '--model', model, '--config', config, '--classes', classes,
             '--video', f'{folder}/list.txt', '--output', output], stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise InputError('the prediction of a million videos that are done fails')
    return {'mb': usage.ru_maxrss / 1024, 'cpu_s': usage.ru_utime + usage.ru_stime,
            'rows_mb': os.path.getsize(output) / 1e6}


PARTS = {'small': measure_small, 'full_size': measure_full_size, 'million': measure_million}


# ---- tables --------------------------------------------------------------------------------------------


def rate_lines(runs):
    """RUNS: {way: [predict()]}."""
    rows = [('way', 'start-up, s', 'videos/s', 'ratio to one process', 'ms a video')]
    rates = {way: statistics.median(run['rate'] for run in value) for way, value in runs.items()}
    for way, rate in rates.items():
        start = statistics.median(run['start'] for run in runs[way])
        rows.append((way, f'{start:.1f}', f'{rate:.3g}', f'{rate / rates["one process"]:.2f}', f'{1000 / rate:.1f}'))
    return table(*rows)


def process_lines(runs):
    """A row for each process: its memory at few and at many videos, and its CPU time for a video between the two.
    RUNS: {way: predict()}.
    """
    few, many = sorted(map(int, next(iter(runs.values()))['stages']))
    rows = [('way', 'process', f'MB after {few} videos', f'after {many}', f'shared MB after {few}', f'after {many}',
             'ms of CPU a video')]
    for way, run in runs.items():
        for name in sorted({*run['stages'][str(few)][1], *run['stages'][str(many)][1]}):
            before = run['stages'][str(few)][1].get(name, (0, 0, 0))
            after = run['stages'][str(many)][1].get(name, (0, 0, 0))
            rows.append((way, name, f'{before[0]:.0f}', f'{after[0]:.0f}', f'{before[1]:.0f}', f'{after[1]:.0f}',
                         f'{cpu_ms(run, name):.2f}'))
    return table(*rows)


def cpu_ms(run, name):
    """ms of CPU that a process took for a video, of a predict()."""
    (few, before), (many, after) = (run['stages'][stage] for stage in sorted(run['stages'], key=int))
    return 1000 * (after.get(name, (0, 0, 0))[2] - before.get(name, (0, 0, 0))[2]) / (many - few)


def paper_lines(small, million):
    """What a million videos need, computed from what was measured."""
    actor, driver, raylet = (cpu_ms(small['--ray local'], name) for name in ('actor', 'driver', 'raylet'))
    rows = [('videos/s of an NPU', 'hours on 1 NPU', 'hours on 64')]
    for rate in RATES:
        hours = MILLION / rate / 3600
        rows.append((str(rate), f'{hours:.2f}', f'{hours / 64:.2f}'))
    return [*table(*rows), '',
            f'An actor, which decodes and infers, took {actor:.1f} ms of CPU a video, and its raylet {raylet:.1f} ms. '
            'The driver took '
            f'{driver:.1f} ms a video, so one driver keeps up with {1000 / driver:.0f} videos/s. With a list of a '
            f'million videos it had {million["mb"]:.0f} MB; to read a million rows again took '
            f'{million["cpu_s"]:.0f} s of CPU, and these rows were {million["rows_mb"]:.0f} MB.']


def markdown(results):
    """The text of archive.md."""
    parts = [['Predictions for many videos, by `benchmarks/archive.py`; see its docstring.']]
    for name, title in (('small', 'The small model of the demo'), ('full_size', 'Full-size R(2+1)D-34'),
                        ('million', 'A million videos, on paper')):
        if name not in results:
            continue
        part = results[name]
        parts.append([f'## {title}', '', f'`{part["command"]}`; {part["machine"]}; load before the run: '
                      f'{part["load"]:.1f}.'])
        found = part['results']
        if name == 'small':
            parts += [rate_lines({way: [run] for way, run in found.items()}), process_lines(found)]
        elif name == 'full_size':
            parts.append(rate_lines(found))
        elif 'small' in results:
            parts.append(paper_lines(results['small']['results'], found))
    return '\n\n'.join('\n'.join(lines) for lines in parts) + '\n'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--demo', required=True, help='folder that demo/run.sh has filled')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        help='what to measure; the last results of the other parts stay (default: all)')
    parser.add_argument('--few', type=positive_int, default=200, help='(default: 200)')
    parser.add_argument('--many', type=positive_int, default=4000, help='(default: 4000)')
    parser.add_argument('--full_size', type=positive_int, default=200, help='videos for each way (default: 200)')
    parser.add_argument('--part', type=positive_int, default=50, help='of them at a time (default: 50)')
    parser.add_argument('--output', default=f'{ROOT}/benchmarks/archive',
                        help='the files to write, without .json and .md (default: benchmarks/archive)')
    return parser.parse_args()


@script_main
def main():
    args = parse_args()
    path = f'{args.output}.json'
    results = read_json(path) if os.path.exists(path) else {}
    for name in args.parts:
        part = {'command': ' '.join(['python benchmarks/archive.py', *sys.argv[1:]]), 'machine': machine(),
                'load': os.getloadavg()[0]}
        with tempfile.TemporaryDirectory() as folder:
            part['results'] = json.loads(json.dumps(PARTS[name](args, folder)))
        results[name] = part
        write_json(path, results)
    write_whole(f'{args.output}.md', markdown(results).encode())
    print(markdown(results))


if __name__ == '__main__':
    main()
