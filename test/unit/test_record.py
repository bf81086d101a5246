# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""demo/record.py: what a command prints on a terminal, as a recording and as an animated picture."""
import importlib
import os

import pytest
from conftest import ROOT, call
from PIL import Image, ImageSequence

pytest.importorskip('pyte', reason='pyte, the terminal of demo/record.py, is not installed')
record = importlib.import_module('record')


def has_terminals():
    """Whether there are pseudo-terminals, which a chroot or a container may lack."""
    try:
        for descriptor in os.openpty():
            os.close(descriptor)
    except OSError:
        return False
    return True


needs_terminals = pytest.mark.skipif(not has_terminals(), reason='no pseudo-terminals on this machine')

SCRIPT = r'''[ -t 1 ] && stty size <&1
printf '一 step\n'
printf '\r\e[Kwait'
sleep 0.4
printf '\r\e[Kdone\n'
'''


@needs_terminals
def test_a_recording(tmp_path, capsys):
    """Lines, their times, and a live line that is written again and again."""
    script = tmp_path / 'script.sh'
    script.write_text(SCRIPT)
    events = record.record(['bash', str(script)], tmp_path)
    assert ''.join(text for _, text in events) == '36 120\r\n一 step\r\n\r\x1b[Kwait\r\x1b[Kdone\r\n'
    assert events[-1][0] - events[0][0] >= 0.4
    record.write_cast(str(tmp_path / 'x.cast'), ['bash', 'script.sh'], events)
    assert record.read_cast(str(tmp_path / 'x.cast')) == ('bash script.sh', events)
    screens = record.read_screens(events, speed=0.5)
    assert [lines[2] for _, lines, _ in screens if lines[2]] == ['wait', 'done']
    assert screens[-1][1][0] == '36 120' and screens[-1][2] == record.LAST_SECONDS
    with pytest.raises(SystemExit, match='status 3'):
        record.record(['bash', '-c', 'exit 3'], tmp_path)


@needs_terminals
def test_the_live_line_of_a_step(tmp_path):
    """What live() of test/shell.sh shows while a command runs."""
    script = tmp_path / 'script.sh'
    script.write_text(f'''set -euo pipefail
. "{ROOT}/test/shell.sh"
live x.log bash -c 'sleep 0.3; echo "half of it"; sleep 1.5'
''')
    text = ''.join(text for _, text in record.record(['bash', str(script)], tmp_path))
    assert 's  half of it' in text and text.endswith('\r\x1b[K')


def test_a_picture(tmp_path):
    """Its frames take the time of the recording divided by the speed; the folder of the clone is not in it."""
    events = [(0.1, 'first\r\n'), (40.0, f'report: {ROOT}/work_dirs/demo/report/index.html\r\n')]
    record.write_cast(str(tmp_path / 'x.cast'), ['demo'], events)
    done = call('record', '--cast', tmp_path / 'x.cast', '--speed', '20', '--output', tmp_path / 'x.gif')
    assert 'x.gif' in done.stdout
    with Image.open(tmp_path / 'x.gif') as picture:
        durations = [frame.info['duration'] for frame in ImageSequence.Iterator(picture)]
        assert 1700 <= sum(durations[:-1]) <= 2300 and durations[-1] == 1000 * record.LAST_SECONDS
        assert picture.size == (120 * 7 + 24, 30 + 37 * 15 + 24)
    lines = record.read_screens(events, speed=20)[-1][1]
    assert lines[1] == 'report: ~/r2plus1d/work_dirs/demo/report/index.html'


def test_the_picture_of_the_readme_is_small():
    path = ROOT / 'demo/demo.gif'
    assert path.stat().st_size < 500_000
    with Image.open(path) as picture:
        assert picture.n_frames > 10
