# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Bad input: one line that names it, exit status 1 or 2, nothing half-written; and the shell tests' verdicts."""
import json
import os
import shutil
import sys

import numpy as np
import onnx
import parse
import pytest
from conftest import CONFIG, ROOT, annotations, call, run, start

from r2plus1d.results import Performance

SECONDS = 35


def fails(done, status, *words):
    """The command failed with STATUS and one line on standard error that has all WORDS."""
    assert done.returncode == status, done.stderr
    assert 'Traceback' not in done.stderr
    line = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert str(word) in line, done.stderr
    assert not done.stdout


@pytest.fixture
def folder(dataset, tmp_path):
    """A data set that a test may break: the two videos shorter than a clip, of which frame 1 is always used."""
    data = tmp_path / 'data/ucf101'
    data.mkdir(parents=True)
    lines = (dataset / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    lines = [line for line in lines if line.startswith('Basketball')]
    for line in lines:
        name = line.split()[0]
        shutil.copytree(dataset / 'data/ucf101/rawframes' / name, data / 'rawframes' / name)
    (data / 'ucf101_val_split_1_rawframes.txt').write_text('\n'.join(lines) + '\n')
    return tmp_path


@pytest.mark.parametrize('script', sorted(path.name for path in ROOT.glob('r2plus1d_*.py')
                                          if '\n@script_main\n' in path.read_text(encoding='utf-8')))
def test_outside_the_environment(script, tmp_path):
    """A Python without the packages, which -S makes of this one, is told where the environment is."""
    done = run(sys.executable, '-S', ROOT / script, '--help', cwd=tmp_path, check=False)
    fails(done, 1, script, sys.executable, 'has no package', ROOT)
    assert len(done.stderr.splitlines()) == 1


# an mmcv that stands before ours, and what is said of it
MMCVS = {'missing': ('raise ModuleNotFoundError("No module named \'mmcv\'", name="mmcv")', 'has no package mmcv'),
         'version 2, or mmcv-lite': ('__version__ = "2.1.0"', 'mmcv 2.1.0, where mmaction2 0.x needs 1.x'),
         'does not load': ('raise ImportError("libGL.so.1: cannot open")', 'cannot import what the scripts need')}


@pytest.mark.parametrize('kind', MMCVS)
@pytest.mark.parametrize('script', ['r2plus1d_preprocess.py --output_path=bins --config', 'test/sample_shape.py'])
def test_a_wrong_environment_is_no_fault_of_the_config(tmp_path, kind, script):
    content, words = MMCVS[kind]
    (tmp_path / 'mmcv.py').write_text(content)
    name, *options = script.split()
    done = run(sys.executable, ROOT / name, *options, CONFIG, cwd=tmp_path, check=False,
               env={'PYTHONPATH': str(tmp_path)})
    fails(done, 1, sys.executable, words)
    assert CONFIG.name not in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('script', ['r2plus1d_preprocess --output_path=bins --config', 'sample_shape'])
def test_a_missing_config_is_named(tmp_path, script):
    name, *options = script.split()
    fails(call(name, *options, 'no.py', cwd=tmp_path, check=False), 2, 'no.py: no such file in')


def test_a_list_that_is_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'list.txt')
    options = ['--output_path=bins', '--cfg-options', 'data.test.ann_file=list.txt']
    fails(call('r2plus1d_preprocess', *options, cwd=tmp_path, check=False), 1, 'list.txt', 'is a named pipe')


PRINTS = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
from r2plus1d.run import make_parser, script_main

@script_main
def main():
    make_parser(__doc__)
    print(chr(0x4e2d))

