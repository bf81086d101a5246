# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Damaged files of all kinds, by hypothesis: no traceback, no hang, no other number without a word.

    MUTATIONS=100000 python -m pytest test/unit/test_mutations.py -n 2     # without MUTATIONS, 10,000

A subject is a kind of file: how to read it, as the scripts do, and what of its damage nobody can know. Each damaged
file is refused by one line that names a file, or read as another thing with words on standard error, or read as the
good file is. What is read as another thing without a word has to be of a kind that reason() of its subject knows.
MUTATIONS_SEED is the seed. The counts of each kind are printed at the end.
"""
import collections
import contextlib
import io
import json
import os
import shutil
import sys
import zlib

import cv2
import mutations
import numpy as np
import pytest
from conftest import CONFIG, SMALL, call, make_video
from hypothesis import HealthCheck, given, seed, settings
from test_damage import VIDEO_CONFIG, Engine, limited_time, load_bins, write_bins

from r2plus1d.bins import BinName, read_info
from r2plus1d.data import Clips, read_config, video_files
from r2plus1d.frames import check_size, read_frame
from r2plus1d.lists import read_classes
from r2plus1d.output_files import OutputWriter, read_output
from r2plus1d.outputs import Run
from r2plus1d.results import read_performance
from r2plus1d.run import InputError
from r2plus1d.summary import RunFacts, make_summary

SECONDS = 35
MUTATIONS = int(os.environ.get('MUTATIONS', 10000))  # of all subjects together
SEED = int(os.environ.get('MUTATIONS_SEED', 0))
LONGEST = 20  # seconds that one file may take


class Subject:
    """A kind of file. make() makes a good one; read() gives what the scripts read of it, as plain Python objects."""

    unknown = None  # why nobody can know that a damaged file is not the good one

    def __init__(self, folder, dataset, **options):
        """OPTIONS: other values of the attributes."""
        vars(self).update(options, folder=folder, dataset=dataset)
        self.path = self.make()
        self.good = self.path.read_bytes()

    def reason(self, expected, found):
        """Why nobody can know that what was FOUND is not the good file; None where it should have been noticed."""
        return self.unknown


# ---- the data set ------------------------------------------------------------------------------------


class FrameList(Subject):
    """A list of frames, beside the official lists, which tell labels and names, or without them."""

    is_alone = False

    def make(self):
        left_out = ['videos', *(['annotations'] if self.is_alone else [])]
        shutil.copytree(self.dataset / 'data', self.folder / 'data', ignore=shutil.ignore_patterns(*left_out))
        (self.folder / 'config.py').write_text(SMALL.format(base=CONFIG))
        self.config = read_config('config.py')
        return self.folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt'

    def read(self):
        clips = Clips(self.config)
        return {os.path.relpath(name): (label, numbers, zlib.crc32(np.array(frames)))
                for name, label, (numbers, frames) in zip(clips.names, clips.labels, clips)}

    def reason(self, expected, found):
        known = {name: frames for name, (_, *frames) in expected.items()}
        if self.is_alone and all(known.get(name) == frames for name, (_, *frames) in found.items()):
            return 'another label, or fewer videos: only the official lists know'
        return None


class Frame(Subject):
    """A frame in JPEG. Of 128x96 pixels."""

    unknown = 'other pixels, and JPEG has no checksum'

    def make(self):
        rng = np.random.default_rng(0)
        image = cv2.resize(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), (128, 96))
        path = self.folder / 'img_00001.jpg'
        path.write_bytes(cv2.imencode('.jpg', image)[1].tobytes())
        return path

    def read(self):
        frame = read_frame(str(self.path))
        check_size(str(self.path), frame, np.empty((96, 128, 3)))  # as beside the other frames of its clip
        return zlib.crc32(frame)


class Video(Subject):
    """A video as UCF-101's are, but smaller."""

    def make(self):
        path = self.folder / self.name
        make_video(path, 80, 0, (96, 64), self.codec)
        self.config = read_config(str(VIDEO_CONFIG))
        return path

    def read(self):
        numbers, images = Clips(self.config, video_files([str(self.path)]))[0]
        return numbers, zlib.crc32(np.array(images))

    def reason(self, expected, found):
        return 'other pixels, and MPEG-4 has no checksum' if found[0] == expected[0] else None  # the same frames


