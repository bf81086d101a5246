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
import dataclasses
import io
import json
import os
import shutil
import signal
import sys
import zlib

import cv2
import mutations
import numpy as np
import pytest
from conftest import CONFIG, ROOT, SMALL, annotations, call
from hypothesis import HealthCheck, given, seed, settings

from r2plus1d.batches import Files
from r2plus1d.bins import BinName, BinsInfo, read_info
from r2plus1d.output_files import OutputWriter
from r2plus1d.outputs import Run
from r2plus1d.preprocessing import write_bin
from r2plus1d.results import read_performance
from r2plus1d.run import InputError
from r2plus1d.summary import RunFacts, make_summary

SECONDS = 45
MUTATIONS = int(os.environ.get('MUTATIONS', 10000))  # of all subjects together
SEED = int(os.environ.get('MUTATIONS_SEED', 0))
LONGEST = 20  # seconds that one file may take
LIST = 'data/ucf101/ucf101_val_split_1_rawframes.txt'
VIDEO_CONFIG = ROOT / 'configs/r2plus1d_r34_video_8x8x1_180e_ucf101_rgb2.py'


class Subject:
    """A kind of file. make() makes a good one; read() gives what the scripts read of it, as plain Python objects."""

    kinds = mutations.BYTES  # of damage

    def __init__(self, folder, dataset):
        self.folder = folder
        self.dataset = dataset
        self.path = self.make()
        self.good = self.path.read_bytes()

    def reason(self, data, expected, found):
        """Why nobody can know that DATA is not the good file; None where it should have been noticed."""
        return None


# ---- the data set ------------------------------------------------------------------------------------


class FrameList(Subject):
    """A list of frames beside the official lists, which tell labels and names."""

    kinds = mutations.LINES
    official = True

    def make(self):
        from r2plus1d.data import read_config
        data = self.folder / 'data/ucf101'
        shutil.copytree(self.dataset / 'data/ucf101/rawframes', data / 'rawframes')
        if self.official:
            (data / 'annotations').mkdir()
            for name, text in annotations().items():
                (data / 'annotations' / name).write_bytes(text.encode())
        shutil.copy(self.dataset / LIST, self.folder / LIST)
        (self.folder / 'config.py').write_text(SMALL.format(base=CONFIG))
        os.chdir(self.folder)
        self.config = read_config('config.py')
        return self.folder / LIST

    def read(self):
        from r2plus1d.data import Clips
        clips = Clips(self.config)
        found = {}
        for i, name in enumerate(clips.names):
            numbers, frames = clips[i]
            found[os.path.relpath(name)] = (clips.labels[i], numbers, zlib.crc32(np.array(frames)))
        return found


class FrameListAlone(FrameList):
    official = False

    def reason(self, data, expected, found):
        known = {name: frames for name, (_, *frames) in expected.items()}
        if all(known.get(name) == frames for name, (_, *frames) in found.items()):
            return 'another label, or fewer videos: only the official lists know'
        return None


class Frame(Subject):
    """A frame in JPEG. Of 128x96 pixels."""

    def make(self):
        rng = np.random.default_rng(0)
        image = cv2.resize(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), (128, 96))
        path = self.folder / 'img_00001.jpg'
        path.write_bytes(cv2.imencode('.jpg', image)[1].tobytes())
        return path

    def read(self):
        from r2plus1d.frames import check_size, read_frame
        frame = read_frame(str(self.path))
        check_size(str(self.path), frame, np.empty((96, 128, 3)))  # as beside the other frames of its clip
        return zlib.crc32(frame)

    def reason(self, data, expected, found):
        return 'other pixels, and JPEG has no checksum'


class Avi(Subject):
    """A video as UCF-101's are, but smaller."""

    name, codec = 'clip.avi', 'XVID'

    def make(self):
        from r2plus1d.data import read_config
        rng = np.random.default_rng(0)
        canvas = cv2.resize(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8), (150, 100))
        path = self.folder / self.name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*self.codec), 25, (96, 64))
        for i in range(80):
            x, y = int(20 + 15 * np.sin(i / 9)), int(15 + 12 * np.cos(i / 7))
            writer.write(canvas[y:y + 64, x:x + 96])
        writer.release()
        self.config = read_config(str(VIDEO_CONFIG))
        return path

    def read(self):
        from r2plus1d.data import Clips, video_files
        numbers, images = Clips(self.config, video_files([str(self.path)]))[0]
        return numbers, zlib.crc32(np.array(images))

    def reason(self, data, expected, found):
        if found[0] == expected[0]:  # the numbers of the frames
            return 'other pixels, and MPEG-4 has no checksum'
        return None


