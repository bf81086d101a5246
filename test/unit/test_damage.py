# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Damaged frames, videos and bins: refused by one line that names the file, or read as they are. No hang.

Three tables, FRAMES, VIDEOS and BINS. A row is a name, how to damage a good file, and words of the message; None where
the file is good. The module docstrings of r2plus1d/frames.py and r2plus1d/video_file.py say what can not be seen.
"""
import contextlib
import dataclasses
import faulthandler
import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from conftest import CONFIG, ROOT, SMALL, start

from r2plus1d import video_file
from r2plus1d.batches import Files
from r2plus1d.bins import BinName, BinsInfo
from r2plus1d.data import Samples, read_config, video_files
from r2plus1d.preprocessing import write_bin
from r2plus1d.run import InputError

SECONDS = 20
VIDEO_CONFIG = ROOT / 'configs/r2plus1d_r34_video_8x8x1_180e_ucf101_rgb2.py'
NOISE = np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8).tobytes()


@contextlib.contextmanager
def limited_time(seconds):
    """Within this context SIGALRM ends what waits, for instance for the other end of a named pipe."""
    def give_up(number, frame):
        raise AssertionError('it hangs')

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def no_hang():
    """A test that waits fails; where it waits in C, the run ends."""
    faulthandler.dump_traceback_later(90, exit=True)
    with limited_time(60):
        yield
    faulthandler.cancel_dump_traceback_later()


def check(path, words, function, *arguments):
    """function(*arguments) is refused by one line, which names the file and has the WORDS; None: it gives its value."""
    if words is None:
        return function(*arguments)
    with pytest.raises(InputError) as raised:
        function(*arguments)
    message = str(raised.value)
    assert str(path) in message and words in message
    assert '\n' not in message and 'modules/' not in message and '.cpp' not in message


# ---- damage ------------------------------------------------------------------------------------------


def keep(path):
    """No damage."""


def cut(share):
    """Only this share of the file is left."""
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


def write_at(path, start, content):
    with open(path, 'r+b') as f:
        f.seek(start)
        f.write(content)


def fill(share, content):
    """CONTENT stands at this share of the file."""
    return lambda path: write_at(path, int(share * path.stat().st_size), content)


def zeros_from(share):
    return lambda path: fill(share, bytes(path.stat().st_size - int(share * path.stat().st_size)))(path)


def append(content):
    return lambda path: path.write_bytes(path.read_bytes() + content)


def replace_by(make):
    """Something else of the same name, which MAKE makes."""
    def damage(path):
        path.unlink()
        make(path)
    return damage


# what no script may wait for or take for a file
NO_FILES = {
    'empty': (cut(0), 'is empty'),
    'missing': (os.unlink, 'no such file'),
    'a link to nowhere': (replace_by(lambda path: path.symlink_to('nowhere')), 'a link to nowhere'),
    'a named pipe': (replace_by(os.mkfifo), 'a named pipe'),
    'a folder': (replace_by(os.mkdir), 'a folder'),
}

# ---- frames ------------------------------------------------------------------------------------------


def encode(change=lambda image: image, ending='.jpg', options=()):
    """The image is changed by a function and encoded anew."""
    def damage(path):
        path.write_bytes(cv2.imencode(ending, change(cv2.imread(str(path))), options)[1].tobytes())
    return damage


FRAMES = {
    'whole': (keep, None),
    'filled up with zeros': (append(bytes(100)), None),
    'a whole PNG': (encode(ending='.png'), None),
    'one colour, optimized tables': (encode(lambda image: image * 0, options=[cv2.IMWRITE_JPEG_OPTIMIZE, 1]), None),
    'cut at 20%': (cut(.2), 'damaged: Premature end'),
    'cut at 50%': (cut(.5), 'damaged: Premature end'),
    'cut at 95%': (cut(.95), 'damaged: Premature end'),
    'without its last byte': (lambda path: os.truncate(path, path.stat().st_size - 1), 'damaged: Premature end'),
    'a PNG cut at 95%': (lambda path: [encode(ending='.png')(path), cut(.95)(path)], 'cut off'),
    'half zeros': (zeros_from(.5), 'damaged: '),
    'a hole of zeros': (fill(.5, bytes(500)), 'zeros in the middle'),
    'a progressive JPEG': (encode(options=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), None),
    'restart markers': (encode(options=[cv2.IMWRITE_JPEG_RST_INTERVAL, 4]), None),
    'an end in the middle': (fill(.5, b'\xff\xd9'), 'damaged: '),
    '3,000 bytes garbled': (fill(.5, NOISE), 'damaged: '),
    'all zeros': (zeros_from(0), 'not an image'),
    'text': (lambda path: path.write_bytes(b'no jpeg'), 'not an image'),
    'another size': (encode(lambda image: image[:100]), 'x100'),
    **NO_FILES,
}


@pytest.mark.parametrize('kind', FRAMES)
def test_frames(dataset, tmp_path, monkeypatch, kind):
    """Frame 9 of a video of 29 frames is damaged; a clip has frames 1, 9, 17 and 25."""
    damage, words = FRAMES[kind]
    name = 'Basketball/v_Basketball_g01_c01'
    data = tmp_path / 'data/ucf101'
    shutil.copytree(dataset / 'data/ucf101/rawframes' / name, data / 'rawframes' / name)
    (data / 'ucf101_val_split_1_rawframes.txt').write_text(f'{name} 29 1\n')
    (tmp_path / 'config.py').write_text(SMALL.format(base=CONFIG))
    monkeypatch.chdir(tmp_path)
    path = data / 'rawframes' / name / 'img_00009.jpg'
    damage(path)
    check(path.name, words, Samples(read_config('config.py')).__getitem__, 0)


# ---- bins --------------------------------------------------------------------------------------------

SHAPE = [3, 3, 8, 64, 64]  # of a sample; 294,912 values
LAST = int(np.prod(SHAPE)) - 1
VALUES = np.random.default_rng(0).random(SHAPE, np.float32)


@dataclasses.dataclass
class Engine:
    """As much of an engine as a source of batches asks for."""

    sample_shape: list
    dtype: np.dtype = np.dtype('float32')
    model = 'model.onnx'
    num_classes = None


def load_bins(spec, engine, **options):
    """{name: values} of a folder of bins with one sample each, or of files, as an inference reads them."""
    source = Files(str(spec), 1, engine, **options)
    batches = {}
    for i, (path,) in enumerate(source.groups):
        values = batches[os.path.basename(path)] = np.empty([1, *engine.sample_shape], engine.dtype)
        source.load(i, values)
    return batches


def write_bins(folder, labels, shape):
    """Bins of one sample each, of videos with these LABELS, and their info.json."""
    folder.mkdir()
    values = np.random.default_rng(0).standard_normal([len(labels), *shape]).astype(np.float32)
    digests = dict(write_bin(str(folder), i, [(label, values[i])], 1) for i, label in enumerate(labels))
    info = BinsInfo('/config.py', '0' * 64, '/list.txt', '1' * 64, 'float32', shape, 1, len(labels), False,
                [[1, 2]] * len(labels), digests)
    (folder / 'info.json').write_text(json.dumps(info.to_json()))
    return [folder / str(BinName(i, (label,))) for i, label in enumerate(labels)]


def save(change=lambda x: x, dtype=np.float32, save_array=np.save):
    """The values, changed by a function and as DTYPE, in a .npy file."""
    def damage(path):
        with open(path, 'wb') as f:
            save_array(f, change(VALUES).astype(dtype))
    return damage


def put(value, at):
    """One VALUE of float32 at this position."""
    return lambda path: write_at(path, 4 * at, np.float32(value).tobytes())


def make_sparse(path):
    """A file as it is after a crash: its size was written, its content was not."""
    size = path.stat().st_size
    os.truncate(path, 0)
    os.truncate(path, size)


# Those whose name begins with "npy" are .npy files.
BINS = {
    'whole': (keep, None),
    'npy': (save(), None),
    'npy, Fortran order': (save(np.asfortranarray), None),
    'npy, big-endian': (save(dtype='>f4'), None),
    'NaN': (put(np.nan, 1000), 'value 1000 is nan'),
    'NaN, the last value': (put(np.nan, LAST), f'value {LAST} is nan'),
    'infinity': (put(np.inf, 1000), 'value 1000 is inf'),
    'minus infinity': (put(-np.inf, 1000), 'value 1000 is -inf'),
    'an absurd value': (put(1e30, 1000), 'value 1000 is 1e+30'),
    'an absurd negative value': (put(-1e30, 1000), 'value 1000 is -1e+30'),
    'the largest value that is taken': (put(1e6, 1000), None),
    'all zeros': (zeros_from(0), 'zero'),
    'sparse': (make_sparse, 'zero'),
    'a megabyte of zeros': (zeros_from(0.1), 'zero'),
    'cut': (cut(.5), 'bytes'),
    **{kind: row for kind, row in NO_FILES.items() if kind != 'missing'},
    'npy, NaN': (save(lambda x: np.where(x > 0.9, np.nan, x)), 'is nan'),
    'npy, float64 of the right number of bytes': (save(lambda x: x.ravel()[::2], np.float64), 'float64'),
    'npy, int32': (save(dtype=np.int32), 'int32'),
    'npy, complex': (save(lambda x: x.ravel()[::2], np.complex64), 'complex64'),
    'npy, texts': (save(lambda x: x.ravel()[:1000], 'U3'), '<U3'),
    'npy, structures': (save(dtype=[('a', np.float32)]), 'expected float32'),
    'npy, objects': (save(lambda x: x.ravel()[:1000], object), 'cannot be read'),
    'npy, no values': (save(lambda x: x[:0]), ' 0 bytes'),
    'npy, too few values': (save(lambda x: x[:1]), 'bytes'),
    'npy, one number': (save(lambda x: np.array(1)), 'bytes'),
    'npy, empty file': (cut(0), 'is empty'),
    'npy, half a header': (fill(0, b'\x93NUMPY\x01\x00\x76\x00{"descr":\0'), 'cannot be read'),
    'npy, a cut one': (lambda path: [save()(path), cut(.5)(path)], 'cannot be read'),
    'npy, a header that says it is shorter': (lambda path: [save()(path), write_at(path, 8, b'\x66')],
                                              'not the whole file'),
    'npy, longer': (lambda path: [save()(path), append(b'0')(path)], 'not the whole file'),
    'npy, npz': (save(save_array=np.savez), 'several arrays'),
    'npy, a named pipe': (replace_by(os.mkfifo), 'a named pipe'),
}


@pytest.mark.parametrize('position', [0, 1])
@pytest.mark.parametrize('kind', BINS)
def test_bins(tmp_path, kind, position):
    """One of two bins is damaged: the first one, whose size is looked at, or another."""
    damage, words = BINS[kind]
    ending = 'npy' if kind.startswith('npy') else 'bin'
    paths = [tmp_path / f'bin{i}-{i}_0.{ending if i == position else "bin"}' for i in range(2)]
    for path in paths:
        VALUES.tofile(path)
    damage(paths[position])
    batches = check(paths[position].name, words, load_bins, tmp_path, Engine(SHAPE))
    if words is None and 'largest' not in kind:
        assert len(batches) == 2 and all((batch == VALUES).all() for batch in batches.values())


def exchange(paths):
    other = paths[0].rename(paths[0].with_name('other'))
    paths[1].rename(paths[0])
    other.rename(paths[1])


# how to change bins with an info.json, and the name of the one that is refused
CHANGED = {
    'a lost page': (lambda paths: write_at(paths[0], 100 * 4096, bytes(4096)), 'bin0-0_1.bin'),
    'two files exchanged': (exchange, 'bin0-0_1.bin'),
    'a file of another list': (lambda paths: paths[0].rename(paths[0].with_name('bin0-0_7.bin')), 'bin0-0_7.bin'),
}


@pytest.mark.parametrize('kind', CHANGED)
def test_bins_that_info_json_does_not_note(tmp_path, kind):
    change, name = CHANGED[kind]
    change(write_bins(tmp_path / 'bins', (1, 2), SHAPE))
    check(f'{name}: ', 'info.json', load_bins, tmp_path / 'bins', Engine(SHAPE))


OF_FLOAT32, OF_UINT8 = '{"dtype": "float32"}', '{"dtype": "uint8"}'


@pytest.mark.parametrize('infos', [(None, None), (OF_FLOAT32, OF_FLOAT32), (OF_FLOAT32, OF_UINT8), (OF_FLOAT32, None),
                                   (None, OF_FLOAT32)])
def test_files_of_two_folders(tmp_path, infos):
    """They are of one run where the info.json of both is the same. Only that of the first folder was looked at."""
    paths = [tmp_path / str(i) / f'bin{i}-{i}_0.bin' for i in range(2)]
    for path, info in zip(paths, infos):
        path.parent.mkdir()
        VALUES.tofile(path)
        if info:
            path.with_name('info.json').write_text(info)
    words = None if infos[0] == infos[1] else 'not of the same run'
    check(paths[1].name, words, load_bins, ','.join(map(str, paths)), Engine(SHAPE))


@pytest.mark.parametrize('dtype, is_sparse, options, words', [
    ('uint8', False, {}, None), ('uint8', True, {}, 'zero'), ('float32', False, {'allow_damaged': True}, None)])
def test_zeros_that_are_black(tmp_path, dtype, is_sparse, options, words):
    """In a uint8 bin they are, unless the file has a hole; in float32 only where the mean is 0, so on demand."""
    path = tmp_path / 'bin0-0_0.bin'
    np.zeros(SHAPE, dtype).tofile(path)
    if is_sparse:
        make_sparse(path)
    batches = check(path.name, words, lambda: load_bins(tmp_path, Engine(SHAPE, np.dtype(dtype)), **options))
    assert words or not batches[path.name].any()


# ---- videos ------------------------------------------------------------------------------------------

CLIP = 'YoYo/v_YoYo_g02_c01.avi'  # 101 frames; a clip has eight from 18 to 74
# name: (damage, words, whether --allow_damaged takes it)
VIDEOS = {
    'whole': (keep, None, True),
    'longer than it says': (append(bytes(100)), None, True),
    'being written': (lambda path: write_at(path, 4, bytes(4)), None, True),
    'written to a pipe': (lambda path: write_at(path, 4, b'\xff' * 4), None, True),
    '3,000 bytes garbled': (fill(.4, NOISE), 'the decoder reports', True),
    'a hole of zeros': (fill(.4, bytes(3000)), 'the decoder reports', True),
    'the last 5% missing': (cut(.95), 'cut off', True),
    'garbled after the clip': (fill(.9, NOISE[:1000]), None, True),
    'half zeros': (zeros_from(.5), 'cut off: has', True),
    'all zeros': (zeros_from(0), 'not a video', False),
    'text': (lambda path: path.write_bytes(b'no video'), 'not a video', False),
    **{kind: (*row, False) for kind, row in NO_FILES.items()},
}


@pytest.fixture
def video(dataset, tmp_path, monkeypatch):
    """The path of the only video that the list of config.py names: frames are decoded from the .avi file."""
    path = tmp_path / 'data/ucf101/videos' / CLIP
    path.parent.mkdir(parents=True)
    shutil.copy(dataset / 'data/ucf101/videos' / CLIP, path)
    (tmp_path / 'data/ucf101/ucf101_val_split_1_videos.txt').write_text(f'{CLIP} 2\n')
    (tmp_path / 'config.py').write_text(f"_base_ = ['{VIDEO_CONFIG}']\n")
    monkeypatch.chdir(tmp_path)
    return path


def first_sample(files=None, allow_damaged=False):
    """The sample of the video that the list of config.py names, or of the first of these FILES."""
    cfg = read_config('config.py')
    cfg.allow_damaged = allow_damaged
    return (Samples(cfg, videos=video_files(files)) if files else Samples(cfg))[0][1]


@pytest.mark.parametrize('is_listed', [False, True])
@pytest.mark.parametrize('kind', VIDEOS)
def test_videos(video, kind, is_listed):
    damage, words, is_allowed = VIDEOS[kind]
    files = None if is_listed else [str(video)]
    whole = first_sample(files)
    damage(video)
    sample = check(video.name, words, first_sample, files)
    assert words or (sample == whole).all()
    check(video.name, None if is_allowed else '', first_sample, files, True)


def test_damage_is_that_of_its_video(video, tmp_path):
    """Of many videos that are decoded at the same time by several threads, the damaged ones are named, no other."""
    damaged = tmp_path / 'damaged.avi'
    shutil.copy(video, damaged)
    fill(.4, NOISE)(damaged)
    samples = Samples(read_config('config.py'), videos=video_files([str(video), str(damaged)] * 20))
    with ThreadPoolExecutor(4) as pool:
        errors = [run.exception() for run in [pool.submit(samples.__getitem__, i) for i in range(40)]]
    assert errors[::2] == [None] * 20 and {type(error) for error in errors[1::2]} == {InputError}
    message, = {str(error) for error in errors[1::2]}
    assert 'the decoder reports' in message


@pytest.mark.parametrize('is_damaged', [False, True])
def test_errors_of_seeking_are_no_damage(video, monkeypatch, is_damaged):
    """After a seek a decoder may report errors in a whole video. Decoding from the start tells which it is."""
    whole = first_sample()
    shown = video_file.VideoFile.shown
    seeks = []

    def shown_with_errors(self, keyframe=None):
        seeks.append(keyframe)
        if keyframe is not None or is_damaged:
            self.note('an error')
        return shown(self, keyframe)

    monkeypatch.setattr(video_file.VideoFile, 'shown', shown_with_errors)
    sample = check(video.name, 'an error' if is_damaged else None, first_sample)
    assert [keyframe is None for keyframe in seeks] == [False, True]
    assert is_damaged or (sample == whole).all()


# ---- the scripts -------------------------------------------------------------------------------------


SCRIPTS = {
    'preprocess': '--config config.py --output_path bins',
    'infer': '--config config.py --model {model} --output out --output_dirname run',
    'predict': '--config config.py --model {model} --video {video} --classes classes.txt',
}


def test_scripts_take_damaged_videos_on_demand(video, small, tmp_path):
    """Each script refuses a damaged video, says how to take it, and then says that it took it."""
    fill(.4, NOISE)(video)
    (tmp_path / 'classes.txt').write_text('1 A\n2 B\n3 C\n')
    (tmp_path / 'config.py').write_text(SMALL.format(base=VIDEO_CONFIG))

    def run_script(name, *more):
        options = SCRIPTS[name].format(model=small.sim, video=video).split()
        return start(ROOT / f'r2plus1d_{name}.py', *options, *more, check=False)

    for name in SCRIPTS:
        done = run_script(name)
        line = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1 and not done.stdout and video.name in line and '--allow_damaged' in line
        done = run_script(name, '--allow_damaged')
        assert done.returncode == 0, done.stderr
        assert f'{video.name}: the decoder reports' in done.stderr
    assert json.loads((tmp_path / 'bins/info.json').read_text())['allow_damaged'] is True
    assert run_script('preprocess').returncode == 1  # bins of damaged videos are not kept by a run that takes none
