# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Record demo/run.sh on a terminal and draw the recording as an animated picture, demo/demo.gif.

    python -m pip install pyte
    python demo/record.py                                     # runs the demo, which takes some minutes
    python demo/record.py --cast work_dirs/demo.cast          # draws again what was recorded before

The recording is kept in work_dirs/demo.cast, in the form of asciinema (asciicast v2), with which it can be played, too.
The picture shows the real output in the order of its real times, faster by --speed; the clock in its title is the real
one. pyte is the terminal, Pillow draws it in the font that comes with matplotlib.
"""
import argparse
import codecs
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

try:
    import pyte
except ImportError:
    sys.exit('demo/record.py: pyte is not installed; run: python -m pip install pyte')

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS, ROWS = 120, 36
LETTER = (7, 15)  # pixels
FONT_SIZE = 11.6
MARGIN = 12
TITLE_HEIGHT = 30
BACKGROUND, TITLE, TEXT, SOFT = '#0d1117', '#21262d', '#e6edf3', '#9aa4ae'
STEP = 0.25  # seconds of the picture between two looks at the terminal
LAST_SECONDS = 8  # for which the end is shown


# ---- recording -----------------------------------------------------------------------------------------


def record(command, folder):
    """[(seconds, text)] of what a command prints on a terminal of its own. Raises SystemExit where it fails."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack('HHHH', ROWS, COLUMNS, 0, 0))
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=child, stderr=child,
                               env=dict(os.environ, TERM='xterm'))
    os.close(child)
    decoder = codecs.getincrementaldecoder('utf-8')('replace')
    events = []
    while True:
        try:
            data = os.read(parent, 4096)
        except OSError:  # Linux says so when nobody has the terminal open any more
            break
        if not data:
            break
        events.append((round(time.monotonic() - start, 3), decoder.decode(data)))
        sys.stdout.write(events[-1][1])
        sys.stdout.flush()
    os.close(parent)
    if process.wait():
        sys.exit(f'{" ".join(command)}: ended with status {process.returncode}; there is no picture of that')
    return events


def write_cast(path, command, events):
    """Write events in the form of asciinema: a line of JSON for the terminal, then one for each event."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as f:
        f.write(json.dumps({'version': 2, 'width': COLUMNS, 'height': ROWS, 'command': ' '.join(command)}) + '\n')
        for seconds, text in events:
            f.write(json.dumps([seconds, 'o', text]) + '\n')


def read_cast(path):
    """(command, events) of a file of write_cast()."""
    with open(path, encoding='utf-8') as f:
        header, *events = [json.loads(line) for line in f]
    return header['command'], [(seconds, text) for seconds, _, text in events]


# ---- the picture ---------------------------------------------------------------------------------------


def read_screens(events, speed):
    """[(real seconds, lines of the terminal, seconds in the picture)] of each moment at which the terminal has changed.

    The terminal is wider than the one that the command saw, so that no line is broken before names are shortened.
    """
    screen = pyte.Screen(2 * COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    screens = []
    waiting = list(events)
    end = events[-1][0]
    moment = 0.0
    while moment < end + STEP * speed:
        while waiting and waiting[0][0] <= moment:
            stream.feed(waiting.pop(0)[1])
        lines = [shorten(line) for line in screen.display]
        if screens and screens[-1][1] == lines:
            screens[-1][2] += STEP
        else:
            screens.append([min(moment, end), lines, STEP])
        moment += STEP * speed
    screens[-1][0] = end
    screens[-1][2] = LAST_SECONDS
    return screens


def shorten(line):
    """A line of the terminal without what is of this machine only: the folder of the clone, and the home."""
    line = line.replace(ROOT, '~/r2plus1d').replace(os.path.expanduser('~'), '~')
    return line.rstrip()[:COLUMNS]


def draw_screen(command, seconds, lines, font):
    """One frame of the picture."""
    width = COLUMNS * LETTER[0] + 2 * MARGIN
    height = TITLE_HEIGHT + (ROWS + 1) * LETTER[1] + 2 * MARGIN
    image = Image.new('RGB', (width, height), BACKGROUND)
    canvas = ImageDraw.Draw(image)
    canvas.rectangle((0, 0, width, TITLE_HEIGHT), TITLE)
    canvas.text((MARGIN, 8), 'R(2+1)D: the demo', SOFT, font)
    clock = f'{int(seconds) // 60}:{int(seconds) % 60:02d}'
    canvas.text((width - MARGIN - len(clock) * LETTER[0], 8), clock, TEXT, font)
    for row, line in enumerate([f'$ {command}', *lines]):
        canvas.text((MARGIN, TITLE_HEIGHT + MARGIN + row * LETTER[1]), line, TEXT if row else SOFT, font)
    return image.quantize(16, dither=Image.Dither.NONE)


def draw_gif(path, command, events, speed):
    """Write the animated picture."""
    font = ImageFont.truetype(font_manager.findfont('DejaVu Sans Mono'), FONT_SIZE)
    screens = read_screens(events, speed)
    frames = [draw_screen(command, seconds, lines, font) for seconds, lines, _ in screens]
    durations = [round(1000 * shown) for _, _, shown in screens]
    frames[0].save(path, 'GIF', save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)


# ---- the script ----------------------------------------------------------------------------------------


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--cast', help='A recording of before, to be drawn. (default: the demo is run and recorded)')
    parser.add_argument('--output', default=os.path.join(ROOT, 'demo', 'demo.gif'), help='The picture to write.')
    parser.add_argument('--speed', type=float, default=10, help='How many seconds of the recording pass in one second '
                        'of the picture. (default: %(default)s)')
    args = parser.parse_args()
    if args.cast and not os.path.isfile(args.cast):
        parser.error(f'--cast {args.cast}: no such file')
    if args.speed <= 0:
        parser.error(f'--speed {args.speed:g}: expected a number above 0')
    return args


def main():
    args = parse_args()
    if args.cast:
        command, events = read_cast(args.cast)
    else:
        if os.path.exists(os.path.join(ROOT, 'work_dirs', 'demo', 'report')):
            sys.exit('work_dirs/demo: the demo was run there before, and would not do it again; delete that folder')
        command = 'bash demo/run.sh'
        events = record(command.split(), ROOT)
        write_cast(os.path.join(ROOT, 'work_dirs', 'demo.cast'), command.split(), events)
    draw_gif(args.output, command, events, args.speed)
    print(f'{args.output}: {os.path.getsize(args.output) / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