class Mp4(Avi):
    name, codec = 'clip.mp4', 'mp4v'


class Classes(Subject):
    """A list of classes, as UCF-101's classInd.txt, beside a list of training videos, which knows the classes."""

    kinds = mutations.LINES
    official = True

    def make(self):
        path = self.folder / 'classInd.txt'
        path.write_bytes(b''.join(b'%d Class%c\r\n' % (i, 64 + i) for i in range(1, 25)))
        if self.official:
            videos = [f'Class{chr(64 + i)}/v_Class{chr(64 + i)}_g08_c01.avi {i}\n' for i in range(1, 25)]
            (self.folder / 'trainlist01.txt').write_text(''.join(videos))
        return path

    def read(self):
        from r2plus1d.lists import read_classes
        return read_classes(str(self.path))


class ClassesAlone(Classes):
    official = False

    def reason(self, data, expected, found):
        if len(found) == len(expected):
            return 'another name of a class'
        return 'the last classes are missing' if len(found) < len(expected) else None


# ---- bins --------------------------------------------------------------------------------------------

SHAPE = [3, 3, 2, 16, 32]  # of a sample: 9,216 values, 36 KiB


@dataclasses.dataclass
class Engine:
    """As much of an engine as Files asks for."""

    model = 'model.onnx'
    sample_shape = SHAPE
    dtype = np.dtype('float32')
    num_classes = None