class Classes(Subject):
    """A list of classes, as UCF-101's classInd.txt, beside a list of training videos, which knows them, or alone."""

    is_alone = False

    def make(self):
        names = [f'Class{chr(64 + i)}' for i in range(1, 25)]
        path = self.folder / 'classInd.txt'
        path.write_bytes(''.join(f'{i} {name}\r\n' for i, name in enumerate(names, 1)).encode())
        if not self.is_alone:
            videos = [f'{name}/v_{name}_g08_c01.avi {i}\n' for i, name in enumerate(names, 1)]
            (self.folder / 'trainlist01.txt').write_text(''.join(videos))
        return path

    def read(self):
        return read_classes(str(self.path))

    def reason(self, expected, found):
        if not self.is_alone or len(found) > len(expected):
            return None
        return 'another name of a class' if len(found) == len(expected) else 'the last classes are missing'


# ---- bins --------------------------------------------------------------------------------------------

SHAPE = [3, 3, 2, 16, 32]  # of a sample: 9,216 values, 36 KiB


class Bin(Subject):
    """One of three bins, beside an info.json with its digest, or as something else has made it."""

    is_alone = False
    ending = '.bin'

    def make(self):
        path = write_bins(self.folder / 'bins', (0, 7, 12), SHAPE)[1]
        if self.is_alone:
            (self.folder / 'bins/info.json').unlink()
        if self.ending == '.npy':
            values = np.fromfile(path, np.float32).reshape(SHAPE)
            path.unlink()
            np.save(path.with_suffix('.npy'), values)
        return path.with_suffix(self.ending)

    def read(self):
        batches = load_bins(self.folder / 'bins', Engine(SHAPE))
        return [(name, zlib.crc32(values)) for name, values in batches.items()]


class InfoFile(Bin):
    """The info.json of bins. Which list and config they are of is for r2plus1d_preprocess.py, which makes them anew."""

    def make(self):
        return super().make().with_name('info.json')

    def read(self):
        info = read_info(str(self.folder / 'bins'))
        bins = super().read()
        if info.num_videos not in (None, len(bins)):
            raise InputError('info.json: what r2plus1d_postprocess.py says, by check_complete()')
        return bins, info.bts


# ---- what an inference leaves ------------------------------------------------------------------------

CLASSES = 20


class Summary(Subject):
    """The summary of a run, read for the accuracy and for the speed."""

    outfmt = 'TXT'

    def make(self):
        rng = np.random.default_rng(0)
        with OutputWriter(str(self.folder / 'out'), 'run', self.outfmt) as outputs:
            for i, path in enumerate(write_bins(self.folder / 'bins', (0, 7, 12), SHAPE)):
                outputs.add(i, [str(path)], [rng.standard_normal((3, CLASSES)).astype(np.float32)])
            engine = {'name': 'none', 'version': '1', 'precision': 'f32', 'cpu': 'none'}
            outputs.finish(make_summary(RunFacts({'device0': [20.5, 21.25, 19.125]}, 1, engine, 3,
                                                 {'model_sha256': '2' * 64}, SHAPE)))
        return self.folder / 'out/run_summary.json'

    def read(self):
        done = call('r2plus1d_postprocess', f'--result_path={self.folder}/out', f'--num_classes={CLASSES}', check=False)
        if done.returncode:
            raise InputError(done.stderr.strip().splitlines()[-1])
        words = [line for line in done.stderr.splitlines() if 'not checked' not in line]
        print(*words, sep='\n', end='', file=sys.stderr)
        speed = read_performance(Run.open(str(self.folder / 'out')))
        return json.loads(done.stdout), speed.batch_size, speed.rate, speed.times.tolist()


class Output(Summary):
    """An output of one video. The summary has its digest, except that of ais_bench."""

    is_of_ais_bench = False

    def make(self):
        summary = super().make()
        if self.is_of_ais_bench:
            content = json.loads(summary.read_text())
            del content['outputs_sha256']
            summary.write_text(json.dumps(content))
        return summary.with_name('run') / f'{str(BinName(1, (7,)))[:-4]}_0.{self.outfmt.lower()}'

    def read(self):
        accuracy, *_ = super().read()
        return accuracy, zlib.crc32(np.ascontiguousarray(read_output(str(self.path), 3)))