main()
"""


@pytest.mark.parametrize('command, stdout, words', [
    ('{} >&-', '', 'standard output is closed'), ('{} >/dev/full', '', 'No space left on device'),
    ('mkdir gone; cd gone; rmdir ../gone; {}', '', 'is gone'),
    ('PYTHONOPTIMIZE=2 PYTHONIOENCODING=ascii {}', '\\u4e2d\n', ''), ('{}', '\u4e2d\n', '')])
def test_ends_that_are_one_line(tmp_path, command, stdout, words):
    """Standard output that is closed, full, or does not have a letter; a folder that is gone; no docstrings."""
    (tmp_path / 'prints.py').write_text(PRINTS)
    done = run('bash', '-c', command.format(f'{sys.executable} {tmp_path}/prints.py'), cwd=tmp_path, check=False,
               env={'PYTHONUTF8': '1'})
    assert done.stdout == stdout and words in done.stderr
    assert done.returncode == (1 if words else 0) and len(done.stderr.splitlines()) == (1 if words else 0)


def test_outside_the_root(tmp_path):
    """The paths of the config are looked for in the folder where the script was started, which the message names."""
    done = call('r2plus1d_preprocess', '--output_path=bins', cwd=tmp_path, check=False)
    fails(done, 1, 'data/ucf101/ucf101_val_split_1_rawframes.txt: no such file in', tmp_path)
    options = '--output_path=bins', '--config=test/stand_ins/cann.py'
    done = call('r2plus1d_preprocess', *options, cwd=tmp_path, check=False)
    fails(done, 2, 'test/stand_ins/cann.py: no such file in', tmp_path, f'start it in {ROOT}')


def test_preprocess(folder, small):
    def preprocess(*options):
        return call('r2plus1d_preprocess', *options, cwd=folder, check=False)

    config, out = f'--config={small.config}', '--output_path=bins'
    fails(preprocess(config), 2, '--output_path')
    fails(preprocess(config, '--', 'output_path=bins/'), 2, 'without the space: --output_path=bins/')
    fails(preprocess('--config=no.py', out), 2, 'no.py')
    fails(preprocess(config, out, '--bts=0'), 2, '--bts')
    fails(preprocess(config, out, '--bts=120'), 1, '--bts 120')
    assert not (folder / 'bins').exists()

    (folder / 'bins').mkdir()
    (folder / 'bins/notes.txt').write_text('mine')
    fails(preprocess(config, out), 1, 'bins', 'notes.txt')
    assert os.listdir(folder / 'bins') == ['notes.txt']
    fails(preprocess(config, '--output_path=bins/notes.txt'), 1, 'notes.txt')

    (folder / 'bins/notes.txt').unlink()
    assert preprocess(config, out).returncode == 0
    before = sorted(os.listdir(folder / 'bins'))

    frame = sorted((folder / 'data/ucf101/rawframes').glob('*/*/img_00001.jpg'))[0]
    for damage in (lambda: frame.write_bytes(b'no jpeg'), frame.unlink):
        damage()
        fails(preprocess(config, out, '--overwrite'), 1, frame.parent.name)
        assert sorted(os.listdir(folder / 'bins')) == before and not list(folder.glob('*.part'))

    (folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt').write_text('')
    fails(preprocess(config, out), 1, 'ucf101_val_split_1_rawframes.txt')
    (folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt').unlink()
    fails(preprocess(config, out), 1, 'ucf101_val_split_1_rawframes.txt')
    (folder / 'broken.py').write_text('model = (')
    fails(preprocess('--config=broken.py', out), 1, 'broken.py')
    (folder / 'empty.py').write_text('a = 1')
    fails(preprocess('--config=empty.py', out), 1, 'empty.py', 'data')


A, B = 'Basketball/v_Basketball_g01_c01', 'Basketball/v_Basketball_g01_c02'
# A list: (its bytes or text, words of the message); None: it is good
LISTS = {
    'good': (f'{A} 29 1\n{B} 63 1\n', None),
    'good, without an end of its last line': (f'{A} 29 1\n{B} 63 1', None),
    'good, as Windows writes it': (f'{A} 29 1\r\n{B} 63 1\r\n', None),
    'label -1': (f'{A} 29 -1\n', 'line 1: "-1" is not a number'),
    'label of no class': (f'{A} 29 1\n{B} 63 400\n', 'line 2: label 400, and the model has 400 classes'),
    'label of many digits': (f'{A} 29 100000\n', 'line 1: label 100000'),
    'label of very many digits': (f'{A} 29 {"1" * 5000}\n', 'line 1: "1111'),
    'digits of another script': (f'{A} 29 １\n', 'line 1: "１" is not a number'),
    'no label': (f'{A} 29\n', 'line 1: has 2 fields'),
    'a field too many': (f'{A} 29 1 1\n', 'line 1: has 4 fields'),
    'a space in a name': ('Basket ball/v 29 1\n', 'line 1: has 4 fields'),
    'a blank line': (f'{A} 29 1\n\n{B} 63 1\n', 'line 2: is blank'),
    'a comment': (f'# videos\n{A} 29 1\n', 'line 1: is a comment'),
    'a video twice': (f'{A} 29 1\n{B} 63 1\n{A} 29 1\n', 'line 3: the same video as line 1'),
    'a video with two labels': (f'{A} 29 1\n{A} 29 2\n', 'line 2: the same video as line 1'),
    'a path upwards': (f'../rawframes/{A} 29 1\n', 'line 1: "../rawframes/'),
    'an absolute path': (f'/tmp/{A} 29 1\n', 'line 1: "/tmp/'),
    'no frames': (f'{A} 0 1\n', 'line 1: 0 frames'),
    'one frame': (f'{A} 1 1\n', 'line 1: 1 frames'),
    'a byte-order mark': (b'\xef\xbb\xbf' + f'{A} 29 1\n'.encode(), 'byte-order mark'),
    'UTF-16': (f'{A} 29 1\n'.encode('utf-16'), 'byte 0 is not UTF-8'),
    'Latin-1': ('é 29 1\n'.encode('latin-1'), 'byte 0 is not UTF-8'),
    'zeros': (f'{A} 29 1\n'.encode() + bytes(100), 'zero bytes'),
    'two faults': (f'{A} 29 x\n\n{B} 63 1\n', 'line 1: "x" is not a number; line 2: is blank'),
    'another label than the official one': (f'{A} 29 1\n{B} 63 2\n', 'line 2: label 2, and'),
    'a training video': (f'{A} 29 1\nBasketball/v_Basketball_g08_c01 90 1\n', 'line 2: Basketball/v_Basketball_g08'),
}


@pytest.mark.parametrize('kind', LISTS)
def test_lists(folder, small, kind):
    """All faults of a list are told at once, with their lines, and nothing is made."""
    text, words = LISTS[kind]
    data = folder / 'data/ucf101'
    if 'official' in kind or 'training' in kind:
        (data / 'annotations').mkdir()
        for name, content in annotations().items():
            (data / 'annotations' / name).write_text(content)
    path = data / 'ucf101_val_split_1_rawframes.txt'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', cwd=folder, check=False)
    if words is None:
        assert done.returncode == 0 and len(list((folder / 'bins').glob('*.bin'))) == 2
    else:
        fails(done, 1, path.name, words)
        assert not (folder / 'bins').exists()


def test_a_list_with_paths_outside_on_demand(folder, small):
    path = folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt'
    path.write_text(f'../rawframes/{A} 29 1\n{folder}/data/ucf101/rawframes/{B} 63 1\n')
    call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', '--allow_outside', cwd=folder)
    assert len(list((folder / 'bins').glob('*.bin'))) == 2


def test_an_incomplete_list_is_said(folder, small):
    data = folder / 'data/ucf101'
    (data / 'annotations').mkdir()
    for name, content in annotations().items():
        (data / 'annotations' / name).write_text(content)
    done = call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', cwd=folder)
    assert 'has 2 of the 5 videos of data/ucf101/annotations/testlist01.txt' in done.stderr


def test_a_run_replaces_the_bins_of_another(folder, small):
    for bts, names in (('1', 2), ('2', 1)):
        call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins/', '--bts', bts, cwd=folder)
        assert len(list((folder / 'bins').glob('*.bin'))) == names


def test_bins_that_are_there_are_kept(folder, small):
    """The same config, list, dtype and --bts: nothing is made. Otherwise, or on demand: made again."""
    def preprocess(*options, check=True):
        return call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', *options, cwd=folder,
                    check=check)

    def stamps():
        return {path.name: path.stat().st_mtime_ns for path in (folder / 'bins').iterdir()}

    preprocess()
    first = stamps()
    assert 'kept' in preprocess().stderr and stamps() == first
    preprocess('--overwrite')
    second = stamps()
    assert set(second) == set(first) and all(second[name] != first[name] for name in first)

    bins = sorted((folder / 'bins').glob('*.bin'))
    with open(bins[0], 'r+b') as f:
        f.truncate(1000)
    preprocess()
    assert bins[0].stat().st_size == bins[1].stat().st_size
    bins[0].unlink()
    preprocess()
    assert sorted((folder / 'bins').glob('*.bin')) == bins
    for options in (['--dtype=uint8'], ['--cfg-options', 'data.test.pipeline.0.frame_interval=4']):
        assert 'kept' not in preprocess(*options).stderr
        assert 'kept' in preprocess(*options).stderr
    lines = (folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt').read_text().splitlines()
    (folder / 'data/ucf101/ucf101_val_split_1_rawframes.txt').write_text('\n'.join(lines[::-1]) + '\n')
    assert 'kept' not in preprocess(*options).stderr

    (folder / 'bins/info.json').unlink()  # then nothing says that they are ours
    before = stamps()
    fails(preprocess(check=False), 1, 'bins', '--overwrite')
    assert stamps() == before
    preprocess('--overwrite')
    assert 'info.json' in stamps()
    frame = folder / 'data/ucf101/rawframes' / lines[0].split()[0] / 'img_00001.jpg'

    def overwrite(path):  # a later frame, in place
        path.with_name('img_00002.jpg').write_bytes(path.with_name('img_00003.jpg').read_bytes())

    for change in (overwrite, os.utime, os.unlink):  # the last one is noticed by the first video, which is looked at
        preprocess(*options)
        assert 'kept' in preprocess(*options).stderr
        change(frame)
        assert 'others since: the files of the videos' in preprocess(*options, check=change is not os.unlink).stderr


def test_an_info_json_of_version_2_is_kept(folder, small):
    """Its stamps were of the first frames alone, so they are not compared, and that is said."""
    def preprocess():
        return call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', cwd=folder).stderr

    preprocess()
    info = json.loads((folder / 'bins/info.json').read_text())
    (folder / 'bins/info.json').write_text(json.dumps(dict(info, version=2, sources=[[1, 2]] * 2)))
    found = preprocess()
    assert 'not checked: whether the videos were changed' in found and 'kept' in found


def test_old_bins_make_room_for_new_ones(folder, small, monkeypatch):
    """Where the disk has no room for both, the old ones are removed first; where that is not enough, they stay."""
    import collections
    usage = collections.namedtuple('usage', 'total used free')
    sample = 3 * 3 * 8 * 256 * 256 * 4

    def preprocess(free, *options):
        monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage(0, 0, free))
        return call('r2plus1d_preprocess', f'--config={small.config}', '--output_path=bins', *options, cwd=folder,
                    check=False)

    assert preprocess(2 * sample).returncode == 0
    before = sorted(os.listdir(folder / 'bins'))
    assert len(before) == 3
    fails(preprocess(sample, '--bts=4'), 1, 'bins', 'GB')
    assert sorted(os.listdir(folder / 'bins')) == before
    done = preprocess(sample, '--bts=2')
    assert done.returncode == 0 and 'removed first' in done.stderr
    assert len(os.listdir(folder / 'bins')) == 2 and not list(folder.glob('bins.*'))


def test_predict(dataset, small, tmp_path):
    def predict(run, **changes):
        options = dict(model=small.sim, config=small.config, classes='classes.txt',
                       video=next(dataset.glob('data/ucf101/videos/YoYo/*.avi')))
        options.update(changes)
        return run(*(f'--{name}={value}' for name, value in options.items()))

    def here(*options):  # no engine is loaded
        return call('r2plus1d_predict', *options, cwd=tmp_path, check=False)

    def apart(*options):
        return start(ROOT / 'r2plus1d_predict.py', *options, cwd=tmp_path, check=False)

    (tmp_path / 'classes.txt').write_text('1 A\n2 B\n')
    (tmp_path / 'wrong.txt').write_text('A\nB\n')
    (tmp_path / 'long.txt').write_text(''.join(f'{i} c{i}\n' for i in range(1, 402)))
    fails(predict(here, video='no.avi'), 2, '--video', 'no.avi')
    (tmp_path / 'text.avi').write_text('no video')
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe.avi')
    (tmp_path / 'three.txt').write_text('a.avi 1 2\n')
    (tmp_path / 'label.txt').write_text('"a b.avi" C\n')
    fails(predict(apart, video='text.avi'), 1, 'text.avi', 'not a video')
    fails(predict(here, video='folder'), 1, 'folder', 'no video files')
    fails(predict(here, video='pipe.avi'), 1, 'pipe.avi', 'is a named pipe')
    fails(predict(here, video='three.txt'), 1, 'three.txt', 'line 1', 'quotes')
    fails(predict(here, video='label.txt'), 1, 'label.txt', 'line 1', '"C"')
    fails(predict(here, output='rows.txt'), 2, 'rows.txt', '.jsonl')
    fails(predict(here, srt='folder'), 2, '--srt needs --every')
    fails(predict(here, every='0'), 2, '--every')
    fails(predict(here, ray='cluster'), 2, '--ray cluster')
    fails(predict(here, classes='wrong.txt'), 1, 'wrong.txt', 'line 1')
    fails(predict(here, model='classes.txt'), 1, 'classes.txt', 'not an ONNX model')
    fails(predict(apart, classes='long.txt'), 1, 'long.txt', '401', '400')


def test_infer(bins, small, tmp_path):
    def infer(*options):
        done = start(ROOT / 'r2plus1d_infer.py', *options, cwd=tmp_path, check=False)
        assert not list(tmp_path.glob('out*')) or not list((tmp_path / 'out').iterdir())
        return done

    model = ['--model', small.sim]
    out = ['--output', 'out']
    fails(infer('--input', bins), 2, '--model')
    fails(infer('--model', 'no.onnx', '--input', bins), 2, 'no.onnx')
    fails(infer(*model, '--input', 'no', *out), 1, 'no', 'no such file')
    fails(infer(*model, '--input', bins, '--batchsize', '0', *out), 2, '--batchsize')
    fails(infer(*model, '--output_dirname', 'x'), 2, '--output_dirname')
    (tmp_path / 'empty').mkdir()
    fails(infer(*model, '--input', 'empty', *out), 1, 'empty', 'no .bin')

    (tmp_path / 'm.om').write_bytes(b'om')
    fails(infer('--model', 'm.om', '--input', bins, '--batchsize', '16'), 1, 'm.om', 'ais_bench (', 'aclruntime (')
    (tmp_path / 'm.onnx').write_bytes(b'no onnx')
    fails(infer('--model', 'm.onnx', '--input', bins), 1, 'm.onnx', 'not an ONNX model')

    (tmp_path / 'sizes').mkdir()
    first = sorted(bins.glob('*.bin'))[0]
    shutil.copy(first, tmp_path / 'sizes')
    (tmp_path / 'sizes/bin1-1_0.bin').write_bytes(b'short')
    fails(infer(*model, '--input', 'sizes', '--batchsize', '2', *out), 1, 'bin1-1_0.bin', '5 bytes')
    (tmp_path / 'sizes' / first.name).write_bytes(b'short')
    fails(infer(*model, '--input', 'sizes', *out), 1, first.name, '5 bytes')

    # Bins of another kind whose size fits by chance: 4 samples of uint8 are as long as one of float32.
    (tmp_path / 'uint8').mkdir()
    shutil.copy(first, tmp_path / 'uint8/bin0-3_0_0_0_0.bin')
    (tmp_path / 'uint8/info.json').write_text('{"dtype": "uint8"}')
    fails(infer(*model, '--input', 'uint8', *out), 1, 'uint8', 'float32')
    damaged = onnx.load(small.sim)
    bias = next(w for w in damaged.graph.initializer if w.name == damaged.graph.node[-1].input[2])
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(400, np.nan, np.float32), bias.name))
    onnx.save(damaged, tmp_path / 'nan.onnx')
    fails(infer('--model', 'nan.onnx', '--input', bins, *out), 1, 'nan.onnx', 'not finite')


@pytest.fixture
def result(bins, small, tmp_path):
    """out/run and out/run_summary.json of a run on five videos."""
    start(ROOT / 'r2plus1d_infer.py', '--model', small.sim, '--input', bins, '--output', tmp_path / 'out',
           '--output_dirname', 'run', '--outfmt', 'TXT')
    return tmp_path / 'out'


def test_postprocess(result, tmp_path):
    def postprocess(path, *options):
        return call('r2plus1d_postprocess', f'--result_path={path}', *options, check=False)

    good = postprocess(result)
    assert good.returncode == 0
    for path in (result / 'run', result / 'run_summary.json', str(result) + '/'):
        assert postprocess(path).stdout == good.stdout
    fails(postprocess(tmp_path / 'no'), 1, 'no such file')
    (tmp_path / 'empty').mkdir()
    fails(postprocess(tmp_path / 'empty'), 1, 'empty', '_summary.json')
    fails(postprocess(result, '--crops=0'), 2, '--crops')
    fails(postprocess(result, '--crops=2'), 1, '--crops', 'says 2 views', 'info.json has bins of 3 views')
    fails(postprocess(result, '--average_clips=none'), 2, 'none')

    # The newest of two runs is taken; two devices are one run.
    shutil.copytree(result / 'run', result / 'later')
    summary = json.loads((result / 'run_summary.json').read_text())
    (result / 'later_summary.json').write_text('{}')
    fails(postprocess(result), 1, 'later_summary.json')
    (result / 'later_summary.json').unlink()
    halves = tmp_path / 'npus' / 'time'
    halves.mkdir(parents=True)
    for device in (0, 1):
        shutil.copytree(result / 'run', halves / f'device{device}')
        part = {k: v for k, v in summary['filesinfo'].items() if int(k) % 2 == device}
        (halves / f'device{device}_summary.json').write_text(json.dumps(dict(filesinfo=part)))
    assert postprocess(tmp_path / 'npus').stdout == good.stdout == postprocess(halves).stdout
    (halves / 'device1_summary.json').write_text(json.dumps(dict(filesinfo=summary['filesinfo'])))
    fails(postprocess(halves), 1, 'twice', '--divide_input 1')
    (halves / 'device1_summary.json').unlink()
    fails(postprocess(halves), 1, 'device0_summary.json', 'missing')

    # ais_infer of 2022 put the summary into the folder of the outputs.
    old = result / 'run/sumary.json'
    assert postprocess(old).stdout == good.stdout
    os.rename(result / 'run_summary.json', old)
    for path in (result, result / 'run', old):
        fails(postprocess(path), 1, f'mv {old} {result}/run_summary.json')
    os.rename(old, result / 'run_summary.json')

    output = next((result / 'run').glob('*.txt'))
    text = output.read_text()
    for damage, word in (('nan ' + text[text.index(' ') + 1:], 'finite'), (text[:-100], 'read'),
                         ('', output.name), ('x ' + text, 'read')):
        output.write_text(damage)
        fails(postprocess(result), 1, output.name, word)
    output.unlink()
    fails(postprocess(result), 1, output.name)


def test_missing_videos_are_noticed_wherever_it_is_started(bins, result, tmp_path):
    """The last videos of the list are missing: only their number in the summary or in info.json tells that."""
    def postprocess(cwd, *options):
        return call('r2plus1d_postprocess', f'--result_path={result}', *options, cwd=cwd, check=False)

    summary = json.loads((result / 'run_summary.json').read_text())
    summary['filesinfo'] = dict(list(summary['filesinfo'].items())[:3])
    (result / 'run_summary.json').write_text(json.dumps(summary))
    fails(postprocess(tmp_path), 1, 'run_summary.json', '2 of 5')

    # As ais_bench writes it: no number, and the input as it was given.
    del summary['num_videos']
    for info in summary['filesinfo'].values():
        info['infiles'] = [f'{bins.name}/{os.path.basename(path)}' for path in info['infiles']]
    (result / 'run_summary.json').write_text(json.dumps(summary))
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    fails(postprocess(bins.parent), 1, 'run_summary.json', '2 of 5')  # where the inference was started
    fails(postprocess(elsewhere), 1, 'run_summary.json', '--num_videos')
    (tmp_path / bins.name).mkdir()
    shutil.copy(bins / 'info.json', tmp_path / bins.name)
    fails(postprocess(elsewhere), 1, 'run_summary.json', '2 of 5')  # bins beside the results
    shutil.rmtree(tmp_path / bins.name)
    fails(postprocess(elsewhere, '--num_videos=5'), 1, 'run_summary.json', '2 of 5')
    assert json.loads(postprocess(elsewhere, '--num_videos=3').stdout)['num_videos'] == 3


# ---- the shell tests -----------------------------------------------------------------------------


def shell(script, *options, **run_options):
    return run('bash', ROOT / 'test' / script, *options, check=False, **run_options)


def test_a_verdict_of_no(small, dataset, tmp_path):
    """The tables are there all the same. (A verdict of yes, and pth2om.sh without an NPU: test_demo.py.)"""
    shutil.copy(small.sim, tmp_path)
    done = shell('eval_acc_perf.sh', '--config', small.config, '--work_dir', tmp_path, '--batch_sizes', '1 4',
                 '--reference', '1', '--tolerance=0', cwd=dataset)
    assert done.returncode == 1 and 'is below 1.0000 - 0.0000' in done.stdout
    assert 'beside it: a guess among 3 classes gives 0.3333' in done.stdout
    assert done.stderr.endswith('fail!\n') and 'success' not in done.stdout
    assert 'without an NPU' in done.stdout and 'best: batch size' in done.stdout
    for bs in (1, 4):
        accuracy = json.loads((tmp_path / f'result_bs{bs}.json').read_text())
        assert f'| {accuracy["top1_acc"]:.4f} | {accuracy["top5_acc"]:.4f} |' in done.stdout
    assert '310P' not in done.stdout  # five videos do not compare with the guide's 3,783
    # The records say config, reference and where it was started; the small model has no names of classes.
    call('r2plus1d_report', f'--work_dir={tmp_path}', '--language=en',
         f'--classes={dataset}/data/ucf101/annotations/classInd.txt', cwd=tmp_path)
    page = (tmp_path / 'report/index.html').read_text(encoding='utf-8')
    assert 'R(2+1)D-18, 8 channels' in page and 'is below the required 100.00%' in page
    assert 'v_Basketball_g01_c01' in page and '<article' in page


def test_speed_beside_the_guides(capsys):
    times = np.array([10.0, 20.0, 30.0])
    run_of_4 = Performance(4, {'device0': times})
    parse.print_performance({4: run_of_4, 5: run_of_4}, '3 views', True)
    with_guide = capsys.readouterr().out
    parse.print_performance({4: run_of_4}, '3 views', False)
    assert '| 200.0000 |     20.00 |  29.80 | 49.2828 | 80.4857 | 38.8568 |' in with_guide
    assert '| 200.0000 |     20.00 |  29.80 |       - |       - |       - |' in with_guide
    assert '310' not in capsys.readouterr().out


def test_pth2om_stops_where_atc_fails(small, npu, tmp_path):
    (tmp_path / 'r2plus1d_bs1.om').write_text('of an earlier run')
    done = shell('pth2om.sh', '--config', small.config, '--checkpoint', small.checkpoint, '--work_dir', tmp_path,
                 '--soc_version', 'Ascend999', env=npu)
    assert done.returncode == 1 and done.stderr.endswith('fail!\n') and 'success' not in done.stdout.splitlines()[-1]
    assert not (tmp_path / 'r2plus1d_bs1.om').exists()  # it is not taken for this one's


def test_arguments_of_the_shell_tests(small, tmp_path):
    for script, *needed in (('pth2om.sh', '--checkpoint', small.checkpoint), ('eval_acc_perf.sh',)):
        for options, word in ((['--no', '1'], '--no'), (['config'], 'config'), (['--config', 'no.py'], 'no.py'),
                              (['--batch_sizes', '1 x'], '1 x'), (['--batch_sizes', '0'], '"0"'),
                              (['--config'], 'value')):
            fails(shell(script, *needed, *options), 2, word)
    fails(shell('pth2om.sh', '--config', small.config, '--checkpoint=no.pth'), 2, 'no.pth')
    done = shell('eval_acc_perf.sh', '--config', small.config, '--work_dir', tmp_path)
    assert done.returncode == 1 and done.stderr.endswith('fail!\n')


# Where three of six videos, all of label 0, are given another class.
OF_OUTPUTS = {'top5_acc': 0.5, 'mean_class_accuracy': 0.5, 'mmaction2_mean_class_accuracy': 0.25}


@pytest.mark.parametrize('option, value, status', [
    ('--reference', 'abc', 2), ('--reference', '-inf', 2), ('--reference', 'nan', 2), ('--tolerance', 'inf', 2),
    ('--tolerance', '-0.1', 2), ('--reference', '88.92', 2), ('--average_clips', 'mean', 2), ('--device', '0;1', 2),
    ('--precision', 'f8', 2), ('--batch_sizes', '-1', 2), ('--datasets_path', './data/ucf101', 2),
    ('--work_dir', 'file', 1), ('--work_dir', 'file/folder', 1), ('--work_dir', '/proc/folder', 1),
])
def test_an_evaluation_refuses_arguments_before_it_works(small, dataset, tmp_path, option, value, status):
    """A reference that is no number was noticed after hours of inference."""
    (tmp_path / 'file').touch()
    shutil.copy(small.sim, tmp_path)
    options = {'--work_dir': '.', option: value}
    done = shell('eval_acc_perf.sh', '--config', small.config, *(f'{name}={text}' for name, text in options.items()),
                 cwd=tmp_path)
    fails(done, status)
    assert value in done.stderr and (status == 2 or done.stderr.endswith('fail!\n'))
    assert sorted(os.listdir(tmp_path)) == ['file', small.sim.name]


GOOD = {'top1_acc': 1.0, 'top5_acc': 1.0, 'mean_class_accuracy': 1.0, 'num_videos': 6, 'num_expected': 6,
        'average_clips': 'score'}
# what is changed in the result of the second batch size, and how many of its outputs are wrong or missing:
# (words of the message or verdict, exit status)
RESULTS = [
    ({}, 'reaches', 0),
    *(({'top1_acc': value}, 'result_bs2.json: top1_acc', 1)
      for value in (float('nan'), float('inf'), 2.0, -0.1, True, '1.0', None, [1.0], {})),
    ({'top5_acc': float('nan')}, 'result_bs2.json: top5_acc', 1),
    ({'mean_class_accuracy': 'x'}, 'result_bs2.json: mean_class_accuracy', 1),
    *(({'num_videos': value}, 'result_bs2.json: num_videos', 1) for value in (0, -1, 'x', True, 1.5, None)),
    ({'average_clips': 'x'}, 'result_bs2.json: average_clips', 1),
    # other figures than those of the outputs
    *(({key: value}, 'result_bs2.json: ', 1) for key, value in (
        ('top1_acc', 0.9), ('top5_acc', 0.5), ('mean_class_accuracy', 0.9), ('num_videos', 5))),
    ({'top1_acc': 5 / 6}, 'result_bs2.json: ', 1),
    (dict(OF_OUTPUTS, wrong=3, top1_acc=0.5), 'is below', 1),
    ({'wrong': 3}, 'result_bs2.json: top1_acc is 1, and the outputs of', 1),
    ({'missing': 1, 'num_videos': 5}, 'has 5 of 6 videos', 1),
]
SUMMARY = {'args': ['ais_bench'],
           'NPU_compute_time': {'mean': 2.0}, 'throughput': 1000.0, 'npu_compute_time_list': [1.0, 3.0],
           'sample_shape': [3, 3, 8, 256, 256]}
# what is changed in the summary of the second batch size
SUMMARIES = [
    *({'throughput': value} for value in (float('nan'), -4, None, 'x', float('inf'), [])),
    *({'npu_compute_time_list': value} for value in ([], [float('nan')], [-1.0], [0], 'x', None, [[1.0]], {}, [None])),
    *({'NPU_compute_time': value} for value in ({}, None, {'mean': float('nan')}, {'mean': 'x'}, [])),
    *({'args': value} for value in (None, 5, [])),
    {'engine': 5}, {'engine': {'name': 'x'}}, {'batchsize': 0}, {'batchsize': True}, {'batchsize': 'x'},
]


@pytest.fixture
def evaluated(tmp_path):
    """Runs parse.py on made results of two batch sizes, of which the second one's can be changed."""
    def write_outputs(folder, wrong=0, missing=0):
        """Six videos of label 0; the filesinfo of them."""
        filesinfo = {}
        (folder / 'run').mkdir(parents=True, exist_ok=True)
        for i in range(6 - missing):
            scores = np.zeros(400)
            scores[0] = -1 if i < wrong else 1
            (folder / f'run/bin{i}-{i}_0_0.txt').write_text((' '.join(f'{s:.6f}' for s in scores) + ' \n') * 3)
            filesinfo[str(i)] = {'infiles': [f'bin{i}-{i}_0.bin'], 'outfiles': [f'bin{i}-{i}_0_0.txt']}
        return filesinfo

    def parse(*options, result=None, summary=None):
        for batch_size in (1, 2):
            changes = dict(result or {}) if batch_size == 2 else {}
            out = tmp_path / f'predata_bts1_bs{batch_size}_out'
            filesinfo = write_outputs(out, changes.pop('wrong', 0), changes.pop('missing', 0))
            (tmp_path / f'result_bs{batch_size}.json').write_text(json.dumps(dict(GOOD, **changes)))
            changed = dict(SUMMARY, filesinfo=filesinfo)
            if batch_size == 2:
                changed.update(summary or {})
            (out / 'run_summary.json').write_text(json.dumps(changed))
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(ROOT / 'test'))
            return call('parse', f'--work_dir={tmp_path}', '--batch_sizes=1 2', '--reference=0.8892', *options,
                        check=False)

    return parse


