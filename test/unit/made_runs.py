# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Small runs as test/eval_acc_perf.sh leaves them, made without a model: what the tests of the report look at."""
import copy
import json
import os
import pathlib
import shutil

import cv2
import numpy as np
from conftest import CONFIG, call

from r2plus1d.output_files import save_output
from r2plus1d.results import Evaluation
from r2plus1d.store import file_digest

NAMES = ['ApplyEyeMakeup', '化眼妆', '<script>alert(1)</script>', 'A & "B" $x$ $y', 'IceDancing', '乐队行进']
ENGINE_ARGS = ['r2plus1d_infer.py', '--model', './some <b> model.onnx', '--precision', 'bf16', '--outfmt', 'TXT']
ENGINE = {'name': 'OpenVINO', 'version': '2031.4.0', 'precision': 'bf16', 'cpu': 'Some CPU <of> the run, 9.1 GHz',
          'threads': 7, 'streams': 2}
ENVIRONMENT = {'system': 'Linux 9', 'cores': 14, 'memory': 2**35, 'peak_memory': 2**31, 'python': '3.99.1',
               'packages': {'torch': '9.8.7', 'numpy': '6.5.4'}, 'commit': '0123456789+',
               'cpu_features': ['AVX-512', 'AMX']}


def summary(path, bs, times, files=None, **more):
    """Write the summary of a run at batch size BS, as r2plus1d_infer.py leaves it; TIMES: ms of each batch."""
    mean = float(np.mean(times))
    figures = {'min': min(times), 'max': max(times), 'mean': mean, 'median': float(np.median(times)),
               'percentile(99%)': float(np.percentile(times, 99)), 'count': len(times)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        'filesinfo': files or {}, 'args': ENGINE_ARGS, 'throughput': 1000 * bs / mean, 'npu_compute_time_list': times,
        'NPU_compute_time': figures, 'pid': 1, 'time': '2026_03_04-05_06_07+0800', 'engine': ENGINE, 'batchsize': bs,
        'environment': ENVIRONMENT, 'model_sha256': 'ab' * 32, **more}))


def write_config(folder):
    """A config for the list and the frames in a folder; its path."""
    (folder / 'config.py').write_text(f"_base_ = ['{CONFIG}']\ndata = dict(test=dict(\n"
                                      f"    ann_file='{folder}/list.txt', data_prefix='{folder}/frames'))\n")
    return folder / 'config.py'


class Run:
    """What test/eval_acc_perf.sh leaves: scores of videos x views x outputs, batch sizes 1 and 16."""

    extension = 'txt'  # of the outputs
    batch_sizes = (1, 16)

    def __init__(self, folder, names, labels, scores, average_clips='score'):
        self.folder, self.names, self.labels, self.scores = folder, names, np.array(labels), scores.astype(np.float32)
        weights = np.exp(scores) / np.exp(scores).sum(2, keepdims=True) if average_clips == 'prob' else scores
        self.average = weights.mean(1)
        self.predicted = self.average.argmax(1)
        folder.mkdir()
        (folder / 'classInd.txt').write_bytes(''.join(f'{i} {n}\r\n' for i, n in enumerate(names, 1)).encode())
        self.videos = [f'c{label}/v_c{label}_g01_c{i:02d}' for i, label in enumerate(labels)]
        for i, video in enumerate(self.videos):
            self.make_frames(folder / 'frames' / video, i)
        (folder / 'list.txt').write_text(''.join(f'{v} 20 {label}\n' for v, label in zip(self.videos, labels)))
        self.list_sha256 = file_digest(str(folder / 'list.txt'))
        write_config(folder)
        rng = np.random.default_rng(0)
        for bs in self.batch_sizes:
            Evaluation(f'{folder}/config.py', str(folder), 0.8892, 0.01, average_clips, 'm.onnx', '0',
                       0).write(str(folder), bs)
            out = folder / f'predata_bts1_bs{bs}_out' / '2026_03_04-05_06_07'
            out.mkdir(parents=True)
            files = {}
            for i, label in enumerate(labels):
                name = f'bin{i}-{i}_{label}_0.{self.extension}'
                save_output(str(out / name), self.scores[i])
                files[str(i)] = {'infiles': [f'predata_bts1/bin{i}-{i}_{label}.bin'], 'outfiles': [f'elsewhere/{name}']}
            self.times = rng.uniform(900, 1100, len(labels)).tolist()
            summary(out.parent / (out.name + '_summary.json'), bs, self.times, files, list_sha256=self.list_sha256)
            result = call('r2plus1d_postprocess', f'--result_path={out.parent}', f'--average_clips={average_clips}',
                          f'--num_videos={len(labels)}', f'--crops={scores.shape[1]}')
            (folder / f'result_bs{bs}.json').write_text(result.stdout)

    def make_frames(self, path, i):
        """20 frames, each of one grey: its number."""
        path.mkdir(parents=True)
        for number in range(1, 21):
            cv2.imwrite(str(path / f'img_{number:05d}.jpg'), np.full((48, 64, 3), 12 * number, np.uint8))

    def arguments(self, *more):
        return [f'--work_dir={self.folder}', f'--config={self.folder}/config.py',
                f'--classes={self.folder}/classInd.txt', *more]

    def copy(self, folder):
        """The same run in another folder, without a report. Images are links, as 500 copies take half a second."""
        def copy_file(source, target):
            (os.link if source.endswith('.jpg') else shutil.copy2)(source, target)

        other = copy.copy(self)
        other.folder = shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns('report'),
                                       copy_function=copy_file)
        other.change('config.py', str(self.folder), str(folder))
        return other

    def change(self, name, old, new):
        """Replace a part of a file, which has to be there."""
        path = self.folder / name
        text = path.read_text(encoding='utf-8')
        assert old in text
        path.write_text(text.replace(old, new), encoding='utf-8')

    def change_summaries(self, change):
        """CHANGE is called with the content of each summary, which is then written again."""
        for path in self.folder.glob('predata_bts1_bs*_out/*_summary.json'):
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))

    def report(self, *more):
        """The page, which is written to the last of the arguments where that is an --output.

        What the command printed on standard error stays in self.log.
        """
        self.log = call('r2plus1d_report', *self.arguments(*more)).stderr
        option, _, output = more[-1].partition('=') if more else ('', '', '')
        page = pathlib.Path(output) if option == '--output' else self.folder / 'report' / 'index.html'
        return page.read_text(encoding='utf-8')


def make_run(folder, wrong=True, outputs=8, average_clips='score'):
    """24 videos of 5 of the 6 classes; one is given a class without a name, some another one's."""
    rng = np.random.default_rng(1)
    labels = [0, 1, 2, 3, 5] * 5
    scores = rng.normal(0, 1, (25, 3, outputs))
    scores[np.arange(25), :, labels] += 8
    if wrong:
        for video, taken_for, by in ((3, 1, 12), (8, 1, 11), (11, 2, 9), (24, 7, 10)):
            scores[video, :, taken_for] += by
    return Run(folder, NAMES, labels, scores, average_clips)
