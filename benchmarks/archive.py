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
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from common import CONFIG, ROOT
from tables import table

from r2plus1d_engines import cpu_name
from r2plus1d_files import InputError, positive_int, script_main, write_json, write_whole

WAYS = {'one process': [], '--ray local': ['--ray', 'local']}


# ---- one run -------------------------------------------------------------------------------------------


def link_videos(demo, folder, count):
    """FOLDER with COUNT links to the demo's videos. Returns bytes of a video, on average."""
    videos = sorted(glob.glob(f'{demo}/data/ucf101/videos/*/*.avi'))
    if not videos:
        raise InputError(f'{demo}: has no videos; run demo/run.sh {demo} first')
    os.mkdir(folder)
    for i in range(count):
        os.symlink(os.path.abspath(videos[i % len(videos)]), f'{folder}/{i:07}.avi')
    return statistics.mean(os.path.getsize(video) for video in videos)


def processes_below(root):
    """The numbers of the process ROOT and of all that it has started."""
    children = {}
    for path in glob.glob('/proc/[0-9]*/stat'):
        try:
            with open(path) as f:
                pid, _, rest = f.read().partition(' ')
        except OSError:
            continue
        parent = int(rest.rpartition(')')[2].split()[1])
        children.setdefault(parent, []).append(int(pid))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def read_processes(root):
    """{name of a process: (MB of its own, MB of memory that it shares, s of CPU)}; the object store is shared memory.
    """
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
    if is_driver:
        return 'driver'
    for word, name in (('DecodingWorker', 'decoding actor'), ('InferenceWorker', 'inference actor'),
                       ('ray::IDLE', 'idle workers'), ('gcs_server', 'gcs_server'), ('raylet/raylet', 'raylet')):
        if word in command:
            return name
    return 'helpers of Ray'


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
    return {'start': start, 'rate': (last - first) / (end - start), 'stages': seen}


def count_rows(path):
    if not os.path.exists(path):
        return 0
    with open(path, 'rb') as f:
        return f.read().count(b'\n')


# ---- all runs ------------------------------------------------------------------------------------------


def measure(args, folder):
    small = [f'{args.demo}/r2plus1d_sim.onnx', f'{ROOT}/demo/r2plus1d_r18_demo.py']
    classes = f'{args.demo}/data/ucf101/annotations/classInd.txt'
    results = {'command': ' '.join(['python benchmarks/archive.py', *sys.argv[1:]]), 'cpu': cpu_name(),
               'cores': os.cpu_count(), 'few': args.few, 'many': args.many, 'full_size_videos': args.full_size}
    results['video_mb'] = link_videos(args.demo, f'{folder}/many', args.many) / 1e6
    results['small'] = {way: predict(folder, *small, classes, f'{folder}/many', way, (args.few, args.many))
                        for way in WAYS}
    parts = max(1, args.full_size // args.part)
    link_videos(args.demo, f'{folder}/part', args.part)
    full = [f'{args.demo}/full_size/r2plus1d_sim.onnx', CONFIG]
    results['full_size'] = {way: [] for way in WAYS}
    for _ in range(parts if args.full_size else 0):
        for way, runs in results['full_size'].items():
            runs.append(predict(folder, *full, classes, f'{folder}/part', way, (args.part,)))
    return results


def process_lines(results):
    """A row for each process: its memory at few and at many videos, and its CPU time for a video between the two."""
    rows = [('way', 'process', f'MB after {results["few"]} videos', f'after {results["many"]}',
             f'shared MB after {results["few"]}', f'after {results["many"]}', 'ms of CPU a video')]
    for way, run in results['small'].items():
        (few_rows, few), (many_rows, many) = (run['stages'][stage] for stage in sorted(run['stages']))
        for name in sorted({*few, *many}):
            before = few.get(name, (0, 0, 0))
            after = many.get(name, (0, 0, 0))
            cpu = 1000 * (after[2] - before[2]) / (many_rows - few_rows)
            rows.append((way, name, f'{before[0]:.0f}', f'{after[0]:.0f}', f'{before[1]:.0f}', f'{after[1]:.0f}',
                         f'{cpu:.2f}'))
    return table(*rows)


def rate_lines(results):
    rows = [('model', 'way', 'start-up, s', 'videos/s', 'ratio to one process', 'ms a video')]
    for name in ('small', 'full_size'):
        runs = {way: value if isinstance(value, list) else [value] for way, value in results[name].items()}
        if not all(runs.values()):
            continue
        rates = {way: statistics.median(run['rate'] for run in value) for way, value in runs.items()}
        for way, rate in rates.items():
            start = statistics.median(run['start'] for run in runs[way])
            rows.append((name, way, f'{start:.1f}', f'{rate:.3g}', f'{rate / rates["one process"]:.2f}',
                         f'{1000 / rate:.1f}'))
    return table(*rows)


def markdown(results):
    """The text of archive.md."""
    parts = [[f'`{results["command"]}`'], [f'Machine: {results["cpu"]}, {results["cores"]} cores.'],
             rate_lines(results), process_lines(results)]
    return '\n\n'.join('\n'.join(lines) for lines in parts) + '\n'


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--demo', required=True, help='folder that demo/run.sh has filled')
    parser.add_argument('--few', type=positive_int, default=200, help='(default: 200)')
    parser.add_argument('--many', type=positive_int, default=4000, help='(default: 4000)')
    parser.add_argument('--full_size', type=int, default=200, help='videos for each way, 0 for none (default: 200)')
    parser.add_argument('--part', type=positive_int, default=50, help='of them at a time (default: 50)')
    parser.add_argument('--output', default=f'{ROOT}/benchmarks/archive',
                        help='the files to write, without .json and .md (default: benchmarks/archive)')
    return parser.parse_args()


@script_main
def main():
    args = parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(args, folder)
    write_json(f'{args.output}.json', json.loads(json.dumps(results)))
    write_whole(f'{args.output}.md', markdown(results).encode())
    print(markdown(results))


if __name__ == '__main__':
    main()
