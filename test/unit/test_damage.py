# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Damaged frames, videos and bins: refused by one line that names the file, or read as they are. No hang.

Three tables, FRAMES, VIDEOS and BINS. A row is a name, how to damage a good file, and words of the message; None where
the file is good. The module docstrings of r2plus1d/frames.py and r2plus1d/video_file.py say what can not be seen.
"""
import faulthandler
import json
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from conftest import CONFIG, ROOT, SMALL, call, start

SECONDS = 30
VIDEO_CONFIG = ROOT / 'configs/r2plus1d_r34_video_8x8x1_180e_ucf101_rgb2.py'


@pytest.fixture(autouse=True)
def no_hang():
    """A test that waits, for instance for the other end of a named pipe, fails; where it waits in C, the run ends."""
    def give_up(number, frame):
        raise AssertionError('it hangs')

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    faulthandler.dump_traceback_later(90, exit=True)
    yield
    signal.alarm(0)
    faulthandler.cancel_dump_traceback_later()


def cut(share):
    """Damage: only this share of the file is left."""
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


def fill(start, content):
    """Damage: CONTENT stands at this share of the file."""
    def damage(path):
        with open(path, 'r+b') as f:
            f.seek(int(start * path.stat().st_size))
            f.write(content)
    return damage


def noise(size):
    return np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()


def zeros_from(start):
    return lambda path: fill(start, bytes(path.stat().st_size - int(start * path.stat().st_size)))(path)


def append(content):
    return lambda path: path.write_bytes(path.read_bytes() + content)


def replace_by(make):
    """Damage: something else of the same name. MAKE makes it."""
    def damage(path):
        path.unlink()
        make(path)
    return damage


def damage_of_image(change, ending='.jpg', options=()):
    """Damage: CHANGE, a function of the image, and encode it anew."""
    def damage(path):
        image = change(cv2.imread(str(path)))
        path.write_bytes(cv2.imencode(ending, image, options)[1].tobytes())
    return damage


def cut_png(path):
    damage_of_image(lambda image: image, '.png')(path)
    cut(.95)(path)


def error_of(make, *arguments):
    """The message of the InputError that make(*arguments) raises, one line; None where it raises none."""
    from r2plus1d.run import InputError
    try:
        make(*arguments)
    except InputError as e:
        message = str(e)
        assert '\n' not in message and 'modules/' not in message and '.cpp' not in message
        return message
    return None


def check(message, path, words):
    """The MESSAGE of an error names the file and has the WORDS; without words there is none."""
    if words is None:
        assert message is None
    else:
        assert message is not None, 'taken without a word'
        assert str(path) in message and words in message, message


# ---- frames ------------------------------------------------------------------------------------------

FRAMES = {
    'whole': (lambda path: None, None),
    'filled up with zeros': (append(bytes(100)), None),
    'a whole PNG': (damage_of_image(lambda image: image, '.png'), None),
    'one colour, optimized tables': (
        damage_of_image(lambda image: image * 0, options=[cv2.IMWRITE_JPEG_OPTIMIZE, 1]), None),
    'cut at 20%': (cut(.2), 'damaged: Premature end'),
    'cut at 50%': (cut(.5), 'damaged: Premature end'),
    'cut at 95%': (cut(.95), 'damaged: Premature end'),
    'without its last byte': (lambda path: os.truncate(path, path.stat().st_size - 1), 'damaged: Premature end'),
    'a PNG cut at 95%': (cut_png, 'cut off'),
    'half zeros': (zeros_from(.5), 'damaged: '),
    'a hole of zeros': (fill(.5, bytes(500)), 'zeros in the middle'),
    'a progressive JPEG': (damage_of_image(lambda image: image, options=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), None),
    'restart markers': (damage_of_image(lambda image: image, options=[cv2.IMWRITE_JPEG_RST_INTERVAL, 4]), None),
    'an end in the middle': (fill(.5, b'\xff\xd9'), 'damaged: '),
    '3,000 bytes garbled': (fill(.5, noise(3000)), 'damaged: '),
    'all zeros': (zeros_from(0), 'not an image'),
    'text': (lambda path: path.write_bytes(b'no jpeg'), 'not an image'),
    'empty': (cut(0), 'is empty'),
    'missing': (lambda path: path.unlink(), 'no such file'),
    'a link to nowhere': (replace_by(lambda path: path.symlink_to('nowhere')), 'a link to nowhere'),
    'a named pipe': (replace_by(os.mkfifo), 'a named pipe'),
    'a folder': (replace_by(os.mkdir), 'a folder'),
    'another size': (damage_of_image(lambda image: image[:100]), 'x100'),
}


@pytest.fixture
def frames(dataset, tmp_path, monkeypatch):
    """(config, path of frame 9) of a data set of one video, of 29 frames; a clip has frames 1, 9, 17 and 25."""
    name = 'Basketball/v_Basketball_g01_c01'
    data = tmp_path / 'data/ucf101'
    shutil.copytree(dataset / 'data/ucf101/rawframes' / name, data / 'rawframes' / name)
    (data / 'ucf101_val_split_1_rawframes.txt').write_text(f'{name} 29 1\n')
    (tmp_path / 'config.py').write_text(SMALL.format(base=CONFIG))
    monkeypatch.chdir(tmp_path)
    return 'config.py', data / 'rawframes' / name / 'img_00009.jpg'


@pytest.mark.parametrize('kind', FRAMES)
def test_frames(frames, kind):
    from r2plus1d.data import Samples, read_config
    config, path = frames
    damage, words = FRAMES[kind]
    damage(path)
    samples = Samples(read_config(config))
    check(error_of(samples.__getitem__, 0), path.name, words)


def test_preprocess_names_the_frame(frames):
    config, path = frames
    cut(.5)(path)
    done = call('r2plus1d_preprocess', f'--config={config}', '--output_path=bins', check=False)
    assert done.returncode == 1 and path.name in done.stderr.splitlines()[-1]
    assert not os.path.exists('bins')


# ---- bins --------------------------------------------------------------------------------------------

SHAPE = [3, 3, 8, 64, 64]  # of a sample; 294,912 values


def save_as(change, dtype=np.float32):
    """Damage: the values, changed by a function and as DTYPE, in a .npy file."""
    def damage(path):
        values = np.fromfile(path, np.float32).reshape(SHAPE)
        with open(path, 'wb') as f:
            np.save(f, change(values).astype(dtype))
    return damage


def save_npz(path):
    values = np.fromfile(path, np.float32)
    with open(path, 'wb') as f:
        np.savez(f, values)


def set_values(value, at):
    """Damage: one VALUE of float32 at this position."""
    return lambda path: fill_bytes(path, 4 * at, np.float32(value).tobytes())


def fill_bytes(path, start, content):
    with open(path, 'r+b') as f:
        f.seek(start)
        f.write(content)


def make_sparse(path):
    """A file as it is after a crash: its size was written, its content was not."""
    size = path.stat().st_size
    os.truncate(path, 0)
    os.truncate(path, size)


STRUCTURE = np.dtype([('a', np.float32)])
LAST = int(np.prod(SHAPE)) - 1
# name: (.bin or .npy, damage, words)
BINS = {
    'whole': ('.bin', lambda path: None, None),
    'npy': ('.npy', save_as(lambda x: x), None),
    'npy, Fortran order': ('.npy', save_as(np.asfortranarray), None),
    'npy, big-endian': ('.npy', save_as(lambda x: x, '>f4'), None),
    'NaN': ('.bin', set_values(np.nan, 1000), 'value 1000 is nan'),
    'NaN, the last value': ('.bin', set_values(np.nan, LAST), f'value {LAST} is nan'),
    'infinity': ('.bin', set_values(np.inf, 1000), 'value 1000 is inf'),
    'minus infinity': ('.bin', set_values(-np.inf, 1000), 'value 1000 is -inf'),
    'an absurd value': ('.bin', set_values(1e30, 1000), 'value 1000 is 1e+30'),
    'an absurd negative value': ('.bin', set_values(-1e30, 1000), 'value 1000 is -1e+30'),
    'the largest value that is taken': ('.bin', set_values(1e6, 1000), None),
    'all zeros': ('.bin', zeros_from(0), 'zero'),
    'sparse': ('.bin', make_sparse, 'zero'),
    'a megabyte of zeros': ('.bin', zeros_from(0.1), 'zero'),
    'cut': ('.bin', cut(.5), 'bytes'),
    'empty': ('.bin', cut(0), 'is empty'),
    'a named pipe': ('.bin', replace_by(os.mkfifo), 'a named pipe'),
    'a folder': ('.bin', replace_by(os.mkdir), 'a folder'),
    'a link to nowhere': ('.bin', replace_by(lambda path: path.symlink_to('nowhere')), 'a link to nowhere'),
    'npy, NaN': ('.npy', save_as(lambda x: np.where(x > 0.9, np.nan, x)), 'is nan'),
    'npy, float64 of the right number of bytes': ('.npy', save_as(lambda x: x.ravel()[::2], np.float64), 'float64'),
    'npy, int32': ('.npy', save_as(lambda x: x, np.int32), 'int32'),
    'npy, complex': ('.npy', save_as(lambda x: x.ravel()[::2], np.complex64), 'complex64'),
    'npy, texts': ('.npy', save_as(lambda x: x.ravel()[:1000], 'U3'), '<U3'),
    'npy, structures': ('.npy', save_as(lambda x: x, STRUCTURE), 'expected float32'),
    'npy, objects': ('.npy', save_as(lambda x: x.ravel()[:1000], object), 'cannot be read'),
    'npy, no values': ('.npy', save_as(lambda x: x[:0]), ' 0 bytes'),
    'npy, too few values': ('.npy', save_as(lambda x: x[:1]), 'bytes'),
    'npy, one number': ('.npy', save_as(lambda x: np.array(1)), 'bytes'),
    'npy, empty file': ('.npy', cut(0), 'is empty'),
    'npy, half a header': ('.npy', fill(0, b'\x93NUMPY\x01\x00\x76\x00{"descr":\0'), 'cannot be read'),
    'npy, a cut one': ('.npy', lambda path: [save_as(lambda x: x)(path), cut(.5)(path)], 'cannot be read'),
    'npy, a header that says it is shorter': (
        '.npy', lambda path: [save_as(lambda x: x)(path), fill_bytes(path, 8, b'\x66')], 'not the whole file'),
    'npy, longer': ('.npy', lambda path: [save_as(lambda x: x)(path), append(b'0')(path)], 'not the whole file'),
    'npy, npz': ('.npy', save_npz, 'several arrays'),
    'npy, a named pipe': ('.npy', replace_by(os.mkfifo), 'a named pipe'),
}


class Engine:
    """As much of an engine as a source of batches asks for."""

    model = 'model.onnx'
    sample_shape = SHAPE
    num_classes = None

    def __init__(self, dtype='float32'):
        self.dtype = np.dtype(dtype)


def load_all(folder, dtype='float32', **options):
    """All batches of the bins in a folder, each of one sample."""
    from r2plus1d.batches import Files
    source = Files(str(folder), 1, Engine(dtype), **options)
    batches = []
    for i in range(len(source.groups)):
        batches.append(np.empty([1, *SHAPE], dtype))
        source.load(i, batches[-1])
    return batches


@pytest.mark.parametrize('position', [0, 1])
@pytest.mark.parametrize('kind', BINS)
def test_bins(tmp_path, kind, position):
    """One of two bins is damaged: the first one, whose size is looked at, or another."""
    ending, damage, words = BINS[kind]
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    paths = [tmp_path / f'bin{i}-{i}_0{ending if i == position else ".bin"}' for i in range(2)]
    for path in paths:
        values.tofile(path)
    damage(paths[position])
    check(error_of(load_all, tmp_path), paths[position].name, words)
    if words is None and 'largest' not in kind:
        assert all((batch == values).all() for batch in load_all(tmp_path))


# the info.json of two folders, of each of which one file is inferred, and words of the message
FOLDERS = {
    'none': (None, None, None),
    'the same': ('{"dtype": "float32"}', '{"dtype": "float32"}', None),
    'different ones': ('{"dtype": "float32"}', '{"dtype": "uint8"}', 'not of the same run'),
    'the first one only': ('{"dtype": "float32"}', None, 'not of the same run'),
    'the second one only': (None, '{"dtype": "float32"}', 'not of the same run'),
}


@pytest.mark.parametrize('kind', FOLDERS)
def test_files_of_two_folders(tmp_path, kind):
    """Only the info.json of the first folder was looked at."""
    *infos, words = FOLDERS[kind]
    paths = []
    for i, info in enumerate(infos):
        folder = tmp_path / str(i)
        folder.mkdir()
        paths.append(folder / f'bin{i}-{i}_0.bin')
        np.random.default_rng(0).random(SHAPE, np.float32).tofile(paths[-1])
        if info:
            (folder / 'info.json').write_text(info)
    check(error_of(load_all, ','.join(map(str, paths))), paths[1].name, words)


@pytest.mark.parametrize('sparse', [False, True])
def test_a_black_video_is_no_damage(tmp_path, sparse):
    """Zeros are black in a uint8 bin, so they are taken, unless the file has a hole in the place of them."""
    path = tmp_path / 'bin0-0_0.bin'
    np.zeros(SHAPE, np.uint8).tofile(path)
    if sparse:
        make_sparse(path)
    check(error_of(load_all, tmp_path, 'uint8'), path.name, 'zero' if sparse else None)


def test_zeros_are_taken_on_demand(tmp_path):
    """Under a normalization with a mean of 0, black is zero."""
    np.zeros(SHAPE, np.float32).tofile(tmp_path / 'bin0-0_0.bin')
    assert not load_all(tmp_path, allow_damaged=True)[0].any()


# ---- videos ------------------------------------------------------------------------------------------

CLIP = 'YoYo/v_YoYo_g02_c01.avi'  # 101 frames; a clip has eight from 18 to 74


# name: (damage, words, whether --allow_damaged takes it)
VIDEOS = {
    'whole': (lambda path: None, None, True),
    'longer than it says': (append(bytes(100)), None, True),
    'being written': (lambda path: fill_bytes(path, 4, bytes(4)), None, True),
    'written to a pipe': (lambda path: fill_bytes(path, 4, b'\xff' * 4), None, True),
    '3,000 bytes garbled': (fill(.4, noise(3000)), 'the decoder reports', True),
    'a hole of zeros': (fill(.4, bytes(3000)), 'the decoder reports', True),
    'the last 5% missing': (cut(.95), 'cut off', True),
    'garbled after the clip': (fill(.9, noise(1000)), None, True),
    'half zeros': (zeros_from(.5), 'cut off: has', True),
    'all zeros': (zeros_from(0), 'not a video', False),
    'text': (lambda path: path.write_bytes(b'no video'), 'not a video', False),
    'empty': (cut(0), 'is empty', False),
    'missing': (lambda path: path.unlink(), 'no such file', False),
    'a link to nowhere': (replace_by(lambda path: path.symlink_to('nowhere')), 'a link to nowhere', False),
    'a named pipe': (replace_by(os.mkfifo), 'a named pipe', False),
    'a folder': (replace_by(os.mkdir), 'a folder', False),
}


@pytest.fixture
def video(dataset, tmp_path, monkeypatch):
    """(config, path of the only video that its list names): frames are decoded from the .avi file."""
    path = tmp_path / 'data/ucf101/videos' / CLIP
    path.parent.mkdir(parents=True)
    shutil.copy(dataset / 'data/ucf101/videos' / CLIP, path)
    (tmp_path / 'data/ucf101/ucf101_val_split_1_videos.txt').write_text(f'{CLIP} 2\n')
    (tmp_path / 'config.py').write_text(f"_base_ = ['{VIDEO_CONFIG}']\n")
    monkeypatch.chdir(tmp_path)
    return 'config.py', path


def first_sample(config, path, listed, allow_damaged):
    """The sample of a video, which a list names or which is given as a file."""
    from r2plus1d.data import Samples, read_config
    cfg = read_config(config)
    cfg.allow_damaged = allow_damaged
    samples = Samples(cfg) if listed else Samples.of_files(cfg, [str(path)])
    return samples[0][1]


@pytest.mark.parametrize('listed', [False, True])
@pytest.mark.parametrize('kind', VIDEOS)
def test_videos(video, kind, listed):
    config, path = video
    damage, words, allowed = VIDEOS[kind]
    whole = first_sample(config, path, listed, False)
    damage(path)
    check(error_of(first_sample, config, path, listed, False), path.name, words)
    if words is None:
        assert (first_sample(config, path, listed, False) == whole).all()
    message = error_of(first_sample, config, path, listed, True)
    assert message is None if allowed else path.name in message


def test_damage_is_that_of_its_video(video, tmp_path):
    """Of many videos that are decoded at the same time by several threads, the damaged ones are named, no other."""
    from r2plus1d.data import Samples, read_config
    config, path = video
    damaged = tmp_path / 'damaged.avi'
    shutil.copy(path, damaged)
    fill(.4, noise(3000))(damaged)
    samples = Samples.of_files(read_config(config), [str(path), str(damaged)] * 20)
    with ThreadPoolExecutor(4) as pool:
        messages = list(pool.map(lambda i: error_of(samples.__getitem__, i), range(40)))
    assert not any(messages[::2]) and all('the decoder reports' in message for message in messages[1::2])
    assert len(set(messages[1::2])) == 1


@pytest.mark.parametrize('is_damaged', [False, True])
def test_errors_of_seeking_are_no_damage(video, monkeypatch, is_damaged):
    """After a seek a decoder may report errors in a whole video. Decoding from the start tells which it is."""
    from r2plus1d import video_file
    config, path = video
    whole = first_sample(config, path, True, False)
    shown = video_file.VideoFile.shown
    seeks = []

    def shown_with_errors(self, keyframe=None):
        seeks.append(keyframe)
        if keyframe is not None or is_damaged:
            self.note('an error')
        return shown(self, keyframe)

    monkeypatch.setattr(video_file.VideoFile, 'shown', shown_with_errors)
    check(error_of(first_sample, config, path, True, False), path.name, 'an error' if is_damaged else None)
    assert [keyframe is None for keyframe in seeks] == [False, True]
    if not is_damaged:
        assert (first_sample(config, path, True, False) == whole).all()


# ---- the scripts -------------------------------------------------------------------------------------


def test_scripts_take_damaged_videos_on_demand(video, small, tmp_path):
    """Each script refuses a damaged video, says how to take it, and then says that it took it."""
    _, path = video
    fill(.4, noise(3000))(path)
    (tmp_path / 'classes.txt').write_text('1 A\n2 B\n3 C\n')
    (tmp_path / 'config.py').write_text(SMALL.format(base=VIDEO_CONFIG))
    model = ['--model', small.sim, '--config', 'config.py']

    def preprocess(*options):
        return call('r2plus1d_preprocess', '--config=config.py', '--output_path=bins', *options, check=False)

    def infer(*options):
        return start(ROOT / 'r2plus1d_infer.py', *model, '--output', 'out', '--output_dirname', 'run', *options,
                     cwd=tmp_path, check=False)

    def predict(*options):
        return start(ROOT / 'r2plus1d_predict.py', *model, '--video', path, '--classes', 'classes.txt', *options,
                     cwd=tmp_path, check=False)

    for script in (preprocess, infer, predict):
        done = script()
        assert done.returncode == 1 and not done.stdout, done.stderr
        check(done.stderr.strip().splitlines()[-1], path.name, '--allow_damaged')
        done = script('--allow_damaged')
        assert done.returncode == 0, done.stderr
        assert f'{path.name}: the decoder reports' in done.stderr
    info = json.loads((tmp_path / 'bins/info.json').read_text())
    assert info['allow_damaged'] is True
    assert preprocess().returncode == 1  # bins of damaged videos are not kept by a run that takes none


def test_infer_names_the_bin(small, tmp_path):
    shape = [3, 3, 8, 256, 256]
    bins = tmp_path / 'bins'
    bins.mkdir()
    for i in range(2):
        np.full(shape, .5, np.float32).tofile(bins / f'bin{i}-{i}_0.bin')
    set_values(np.nan, 77)(bins / 'bin1-1_0.bin')
    done = start(ROOT / 'r2plus1d_infer.py', '--model', small.sim, '--input', bins, '--output', tmp_path / 'out',
                 check=False)
    assert done.returncode == 1 and not list((tmp_path / 'out').glob('*'))
    check(done.stderr.strip().splitlines()[-1], 'bin1-1_0.bin', 'value 77 is nan')