def write_bins(folder):
    """Three bins of one sample each, and their info.json."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    values = rng.standard_normal([3, *SHAPE]).astype(np.float32)
    digests = dict(write_bin(str(folder), i, [(label, values[i])], 1) for i, label in enumerate((0, 7, 12)))
    info = BinsInfo('/config.py', '0' * 64, '/list.txt', '1' * 64, 'float32', SHAPE, 1, 3, False, [[1, 2]] * 3, digests)
    (folder / 'info.json').write_text(json.dumps(info.to_json()))


def read_bins(folder):
    """What an inference makes of a folder of bins: the names and the values of each batch; the number of videos."""
    source = Files(str(folder), 1, Engine())
    batches = []
    for i, names in enumerate(source.groups):
        batch = np.empty([1, *SHAPE], np.float32)
        source.load(i, batch)
        batches.append((os.path.basename(names[0]), zlib.crc32(batch)))
    return batches, source.num_videos


class Bin(Subject):
    """A bin beside an info.json with its digest."""

    kinds = mutations.FLOATS

    def make(self):
        write_bins(self.folder / 'bins')
        return self.folder / 'bins' / str(BinName(1, (7,)))

    def read(self):
        return read_bins(self.folder / 'bins')


class BinAlone(Bin):
    """A bin without an info.json, as something else has made it."""

    def make(self):
        path = super().make()
        (self.folder / 'bins/info.json').unlink()
        return path

    def reason(self, data, expected, found):
        return 'other values that pixels can have, and there is no info.json'


class NpyBin(BinAlone):
    """The same as .npy."""

    kinds = mutations.NPY

    def make(self):
        path = super().make()
        values = np.fromfile(path, np.float32).reshape(SHAPE)
        path.unlink()
        np.save(path.with_suffix('.npy'), values)
        return path.with_suffix('.npy')


class InfoFile(Bin):
    """The info.json of bins. Which list and config they are of is for r2plus1d_preprocess.py, which makes them anew."""

    kinds = mutations.JSON

    def make(self):
        super().make()
        return self.folder / 'bins/info.json'

    def read(self):
        info = read_info(str(self.folder / 'bins'))
        batches, num_videos = read_bins(self.folder / 'bins')
        if num_videos not in (None, len(batches)):
            raise InputError('info.json: what r2plus1d_postprocess.py says, by check_complete()')
        return batches, info.bts


# ---- what an inference leaves ------------------------------------------------------------------------

CLASSES = 20


class Summary(Subject):
    """The summary of a run, read for the accuracy and for the speed."""

    kinds = mutations.JSON
    outfmt = 'TXT'

    def make(self):
        write_bins(self.folder / 'bins')
        rng = np.random.default_rng(0)
        with OutputWriter(str(self.folder / 'out'), 'run', self.outfmt) as outputs:
            for i, path in enumerate(sorted((self.folder / 'bins').glob('*.bin'))):
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


class TextOutput(Summary):
    """An output of one video."""

    kinds = mutations.LINES
    summary = 'run_summary.json'

    def make(self):
        super().make()
        return self.folder / 'out/run' / (str(BinName(1, (7,)))[:-4] + f'_0.{self.outfmt.lower()}')

    def read(self):
        accuracy, *speed = super().read()
        from r2plus1d.output_files import read_output
        scores = read_output(str(self.path), 3)
        return accuracy, zlib.crc32(np.ascontiguousarray(scores))


class NpyOutput(TextOutput):
    kinds = mutations.NPY
    outfmt = 'NPY'


class BinOutput(TextOutput):
    kinds = mutations.FLOATS
    outfmt = 'BIN'


class OutputOfAisBench(BinOutput):
    """As ais_bench leaves it: its summary has no digests."""

    def make(self):
        path = super().make()
        summary = json.loads((self.folder / 'out/run_summary.json').read_text())
        del summary['outputs_sha256']
        (self.folder / 'out/run_summary.json').write_text(json.dumps(summary))
        return path

    def reason(self, data, expected, found):
        return 'other scores, and the summary of ais_bench has no digest of them'


class Result(Subject):
    """The accuracy JSON of a batch size, as test/parse.py judges it."""

    kinds = mutations.JSON

    def make(self):
        Summary.make(self)
        os.rename(self.folder / 'out', self.folder / 'predata_bts1_bs1_out')
        path = self.folder / 'result_bs1.json'
        path.write_text(call('r2plus1d_postprocess', f'--result_path={self.folder}/predata_bts1_bs1_out').stdout)
        return path

    outfmt = 'TXT'

    def read(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(ROOT / 'test'))
            done = call('parse', f'--work_dir={self.folder}', '--batch_sizes=1', '--reference=0.3', check=False)
        if done.returncode:  # an error, or a verdict of no
            raise InputError((done.stderr or f'{self.path}: {done.stdout}').strip().replace('\n', ' '))
        print(done.stderr, end='', file=sys.stderr)
        return done.stdout


# ---- the test ----------------------------------------------------------------------------------------

SUBJECTS = {
    'list, with the official lists': FrameList, 'list, alone': FrameListAlone, 'frame, JPEG': Frame, 'video, .avi': Avi,
    'video, .mp4': Mp4, 'classInd.txt': Classes, 'classInd.txt, alone': ClassesAlone,
    'info.json': InfoFile, 'bin, with info.json': Bin, 'bin, alone': BinAlone,
    'bin, .npy': NpyBin, 'summary': Summary, 'output, TXT': TextOutput, 'output, NPY': NpyOutput,
    'output, BIN': BinOutput, 'output, BIN, of ais_bench': OutputOfAisBench, 'result': Result,
}
EACH = max(1, MUTATIONS // len(SUBJECTS))


@contextlib.contextmanager
def limited_time():
    """Within this context SIGALRM ends what takes longer than LONGEST."""
    def give_up(number, frame):
        raise AssertionError('it hangs')

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mutated(kinds, times=EACH):
    """Decorator: run a test of changes so many TIMES. It finds the same each time, which depends on SEED alone."""
    def decorate(test):
        checks = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
        options = settings(max_examples=times, deadline=None, database=None, suppress_health_check=checks,
                           print_blob=False)
        return seed(SEED)(options(given(mutations.changes(kinds))(test)))
    return decorate


def outcome(subject, data, expected):
    """What reading a damaged file came to: one of the words of the table at the end."""
    words = io.StringIO()
    try:
        with limited_time(), contextlib.redirect_stderr(words):
            found = subject.read()
    except InputError as e:
        lines = str(e).splitlines()
        assert len(lines) == 1 and 'Traceback' not in lines[0] and ('.' in lines[0]), lines
        return 'refused'
    if found == expected:
        return 'harmless'
    if words.getvalue():
        assert 'Traceback' not in words.getvalue()
        return 'warned of'
    reason = subject.reason(data, expected, found)
    assert reason, f'read as another thing without a word: {found}, expected {expected}'
    return f'not to be known: {reason}'


@pytest.mark.parametrize('name', SUBJECTS)
def test_damaged_files(name, dataset, tmp_path, monkeypatch, record_property):
    monkeypatch.chdir(tmp_path)
    subject = SUBJECTS[name](tmp_path, dataset)
    with contextlib.redirect_stderr(io.StringIO()) as words:
        expected = subject.read()
    assert 'warn' not in words.getvalue()
    counts = collections.Counter()

    @mutated(subject.kinds)
    def read_damaged(steps):
        data = mutations.apply(steps, subject.good)
        subject.path.write_bytes(data)
        counts['harmless' if data == subject.good else outcome(subject, data, expected)] += 1

    read_damaged()
    record_property('mutations', [name, dict(counts)])