class Result(Summary):
    """The accuracy JSON of a batch size, as test/parse.py judges it."""

    def make(self):
        super().make().parent.rename(self.folder / 'predata_bts1_bs1_out')
        path = self.folder / 'result_bs1.json'
        path.write_text(call('r2plus1d_postprocess', f'--result_path={self.folder}/predata_bts1_bs1_out').stdout)
        return path

    def read(self):
        done = call('parse', f'--work_dir={self.folder}', '--batch_sizes=1', '--reference=0.3', check=False)
        if done.returncode:  # an error, or a verdict of no
            raise InputError((done.stderr or f'{self.path}: {done.stdout}').strip().replace('\n', ' '))
        print(done.stderr, end='', file=sys.stderr)
        return done.stdout


# ---- the test ----------------------------------------------------------------------------------------

OTHER_VALUES = 'other values that pixels can have, and there is no info.json'
OTHER_SCORES = 'other scores, and the summary of ais_bench has no digest of them'
# name: (subject, kinds of damage, attributes of the subject)
SUBJECTS = {
    'list, with the official lists': (FrameList, mutations.LINES, {}),
    'list, alone': (FrameList, mutations.LINES, {'is_alone': True}),
    'frame, JPEG': (Frame, mutations.BYTES, {}),
    'video, .avi': (Video, mutations.BYTES, {'name': 'clip.avi', 'codec': 'XVID'}),
    'video, .mp4': (Video, mutations.BYTES, {'name': 'clip.mp4', 'codec': 'mp4v'}),
    'classInd.txt': (Classes, mutations.LINES, {}),
    'classInd.txt, alone': (Classes, mutations.LINES, {'is_alone': True}),
    'info.json': (InfoFile, mutations.JSON, {}),
    'bin, with info.json': (Bin, mutations.FLOATS, {}),
    'bin, alone': (Bin, mutations.FLOATS, {'is_alone': True, 'unknown': OTHER_VALUES}),
    'bin, .npy': (Bin, mutations.NPY, {'is_alone': True, 'ending': '.npy', 'unknown': OTHER_VALUES}),
    'summary': (Summary, mutations.JSON, {}),
    'output, TXT': (Output, mutations.LINES, {}),
    'output, NPY': (Output, mutations.NPY, {'outfmt': 'NPY'}),
    'output, BIN': (Output, mutations.FLOATS, {'outfmt': 'BIN'}),
    'output, BIN, of ais_bench': (Output, mutations.FLOATS,
                                  {'outfmt': 'BIN', 'is_of_ais_bench': True, 'unknown': OTHER_SCORES}),
    'result': (Result, mutations.JSON, {}),
}
EACH = max(1, MUTATIONS // len(SUBJECTS))
CHECKS = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)


def outcome(subject, data, expected):
    """What reading a damaged file came to: one of the words of the table at the end."""
    if data == subject.good:
        return 'harmless'
    subject.path.write_bytes(data)
    words = io.StringIO()
    try:
        with limited_time(LONGEST), contextlib.redirect_stderr(words):
            found = subject.read()
    except InputError as e:
        lines = str(e).splitlines()
        assert len(lines) == 1 and 'Traceback' not in lines[0] and '.' in lines[0], lines
        return 'refused'
    if found == expected:
        return 'harmless'
    if words.getvalue():
        assert 'Traceback' not in words.getvalue()
        return 'warned of'
    reason = subject.reason(expected, found)
    assert reason, f'read as another thing without a word: {found}, expected {expected}'
    return f'not to be known: {reason}'


@pytest.mark.filterwarnings('ignore:Casting complex values')
@pytest.mark.parametrize('name', SUBJECTS)
def test_damaged_files(name, dataset, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    kind, kinds, options = SUBJECTS[name]
    subject = kind(tmp_path, dataset, **options)
    with contextlib.redirect_stderr(io.StringIO()) as words:
        expected = subject.read()
    assert 'warn' not in words.getvalue()
    counts = collections.Counter()

    @seed(SEED)  # the same files each time
    @settings(max_examples=EACH, deadline=None, database=None, suppress_health_check=CHECKS, print_blob=False)
    @given(mutations.changes(kinds))
    def read_damaged(steps):
        counts[outcome(subject, mutations.apply(steps, subject.good), expected)] += 1

    read_damaged()
    record_property('mutations', [name, dict(counts)])