@pytest.mark.parametrize('result, words, status', RESULTS)
def test_a_result_that_is_none_never_passes(evaluated, result, words, status):
    done = evaluated(result=result)
    assert done.returncode == status and words in done.stdout + done.stderr and 'Traceback' not in done.stderr
    assert status == 0 or 'reaches' not in done.stdout


@pytest.mark.parametrize('summary', SUMMARIES)
def test_a_summary_that_is_none_never_passes(evaluated, summary):
    done = evaluated(summary=summary)
    assert done.returncode == 1 and 'predata_bts1_bs2_out' in done.stderr and 'Traceback' not in done.stderr
    assert 'verdict' not in done.stdout


@pytest.mark.parametrize('classes_with_videos', [3, 20])
@pytest.mark.parametrize('average_clips', ['score', 'prob'])
def test_accuracy_is_that_of_mmaction2(classes_with_videos, average_clips):
    """On scores of which many are equal. Some predicted classes have no video, as with a part of the test list."""
    from r2plus1d.metrics import accuracy_of_scores, average_crops

    from mmaction.core import mean_class_accuracy, top_k_accuracy
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes_with_videos, 300)
    scores = rng.integers(0, 3, (300, 3, 20)).astype(np.float32)
    scores[np.arange(300), :, labels] += 1
    videos = average_crops(scores, average_clips)
    found = accuracy_of_scores(scores, labels.tolist(), average_clips)
    assert 0.2 < found['top1_acc'] < 0.9
    assert [found['top1_acc'], found['top5_acc']] == top_k_accuracy(videos, labels.tolist(), (1, 5))
    theirs = found.get('mmaction2_mean_class_accuracy', found['mean_class_accuracy'])
    assert theirs == pytest.approx(mean_class_accuracy(videos, labels.tolist()), abs=1e-12)
    predicted = videos.argmax(1)
    ours = np.mean([np.mean(predicted[labels == c] == c) for c in set(labels.tolist())])
    assert found['mean_class_accuracy'] == pytest.approx(ours, abs=1e-12)
    assert ('mmaction2_mean_class_accuracy' in found) == (set(predicted.tolist()) > set(labels.tolist()))
    assert found['num_videos'] == 300


