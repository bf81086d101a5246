# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Make a data set of your own videos: lists for training, validation and test, the class list, and a config.

    python r2plus1d_dataset.py --videos my_videos --output data/mine
    python r2plus1d_dataset.py --videos my_videos --output data/mine_center --mirrored same --shape center

The videos lie in folders of classes, my_videos/<class>/<video>. Each is decoded once, and what is odd about it is told.
Then data/mine has config.py, for training and for all scripts here; classes.txt; train.txt, val.txt and test.txt; and
videos, links to your videos with names that such lists can have. videos.tsv says which link is which video.

Videos whose names say that they are parts of one recording (g01_c01 and g01_c02, match part 1, match_001) are never in
two lists. docs/own_classes.md goes on from here.
"""
from __future__ import annotations

import argparse
import os
import random
import sys
from typing import Dict, List, Optional, Sequence, Tuple

from r2plus1d.run import (
    DEFAULT_CONFIG,
    InputError,
    log,
    make_parser,
    packages_needed,
    printable,
    require_files,
    script_main,
)

with packages_needed():
    from r2plus1d.dataset import (
        OwnVideo,
        find_classes,
        find_own_videos,
        look_at_all,
        odd_classes,
        split_by_file,
        split_by_share,
    )
    from r2plus1d.own_data import PARTS, SHAPES, ConfigSettings, config_lines, mirrored_pairs, read_mirrored
    from r2plus1d.store import PART_ENDING, claim, file_digest, remove_tree, replace_folder

MARK = '# made by r2plus1d_dataset.py; digest of config.py: '  # begins videos.tsv, and says that the folder is ours
MOST_ROWS = 40  # of a table on the terminal
FILES = {'classes.txt', 'config.py', 'videos.tsv', 'videos', 'rawframes', *(f'{part}.txt' for part in PARTS)}


def check_ours(folder: str) -> None:
    """Raise InputError unless the folder is empty, or as this script has left it."""
    if not os.path.isdir(folder):
        raise InputError(f'{folder}: is not a folder; give another --output')
    found = set(os.listdir(folder))
    table = os.path.join(folder, 'videos.tsv')
    mark = ''
    if os.path.isfile(table):
        with open(table, encoding='utf-8', errors='surrogateescape') as f:
            mark = f.readline().strip()
    strangers = found - FILES if mark.startswith(MARK) else found
    if strangers:
        raise InputError(f'{folder}: {sorted(strangers)[0]} in it is not of this script; give another --output')
    config = os.path.join(folder, 'config.py')
    if os.path.isfile(config) and mark != MARK + file_digest(config):
        raise InputError(f'{config}: was changed since this script wrote it; move it away, or give another --output')


# ---- writing -----------------------------------------------------------------------------------------


def write_lines(path: str, lines: Sequence[str]) -> None:
    with open(path, 'w', encoding='utf-8', errors='surrogateescape') as f:
        f.writelines(f'{line}\n' for line in lines)


def write_lists(folder: str, videos: Sequence[OwnVideo], args: argparse.Namespace) -> None:
    """The lists, in random order, so that the first lines of one are of all classes; and links to the videos."""
    for part in PARTS:
        members = [video for video in videos if video.part == part]
        random.Random(args.seed).shuffle(members)
        write_lines(f'{folder}/{part}.txt', [
            f'{video.stem} {video.facts.frames} {video.label}' if args.frames and video.facts else
            f'{video.name} {video.label}' for video in members])
    for video in filter(lambda video: video.part, videos):
        link = f'{folder}/videos/{video.name}'
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(os.path.abspath(video.path), link)


def write_table(folder: str, videos: Sequence[OwnVideo], classes: Sequence[str]) -> None:
    lines = [MARK + file_digest(f'{folder}/config.py'),
             'part\tclass\tname\tframes\tseconds\twidth\theight\tpath\tleft out because']
    for video in videos:
        facts = video.facts
        figures = [facts.frames, round(facts.seconds, 3), facts.width, facts.height] if facts else [''] * 4
        lines.append('\t'.join(map(str, [video.part or '-', classes[video.label], video.name, *figures,
                                         printable(video.path), printable(video.left_out)])))
    write_lines(f'{folder}/videos.tsv', lines)


def print_table(rows: Sequence[Tuple[str, str]]) -> None:
    width = max((len(printable(name)) for name, _ in rows[:MOST_ROWS]), default=0)
    for name, text in rows[:MOST_ROWS]:
        print(f'  {printable(name):{width}}  {printable(text)}', file=sys.stderr)
    if len(rows) > MOST_ROWS:
        print(f'  and {len(rows) - MOST_ROWS} more, which stand in videos.tsv', file=sys.stderr)


# ---- the script --------------------------------------------------------------------------------------


def ask_for_mirrored(parser: argparse.ArgumentParser, text: Optional[str],
                     classes: Sequence[str]) -> Optional[Dict[int, int]]:
    """The value of --mirrored, read. Ends the script, with status 2, where it is needed and missing."""
    pairs: List[Tuple[str, str]] = mirrored_pairs(classes)
    if text is None and pairs:
        example = ','.join('='.join(pair) for pair in pairs)
        parser.error(f'in a mirror some classes may be others: give --mirrored "{example}" to train on mirrored clips, '
                     'with the labels exchanged, or --mirrored none to train on none')
    if text in (None, 'none'):
        return None
    try:
        return {} if text == 'same' else read_mirrored(text or '', classes)
    except ValueError as e:
        parser.error(f'--mirrored: {e}')


def parse_args() -> Tuple[argparse.Namespace, Dict[str, str]]:
    parser = make_parser(__doc__)
    add = parser.add_argument
    add('--videos', required=True, help='The folder with a folder of videos for each class.')
    add('--output', required=True, help='The folder of the data set, such as data/mine.')
    add('--share', type=float, default=0.15, help='The share of the videos for test, and again for validation.')
    add('--seed', type=int, default=0, help='The seed of the split.')
    add('--split', help='Your own split: a text file with a line "PART CLASS/VIDEO" for each video, where PART is '
        'train, val or test.')
    add('--mirrored', metavar='LEFT=RIGHT,…', help='The classes that a mirror exchanges: half of the training clips '
        'are mirrored, with the labels exchanged. "same": mirrored, and every class stays what it is. "none": not '
        'mirrored. (default: none, where no names look like such a pair)')
    add('--shape', choices=SHAPES, default='crops', help='The views of a video: crops are those of --base, three; '
        'center is one crop; stretch is the full frame, of any shape stretched to one.')
    add('--frames', action='store_true', help='Extract the frames, and have the config read these.')
    add('--base', default=DEFAULT_CONFIG, help='The config to inherit from. (default: R(2+1)D-34 of this repository)')
    add('--checkpoint', help='The checkpoint to start the training from. (default: that of --base)')
    args = parser.parse_args()
    require_files(parser, args, 'base', *(name for name in ('split', 'checkpoint') if getattr(args, name)))
    if not 0 < args.share < 0.5:
        parser.error(f'--share is {args.share}; it must be between 0 and 0.5')
    args.videos, args.output = (os.path.normpath(path) for path in (args.videos, args.output))
    classes = find_classes(args.videos)
    args.mirrored = ask_for_mirrored(parser, args.mirrored, list(classes))
    return args, classes


def make_data_set(folder: str, folders: Dict[str, str], args: argparse.Namespace) -> str:
    """Make all files in FOLDER, which becomes --output. What came of it, in words."""
    classes = list(folders)
    videos = find_own_videos(folders)
    look_at_all(videos, f'{folder}/rawframes' if args.frames else None)
    print_table([(video.path, f'left out: {video.left_out}') for video in videos if video.left_out])
    if args.split:
        split_by_file(videos, args.videos, args.split)
    else:
        split_by_share(videos, classes, args.share, args.seed)
    print_table(odd_classes(videos, classes))
    write_lists(folder, videos, args)
    write_lines(f'{folder}/classes.txt', [f'{number} {name}' for number, name in enumerate(classes, 1)])
    data = f'{args.output}/{"rawframes" if args.frames else "videos"}'
    settings = ConfigSettings(args.base, data, args.shape, args.mirrored)
    write_lines(f'{folder}/config.py', config_lines(settings, classes, args.checkpoint))
    write_table(folder, videos, classes)
    counts = ', '.join(f'{sum(video.part == name for video in videos)} for {name}' for name in PARTS)
    return f'{len(classes)} classes, {counts}'


@script_main
def main() -> None:
    args, folders = parse_args()
    with claim(args.output, check_ours, [args.videos]) as output:
        part = output + PART_ENDING
        remove_tree(part)
        os.makedirs(part)
        try:
            summary = make_data_set(part, folders, args)
            replace_folder(part, output)
        finally:
            remove_tree(part)
    log(f'{args.output}: {summary}')


if __name__ == '__main__':
    main()
