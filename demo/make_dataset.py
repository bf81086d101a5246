# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Make a small synthetic action dataset in the form of UCF-101: videos, class index, official-style split lists.

The classes differ in motion only, in pairs of which one is the other played backwards: neither a single frame nor
shuffled frames tell them apart. A clip has a large textured object and a camera: one moves as the class says, both
wobble. There are small objects that drift, changing light and noise; 320x240, 25 fps, MPEG-4 (XVID), 29 to 150 frames.
The frames depend on the seed and on the clip's name only.

    python demo/make_dataset.py --out data/demo --split test

makes data/demo/videos/<Class>/v_<Class>_gNN_cMM.avi and data/demo/annotations/{classInd,trainlist0N,testlist0N}.txt.
"""
import argparse
import multiprocessing
import os
import re
import sys
import zlib
from pathlib import Path

# UCF-101's videos have about 0.4 Mbit/s; OpenCV asks FFmpeg for 100 times that, unless this is set before its import.
os.environ['OPENCV_FFMPEG_WRITER_OPTIONS'] = 'b;1000000|threads;1'

import cv2
import numpy as np
from tqdm import tqdm

WIDTH, HEIGHT, FPS = 320, 240, 25
LENGTHS = 29, 90, 151  # frames: least, most frequent, bound
MARGIN = 32  # pixels by which backgrounds and noise are larger than the picture, to move it over them
RADIUS = 80  # half the side of an object's sprite, pixels
BACKGROUND, OBJECT = ([[0], [60]], [[40], [120]]), ([[140], [190]], [[200], [255]])  # ranges of the two colours
SIZES = np.log([38, 76])  # the object's radius, log of pixels
# Pairs, of which one is the other played backwards. The object moves or, in the second half, the camera does.
CLASSES = ('MoveRight', 'MoveLeft', 'MoveDown', 'MoveUp', 'OrbitClockwise', 'OrbitCounterclockwise',
           'PanRight', 'PanLeft', 'RollClockwise', 'RollCounterclockwise', 'ZoomIn', 'ZoomOut')
LISTS = [f'{part}list{split:02}' for part in ('train', 'test') for split in (1, 2, 3)]


def random_for(seed, name):
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def make_texture(rng, kind, colours, height, width):
    """Clouds, stripes, checks or dots (kind 0 to 3) in two colours, 2 x 3. Height x width x 3, uint8."""
    def clouds(cells):
        return cv2.resize(rng.random((cells, cells), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)

    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle, frequency = rng.uniform(0, np.pi), 2 * np.pi / rng.uniform(36, 80)
    bend, field = 3 * clouds(5), clouds(rng.integers(4, 16))
    if kind in (1, 2):
        along = np.sin((columns * np.cos(angle) + rows * np.sin(angle)) * frequency + bend)
        field = 0.5 + along / 2
    if kind == 2:
        across = np.sin((rows * np.cos(angle) - columns * np.sin(angle)) * frequency)
        field = 0.5 + np.tanh(4 * along * across) / 2
    if kind == 3:
        field = np.zeros((height, width))
        for _ in range(height * width // 900):
            center = int(rng.integers(width)), int(rng.integers(height))
            cv2.circle(field, center, int(rng.integers(4, 13)), rng.uniform(0.4, 1), -1)
    field = np.clip(0.8 * field + 0.2 * clouds(24), 0, 1)[..., None]
    first, second = (colours[::rng.choice([-1, 1])] + rng.normal(0, 10, (2, 3))).astype(np.float32)
    return np.clip(first + (second - first) * field, 0, 255).astype(np.uint8)


def make_sprite(rng):
    """A random shape without rotational symmetry, filled with a texture. BGR and opacity, uint8."""
    points = int(rng.choice([3, 4, 5, 6, 10, 40]))
    angles = np.arange(points) * 2 * np.pi / points
    radii = 1 + 0.35 * np.sin(angles + rng.uniform(0, 6.3)) + 0.25 * np.sin(2 * angles + rng.uniform(0, 6.3))
    radii[::2] *= 0.5 if points == 10 else 1  # a star
    outline = np.stack([np.cos(angles), rng.uniform(0.6, 1) * np.sin(angles)], 1) * (radii / radii.max())[:, None]
    mask = np.zeros((RADIUS * 8, RADIUS * 8), np.uint8)  # drawn four times as large, for smooth edges
    cv2.fillPoly(mask, [np.round((outline * 0.97 + 1) * RADIUS * 4).astype(np.int32)], 255)
    mask = cv2.resize(mask, (RADIUS * 2, RADIUS * 2), interpolation=cv2.INTER_AREA)
    return np.dstack([make_texture(rng, rng.integers(4), rng.uniform(*OBJECT, (2, 3)), RADIUS * 2, RADIUS * 2), mask])


def wobble(rng, time, amplitude):
    """A smooth motion that goes nowhere and looks the same backwards: two sines with periods of 1.6 to 3.6 seconds."""
    turns = time[:, None] / rng.uniform(40, 90, 2) + rng.random(2)
    return np.sin(2 * np.pi * turns) @ rng.uniform(0.2, 0.6, 2) * amplitude


def make_motion(rng, motion, time):
    """In each frame the object's x, y (pixels), angle (degrees, clockwise) and radius (pixels), and the camera's
    shift of the picture in x and y (pixels), its turn of it (degrees, clockwise) and its enlargement."""
    backwards = CLASSES.index(motion) % 2
    motion, sign = CLASSES[CLASSES.index(motion) - backwards], 1 - 2 * backwards
    # in steps of 8 frames, which a model sees; 0 in the middle, so that a zoom is as near there as any other clip
    passed = sign * rng.uniform(0.6, 1) / 8 * (time - time.mean())
    turn, way = rng.uniform(0, 360), rng.uniform(0, 1000)  # where a motion that comes round again begins
    x, y = rng.uniform(85, WIDTH - 85) + wobble(rng, time, 5), rng.uniform(70, HEIGHT - 70) + wobble(rng, time, 5)
    angle, size = rng.uniform(0, 360) + wobble(rng, time, 7), rng.uniform(*SIZES) + wobble(rng, time, 0.05)
    camera = np.zeros((4, len(time)))
    if motion == 'MoveRight':
        x += way + 14 * passed
    elif motion == 'MoveDown':
        y += way + 14 * passed
    elif motion == 'OrbitClockwise':
        x += rng.uniform(55, 85) * np.cos(np.radians(turn + 24 * passed))
        y += rng.uniform(50, 70) * np.sin(np.radians(turn + 24 * passed))
    elif motion == 'PanRight':
        camera[0] -= 12 * passed
    elif motion == 'RollClockwise':
        camera[2] -= 6 * passed
    elif motion == 'ZoomIn':
        camera[3] += 0.09 * passed
    camera[:2] += wobble(rng, time, 3), wobble(rng, time, 3)
    camera[:2] += rng.normal(0, 0.3, (2, len(time)))
    return np.stack([x, y, angle, np.exp(size)], 1), np.stack([*camera[:3], np.exp(camera[3])], 1)


def make_distractor(rng, time):
    """The path of a small object that drifts and wobbles with no regard to the class."""
    x = rng.uniform(0, WIDTH) + rng.uniform(-2, 2) * time + wobble(rng, time, 30)
    y = rng.uniform(0, HEIGHT) + rng.uniform(-2, 2) * time + wobble(rng, time, 30)
    turn, radius = rng.uniform(0, 360) + rng.uniform(-3, 3) * time, rng.uniform(8, 15)
    return np.stack([x, y, turn, radius * np.exp(wobble(rng, time, 0.3))], 1)


def seen_by(camera, path):
    """A path as the moving camera has it; what leaves the picture on one side comes in on the other."""
    turn, scale = np.radians(camera[:, 2]), camera[:, 3]
    x, y = path[:, 0] - WIDTH / 2, path[:, 1] - HEIGHT / 2
    x, y = scale * (np.cos(turn) * x - np.sin(turn) * y), scale * (np.sin(turn) * x + np.cos(turn) * y)
    radius = path[:, 3] * scale
    edge = 0.6 * radius.mean()
    x = (x + camera[:, 0] + WIDTH / 2 + edge) % (WIDTH + 2 * edge) - edge
    y = (y + camera[:, 1] + HEIGHT / 2 + edge) % (HEIGHT + 2 * edge) - edge
    return np.stack([x, y, path[:, 2] + camera[:, 2], radius], 1)


def draw(frame, sprite, x, y, angle, radius):
    """Blend a sprite into the frame, in place, at a position that may be partly or wholly outside."""
    left, top = max(int(x - radius) - 1, 0), max(int(y - radius) - 1, 0)
    right, bottom = min(int(x + radius) + 2, WIDTH), min(int(y + radius) + 2, HEIGHT)
    if left >= right or top >= bottom:
        return
    matrix = cv2.getRotationMatrix2D((RADIUS - 0.5, RADIUS - 0.5), -angle, radius / RADIUS)
    matrix[:, 2] += (x - left - RADIUS + 0.5, y - top - RADIUS + 0.5)
    patch = cv2.warpAffine(sprite, matrix, (right - left, bottom - top))
    alpha, window = cv2.cvtColor(patch[..., 3], cv2.COLOR_GRAY2BGR), frame[top:bottom, left:right]
    window[:] = cv2.multiply(window, 255 - alpha, scale=1 / 255) + cv2.multiply(patch[..., :3], alpha, scale=1 / 255)


def make_frames(seed, name, motion):
    """Yield a clip's frames, HEIGHT x WIDTH x 3, BGR, uint8. All classes have the same objects and backgrounds."""
    rng, look = random_for(seed, name), random_for(seed, name[name.rindex('_g'):])
    style = random_for(seed, name[name.rindex('_g'):name.rindex('_c')])
    size = HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN
    background = make_texture(look, style.integers(4), style.uniform(*BACKGROUND, (2, 3)), *size)
    sprite = make_sprite(look)
    time = np.arange(int(rng.triangular(*LENGTHS)))
    path, camera = make_motion(rng, motion, time)
    actors = [(make_sprite(rng), make_distractor(rng, time)) for _ in range(rng.integers(2, 5))] + [(sprite, path)]
    actors = [(picture, seen_by(camera, path)) for picture, path in actors]
    light = rng.uniform(0.7, 1.1, 3) + wobble(rng, time, 0.1)[:, None]  # for blue, green and red
    noise = rng.normal(0, rng.uniform(1, 5), (*size, 3)).astype(np.int16)
    for moment, (dx, dy, turn, scale), (row, column) in zip(time, camera, rng.integers(0, 2 * MARGIN, (len(time), 2))):
        matrix = cv2.getRotationMatrix2D((WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN), -turn, scale)
        matrix[:, 2] += dx - MARGIN, dy - MARGIN
        frame = cv2.warpAffine(background, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        for picture, seen in actors:
            draw(frame, picture, *seen[moment])
        frame = cv2.multiply(frame, (*light[moment], 0))
        yield cv2.add(frame, noise[row:row + HEIGHT, column:column + WIDTH], dtype=cv2.CV_8U)


def write_video(job):
    path, seed, motion = job
    part = path.with_name(f'.{path.stem}.part.avi')
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*'XVID'), FPS, (WIDTH, HEIGHT))
        if not writer.isOpened():
            raise OSError(f'{path}: OpenCV cannot write an MPEG-4 file there')
        for frame in make_frames(seed, path.stem, motion):
            writer.write(frame)
        writer.release()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def make_lists(classes, clips):
    """The class index and the split lists as UCF-101 has them: dict of file name, without .txt, to lines."""
    names = sorted(CLASSES[i % 12] + (str(i // 12 + 1) if i >= 12 else '') for i in range(classes))
    lists = {name: [] for name in ('classInd', *LISTS)}
    for label, name in enumerate(names, 1):
        lists['classInd'].append(f'{label} {name}')
        for group in range(1, 26):  # as UCF-101: 1-7 are the test groups of split 1, 8-14 of split 2, 15-21 of split 3
            paths = [f'{name}/v_{name}_g{group:02}_c{clip:02}.avi' for clip in range(1, clips + 1)]
            for split in (1, 2, 3):
                part = 'test' if 7 * split - 6 <= group <= 7 * split else 'train'
                lists[f'{part}list{split:02}'] += paths if part == 'test' else [f'{path} {label}' for path in paths]
    return lists


def read_lists(folder):
    """The same from a folder of annotation files. A missing list is empty; raises OSError without the two needed."""
    lists = {name: [] for name in LISTS}
    for path in [folder / 'classInd.txt', folder / 'testlist01.txt', *folder.glob('t*list0[123].txt')]:
        lists[path.stem] = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    return lists


def plan_videos(lists, split):
    """The videos of a split and their motions, as dict. Raises ValueError for a list that does not fit the classes."""
    motions, videos = {}, {}
    for number, line in enumerate(lists['classInd']):
        name = line.split()[-1]
        motions[name] = ({name.rstrip('0123456789')} & {*CLASSES} or {CLASSES[number % 12]}).pop()
    for name in LISTS if split == 'all' else [f'{split}list01']:
        for line in lists[name]:
            video = re.match(r'([^/ ]+)/v_[^/ ]+_g\d+_c\d+\.avi(?= |$)', line)
            if not video or video[1] not in motions:
                raise ValueError(f'{name}.txt: "{line}" is not <class in classInd.txt>/v_<class>_gNN_cMM.avi')
            videos[video[0]] = motions[video[1]]
    if not videos:
        raise ValueError(f'{split}list01.txt: no videos')
    return videos


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.error = lambda message: parser.exit(2, f'{parser.prog}: error: {message}\n')  # one line, without the usage
    add = parser.add_argument
    add('--out', type=Path, required=True, help='folder to make videos/ and annotations/ in')
    add('--split', choices=('test', 'train', 'all'), default='all',
        help='videos of testlist01, of trainlist01 or of all lists; the lists are always whole')
    add('--classes', type=int, default=12, help='default 12; more repeat the motions under other names, as load only')
    add('--clips', type=int, default=3, help='clips in each of the 25 groups of a class; default 3')
    add('--names', type=Path, help='make load: a folder with classInd.txt and testlist01.txt, whose names are taken')
    add('--seed', type=int, default=0, help='default 0')
    add('--workers', type=int, default=len(os.sched_getaffinity(0)), help='processes; default: one for each core '
        'that may be used')
    args = parser.parse_args()
    for name, low, high in ('classes', 1, 999), ('clips', 1, 99), ('seed', 0, 2**32 - 1), ('workers', 1, 999):
        if not low <= getattr(args, name) <= high:
            parser.error(f'--{name} is {getattr(args, name)}; it must be from {low} to {high}')
    try:
        args.lists = read_lists(args.names) if args.names else make_lists(args.classes, args.clips)
        args.videos = plan_videos(args.lists, args.split)
    except (OSError, ValueError) as error:
        parser.error(f'--names {args.names} must be a folder with classInd.txt and testlist01.txt: {error}')
    return args


def main():
    args = parse_args()
    jobs = [(args.out / 'videos' / video, args.seed, motion) for video, motion in args.videos.items()]
    with multiprocessing.Pool(args.workers, cv2.setNumThreads, (1,)) as pool:
        list(tqdm(pool.imap_unordered(write_video, jobs), total=len(jobs), unit='video', desc=str(args.out)))
    (args.out / 'annotations').mkdir(exist_ok=True)
    for name, lines in args.lists.items():  # after the videos: where the lists are, the videos are whole
        part = args.out / 'annotations' / f'.{name}.part'
        part.write_bytes(''.join(f'{line}\r\n' for line in lines).encode())
        os.replace(part, part.with_name(f'{name}.txt'))


if __name__ == '__main__':
    try:
        main()
    except OSError as error:
        sys.exit(f'make_dataset.py: error: {error}')