def test_postprocess_does_not_import_pytorch(result):
    """The import would take longer than all else that it does. Not by start(), whose processes have it imported."""
    done = run(sys.executable, '-X', 'importtime', ROOT / 'r2plus1d_postprocess.py', f'--result_path={result}')
    imported = {line.split('|')[-1].strip() for line in done.stderr.splitlines()}
    assert 'numpy' in imported and 'torch' not in imported and json.loads(done.stdout)['num_videos'] == 5


def test_what_stands_beside_a_low_accuracy():
    """On made predictions of 10 classes with 30 videos each."""
    from r2plus1d.metrics import describe_low_accuracy
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 30)
    right = np.where(rng.random(300) < 0.9, labels, rng.integers(0, 10, 300))
    for predicted, words in (((right + 1) % 10, '(0 as 1, 1 as 2, 2 as 3)'),
                             (np.select([right == 3, right == 7], [7, 3], right), '(3 as 7, 7 as 3)'),
                             (np.zeros(300, int), None), (right, None)):
        found = describe_low_accuracy(labels, predicted)
        assert found.startswith('a guess among 10 classes gives 0.1000')
        assert words in found if words else 'named' not in found


@pytest.mark.parametrize('options, status', [
    (['--tolerance=inf'], 2), (['--tolerance=nan'], 2), (['--tolerance=-0.1'], 2), (['--reference=-inf'], 2),
    (['--reference=nan'], 2), (['--reference=abc'], 2), (['--reference=5', '--tolerance=10'], 2),
    (['--reference=1.5', '--tolerance=0.9'], 2), (['--reference=88.92'], 2), (['--reference=1', '--tolerance=0'], 0),
])
def test_a_reference_that_is_none_never_passes(evaluated, options, status):
    assert evaluated(*options).returncode == status


