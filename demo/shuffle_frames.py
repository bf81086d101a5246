# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Copy a folder of raw frames with the frames of every video in random order, to test what a model sees in motion.

    python demo/shuffle_frames.py data/ucf101/rawframes data/ucf101/rawframes_shuffled

Then mmaction2's tools/test.py with --cfg-options data.test.data_prefix=data/ucf101/rawframes_shuffled. Frames are
linked, not copied (hard links: both folders on one file system). The order of a video depends on its name and --seed.
"""
import argparse
import os
import random
import shutil
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help='rawframes/<class>/<video>/img_00001.jpg ...')
    parser.add_argument('target', type=Path, help='folder to make; it must not exist')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    args = parser.parse_args()
    videos = sorted(path for path in args.source.glob('*/*') if path.is_dir())
    if not videos or args.target.exists():
        wrong = f'{args.target}: exists already' if videos else f'{args.source}: no <class>/<video> folders there'
        parser.exit(2, f'{parser.prog}: error: {wrong}\n')
    part = args.target.with_name(f'.{args.target.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    for video in videos:
        frames = sorted(video.glob('img_*.jpg'))
        names = [frame.name for frame in frames]
        random.Random(f'{args.seed} {video.name}').shuffle(names)
        folder = part / video.relative_to(args.source)
        folder.mkdir(parents=True)
        for frame, name in zip(frames, names):
            os.link(frame, folder / name)
    part.rename(args.target)


if __name__ == '__main__':
    try:
        main()
    except OSError as error:
        sys.exit(f'shuffle_frames.py: error: {error}')