# what the output of one video is replaced by: (ending, content, words of the message)
def _text(rows, columns=400):
    return ('0.500000 ' * columns + '\n') * rows


OUTPUTS = {
    'cut by one byte': (lambda p: p.write_text(_text(3)[:-1]), 'no end'),
    'cut by three bytes': (lambda p: p.write_text(_text(3)[:-3]), 'no end'),
    'a dot lost': (lambda p: p.write_text(_text(3).replace('0.5', '05', 1)), 'line 1'),
    'a digit lost': (lambda p: p.write_text(_text(3).replace('0.500000', '0.50000', 1)), 'line 1'),
    'a minus in the middle': (lambda p: p.write_text(_text(3).replace('0.5', '0-5', 1)), 'line 1'),
    'a line lost': (lambda p: p.write_text(_text(2)), '3 rows'),
    'twice as long': (lambda p: p.write_text(_text(6)), '6 rows, expected 3'),
    'three rows too many': (lambda p: p.write_text(_text(6)), '6 rows, expected 3'),
    'another width': (lambda p: p.write_text(_text(3, 399)), 'scores in a row'),
    'binary': (lambda p: p.write_bytes(bytes(range(256))), 'cannot be read'),
    'empty': (lambda p: p.write_bytes(b''), 'is empty'),
}


@pytest.mark.parametrize('change', ['a digit', 'another digest', 'no digest of one', 'a swap'])
def test_outputs_that_were_changed_are_noticed(result, change):
    """Our own summaries note a digest of each output, so that one digit of a text is not changed without a word."""
    paths = sorted((result / 'run').glob('*.txt'))
    summary = json.loads((result / 'run_summary.json').read_text())
    if change == 'a digit':
        text = paths[1].read_text()
        paths[1].write_text(text[:-3] + ('1' if text[-3] == '0' else '0') + text[-2:])
    elif change == 'a swap':
        contents = [path.read_bytes() for path in paths[:2]]
        paths[0].write_bytes(contents[1])
        paths[1].write_bytes(contents[0])
    elif change == 'another digest':
        summary['outputs_sha256'][paths[1].name] = '0' * 64
    else:
        del summary['outputs_sha256'][paths[1].name]
    (result / 'run_summary.json').write_text(json.dumps(summary))
    done = call('r2plus1d_postprocess', f'--result_path={result}', check=False)
    fails(done, 1, paths[0 if change == 'a swap' else 1].name, 'was changed since the inference')


@pytest.mark.parametrize('crops', [1, 2, 6])
def test_another_number_of_crops_is_refused(result, crops):
    """The first crop was taken for the video."""
    fails(call('r2plus1d_postprocess', f'--result_path={result}', f'--crops={crops}', check=False), 1)


def test_outputs_without_digests_are_taken_and_that_is_said(result):
    """As ais_bench leaves them."""
    with_digests = call('r2plus1d_postprocess', f'--result_path={result}')
    assert 'not checked' not in with_digests.stderr
    summary = json.loads((result / 'run_summary.json').read_text())
    del summary['outputs_sha256']
    (result / 'run_summary.json').write_text(json.dumps(summary))
    done = call('r2plus1d_postprocess', f'--result_path={result}')
    assert done.stdout == with_digests.stdout
    assert done.stderr.count('not checked') == 1 and 'whether the outputs were changed' in done.stderr


@pytest.mark.parametrize('damage', OUTPUTS)
def test_outputs_that_are_not_whole_are_refused(result, damage):
    change, words = OUTPUTS[damage]
    output = sorted((result / 'run').glob('*.txt'))[0]
    change(output)
    summary = json.loads((result / 'run_summary.json').read_text())
    del summary['outputs_sha256']  # as beside outputs of ais_bench
    (result / 'run_summary.json').write_text(json.dumps(summary))
    done = call('r2plus1d_postprocess', f'--result_path={result}', check=False)
    fails(done, 1, words)
    assert output.name in done.stderr or 'another width' in damage


NUMPY_OUTPUTS = {
    'complex': np.zeros((3, 400), complex), 'bool': np.zeros((3, 400), bool), 'text': np.full((3, 400), 'x'),
    'dates': np.zeros((3, 400), 'datetime64[s]'), 'structures': np.zeros((3, 400), [('a', float)]),
    'transposed': np.zeros((400, 3), np.float32), 'flat': np.zeros(1200, np.float32),
    'objects': np.full((3, 400), None), 'nothing': np.zeros((0, 400), np.float32),
}


@pytest.mark.parametrize('kind', [*NUMPY_OUTPUTS, 'npz'])
def test_arrays_that_are_no_scores_are_refused(result, kind):
    summary = json.loads((result / 'run_summary.json').read_text())
    for info in summary['filesinfo'].values():
        path = result / 'run' / os.path.basename(info['outfiles'][0])
        np.save(path.with_suffix('.npy'), np.zeros((3, 400), np.float32))
        info['outfiles'] = [info['outfiles'][0].replace('.txt', '.npy')]
    del summary['outputs_sha256']  # as beside outputs of ais_bench
    (result / 'run_summary.json').write_text(json.dumps(summary))
    assert call('r2plus1d_postprocess', f'--result_path={result}').returncode == 0
    if kind == 'npz':
        with open(path.with_suffix('.npy'), 'wb') as f:
            np.savez(f, np.zeros((3, 400)))
    else:
        np.save(path.with_suffix('.npy'), NUMPY_OUTPUTS[kind])
    fails(call('r2plus1d_postprocess', f'--result_path={result}', check=False), 1, path.stem)


DAMAGED_SUMMARIES = [
    '', '{', '[]', 'null', '5', '"x"', '{}', '\x00\x01', '[' * 100000, '{"filesinfo": ' + '1' * 5000 + '}',
    *('{"filesinfo": %s}' % text for text in ('[]', 'null', '"x"', '5', '{}', '{"0": []}', '{"0": null}')),
    *('{"filesinfo": {"0": {"infiles": %s, "outfiles": %s}}}' % texts for texts in (
        ('[]', '[]'), ('null', 'null'), ('[5]', '[5]'), ('5', '["x"]'), ('["bin0-99999999999999_0.bin"]', '["x"]'),
        ('["bin99999999999999-99999999999999_0.bin"]', '["x"]'))),
]


@pytest.mark.parametrize('number', range(len(DAMAGED_SUMMARIES)))
def test_damaged_summaries_are_refused(result, number):
    (result / 'run_summary.json').write_text(DAMAGED_SUMMARIES[number])
    done = call('r2plus1d_postprocess', f'--result_path={result}', '--num_videos=5', check=False)
    fails(done, 1)
    assert 'run_summary.json' in done.stderr or 'bin0-999' in done.stderr


@pytest.mark.parametrize('text', ['', '{', '[]', '"x"', '\x00', '{"num_videos": "x"}', '{"num_videos": -1}',
                                  '{"num_videos": true}', '{"version": 4}', '{"version": 3}', '{"bts": 0}',
                                  '{"dtype": 5}', '{"dtype": "float64"}'])
def test_a_damaged_info_json_is_refused(bins, small, result, tmp_path, text):
    shutil.copytree(bins, tmp_path / 'bins')
    (tmp_path / 'bins/info.json').write_text(text)
    done = start(ROOT / 'r2plus1d_infer.py', '--model', small.sim, '--input', tmp_path / 'bins', check=False)
    fails(done, 1, 'info.json', '--overwrite')


def test_missing_videos_pass_nothing(result, tmp_path):
    """--allow_missing prints the accuracy of those that are there, and says how many there should be."""
    summary = json.loads((result / 'run_summary.json').read_text())
    summary['filesinfo'].popitem()
    (result / 'run_summary.json').write_text(json.dumps(summary))
    fails(call('r2plus1d_postprocess', f'--result_path={result}', check=False), 1, '1 of 5 videos are missing')
    done = json.loads(call('r2plus1d_postprocess', f'--result_path={result}', '--allow_missing').stdout)
    assert (done['num_videos'], done['num_expected']) == (4, 5)


def test_parse_refuses_what_is_not_there(tmp_path):
    def parse(*options):
        return start(ROOT / 'test/parse.py', f'--work_dir={tmp_path}', '--batch_sizes=1', *options, check=False)

    fails(parse(), 1, 'result_bs1.json')
    (tmp_path / 'result_bs1.json').write_text('{')
    fails(parse(), 1, 'not JSON')
    (tmp_path / 'result_bs1.json').write_text('{"top1_acc": 1}')
    fails(parse(), 1, 'top5_acc')
    (tmp_path / 'result_bs1.json').write_text(json.dumps(GOOD))
    fails(parse(), 1, 'predata_bts1_bs1_out')
