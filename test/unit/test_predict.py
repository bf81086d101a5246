# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_predict.py on many videos and on long ones: rows, errors, continuing, subtitles."""
import argparse
import csv
import json
import os
import re
import shutil
import sys
from unittest import mock

import cv2
import numpy as np
import pytest
from conftest import ROOT, VIDEOS, call, fails, make_video, run, start
from test_chain import infer, postprocess
from test_dataset import make_clip

import r2plus1d_predict
from r2plus1d.engines import start_engines

SECONDS = 45
VIDEO = 'v_YoYo_g02_c01'


def predict(small, *options, **more):
    return start(ROOT / 'r2plus1d_predict.py', '--model', small.sim, '--config', small.config, '--precision', 'f32',
                 *options, **more)


def read_rows(path):
    """The rows of a .jsonl file by id; each id is there once."""
    rows = [json.loads(line) for line in path.read_text('utf-8').splitlines()]
    assert len({row['id'] for row in rows}) == len(rows)
    return {row['id']: row for row in rows}


def check_same_rows(found, expected):
    """The same texts and numbers; probabilities to 1e-6."""
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        np.testing.assert_allclose(found[key].get('probabilities', []), row.get('probabilities', []), atol=1e-6)
        assert dict(found[key], probabilities=0) == dict(row, probabilities=0)


@pytest.fixture(scope='module')
def folder(dataset, tmp_path_factory):
    """A folder with the videos of the data set and bad ones, and the class list."""
    folder = tmp_path_factory.mktemp('archive')
    shutil.copytree(dataset / 'data/ucf101/videos', folder / 'clips')
    bad = folder / 'clips' / 'bad'
    bad.mkdir()
    whole = (dataset / f'data/ucf101/videos/YoYo/{VIDEO}.avi').read_bytes()
    (bad / 'empty.avi').touch()
    (bad / 'cut.avi').write_bytes(whole[:20000])
    (bad / 'text.mp4').write_text('this is no video')
    (bad / 'nowhere.avi').symlink_to('nowhere')
    make_video(bad / 'one.avi', 1, 0)
    make_clip(bad / 'large.avi', 0, frames=2, size=(7680, 4320))
    (folder / 'classes.txt').write_text('1 ApplyEyeMakeup\n2 Basketball\n3 YoYo\n')
    return folder


REASONS = {'empty.avi': 'is empty', 'cut.avi': 'cut off', 'text.mp4': 'not a video', 'nowhere.avi': 'a link to nowhere',
           'one.avi': '1 frame', 'large.avi': '7680x4320'}


@pytest.fixture(scope='module')
def rows(small, folder):
    """The rows of that folder, at batch size 1."""
    done = predict(small, '--classes', 'classes.txt', '--video', 'clips', '--output', 'rows.jsonl', cwd=folder,
                   check=False)
    assert done.returncode == 1 and not done.stdout
    assert 'is not among them' in done.stderr  # the model has 400 classes, and the list three
    assert done.stderr.strip().endswith(f'{len(REASONS)} of {len(REASONS) + len(VIDEOS)} videos failed; their rows in '
                                        'rows.jsonl say why, and --retry_failed tries them again')
    return read_rows(folder / 'rows.jsonl')


# ---- rows ----------------------------------------------------------------------------------------------


def test_rows_of_a_folder(small, folder, rows):
    from mmaction.apis import inference_recognizer, init_recognizer
    assert len(rows) == len(VIDEOS) + len(REASONS)
    for name, reason in REASONS.items():
        row = rows[f'clips/bad/{name}']
        assert reason in row['error'] and 'classes' not in row
    model = init_recognizer(str(small.config), str(small.checkpoint), 'cpu')
    names = ['ApplyEyeMakeup', 'Basketball', 'YoYo']
    for name, (_, frames) in VIDEOS.items():
        row = rows[f'clips/{name}.avi']
        assert (row['path'], row['label'], row['frames']) == (f'clips/{name}.avi', name.split('/')[0], frames)
        assert row['duration_s'] == pytest.approx(frames / 25)
        expected = inference_recognizer(model, str(folder / row['path']))
        assert row['class_indices'] == [i for i, _ in expected]
        assert row['classes'] == [names[i] if i < 3 else f'class {i + 1}, not in the list' for i, _ in expected]
        np.testing.assert_allclose(row['probabilities'], [p for _, p in expected], atol=1e-5)


def test_rows_do_not_depend_on_the_batch_size(small, folder, rows, tmp_path):
    """Batches of 4, the bad videos among them; a list; .csv and .parquet."""
    pytest.importorskip('pyarrow')
    import pyarrow.parquet
    (folder / 'list.txt').write_text(''.join(f'"{path}" {row["label"] or ""}\n' for path, row in rows.items()))
    for form in ('csv', 'parquet'):
        predict(small, '--classes', 'classes.txt', '--video', 'list.txt', '--batchsize', 4, '--output',
                tmp_path / f'rows.{form}', cwd=folder, check=False)
    check_same_rows(read_rows(tmp_path / 'rows.csv.rows.jsonl'), rows)
    with open(tmp_path / 'rows.csv', newline='') as f:
        found = {row['id']: row for row in csv.DictReader(f)}
    for row in pyarrow.parquet.read_table(tmp_path / 'rows.parquet').to_pylist():
        text = found.pop(row['id'])
        expected = rows[row['id']]
        assert row['error'] == expected.get('error') and row['classes'] == expected.get('classes')
        assert (text['error'] or None, text['frames'] or None) == (row['error'], row['frames'] and str(row['frames']))
        assert (json.loads(text['classes']) if text['classes'] else None) == row['classes']
    assert not found


@pytest.mark.parametrize('average_clips', ['score', 'prob'])
def test_accuracy_is_that_of_postprocess(dataset, small, average_clips, tmp_path):
    """On the test split, once more after a part of the rows was lost; and of a list with labels."""
    infer('--model', small.sim, '--config', small.config, '--output', tmp_path / 'out', '--outfmt', 'NPY', cwd=dataset)
    expected = postprocess('--result_path', tmp_path / 'out', '--average_clips', average_clips).stdout
    output = tmp_path / 'rows.jsonl'
    options = ['--classes', 'data/ucf101/annotations/classInd.txt', '--average_clips', average_clips, '--topk', 2]
    assert predict(small, *options, '--output', output, cwd=dataset).stdout == expected
    rows = read_rows(output)
    content = output.read_bytes()
    output.write_bytes(content[:len(content) // 2])
    assert predict(small, *options, '--output', output, cwd=dataset).stdout == expected
    check_same_rows(read_rows(output), rows)
    assert all(len(row['classes']) == 2 and row['label'] in row['path'] for row in rows.values())


def test_several_videos_are_printed(small, folder):
    videos = [f'clips/{name}.avi' for name in list(VIDEOS)[:2]]
    (folder / 'labels.txt').write_text(f'{videos[0]} ApplyEyeMakeup\n{videos[1]} 0\n')
    lines = predict(small, '--classes', 'classes.txt', '--video', 'labels.txt', '--topk', 1,
                    cwd=folder).stdout.splitlines()
    assert [lines[0], lines[2]] == videos and re.fullmatch(r'0\.\d{4} .+', lines[1])
    assert json.loads(lines[4])['num_videos'] == 2


@pytest.mark.parametrize('options, status, words', [
    (['--video=no.avi'], 2, ['--video', 'no.avi']),
    (['--output=rows.txt'], 2, ['rows.txt', '.jsonl']),
    (['--srt=folder'], 2, ['--srt needs --every']),
    (['--every=0'], 2, ['--every']),
    (['--ray=cluster'], 2, ['--ray cluster']),
    (['--classes=wrong.txt', '--ray=local'], 1, ['wrong.txt', 'line 1']),
    (['--model=classes.txt'], 1, ['classes.txt', 'not an ONNX model']),
])
def test_what_is_refused(small, folder, options, status, words):
    (folder / 'wrong.txt').write_text('A\nB\n')
    done = call('r2plus1d_predict', f'--model={small.sim}', f'--config={small.config}', '--classes=classes.txt',
                '--video=clips', *options, cwd=folder, check=False)
    fails(done, status, *words)


def test_more_classes_than_the_model_has(small, folder):
    (folder / 'long.txt').write_text(''.join(f'{i} c{i}\n' for i in range(1, 402)))
    fails(predict(small, '--classes=long.txt', f'--video=clips/YoYo/{VIDEO}.avi', cwd=folder, check=False), 1,
          'long.txt', '401', '400')


# ---- engines side by side --------------------------------------------------------------------------------

# In a process of its own: pytest's has PyTorch's threads, and forks.
SIDE_BY_SIDE = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from r2plus1d.engines import OpenVINO
alone = OpenVINO(sys.argv[1], 'f32', 0)
alone.prepare(1)
assert alone.side_by_side() == [alone]
first = OpenVINO(sys.argv[1], 'f32', 0)
first.for_throughput = True
first.prepare(1)
engines = first.side_by_side()
batches = np.random.default_rng(0).standard_normal([3 * len(engines), 1, *first.sample_shape], np.float32)
with ThreadPoolExecutor(len(engines)) as pool:  # a thread for each engine
    found = list(pool.map(lambda engine, own: [engine(batch)[0].copy() for batch in own],
                          engines, np.split(batches, len(engines))))
for batch, scores in zip(batches, np.concatenate(found)):
    np.testing.assert_allclose(scores[None], alone(batch)[0].reshape(1, *scores.shape), rtol=1e-4, atol=1e-5)
print(len(engines))
"""


def test_engines_side_by_side(small):
    """Each computes its own batches, and all of them what one engine alone computes."""
    pytest.importorskip('openvino')
    count = int(run(sys.executable, '-c', SIDE_BY_SIDE, small.sim, cwd=ROOT).stdout)
    assert count == 1 if os.cpu_count() == 1 else 1 < count <= os.cpu_count()


@pytest.mark.parametrize('options, expected', [
    (dict(video=['clip.avi']), False),
    (dict(video=['clip.avi'], every=2), True),
    (dict(video=['clip.avi', 'other.avi']), True),
    (dict(video=['clips']), True),
    (dict(video=['clips.txt']), True),
    ({}, True),  # the test split of the config
    (dict(batchsize=2), False),  # the memory of each engine grows with the batch
])
def test_engines_are_side_by_side_for_many_single_samples(options, expected, tmp_path, monkeypatch):
    """One video alone has all cores."""
    (tmp_path / 'clips').mkdir()
    monkeypatch.chdir(tmp_path)
    engine = mock.Mock(batch_size=None, sample_shape=[1], dtype=np.dtype(np.float32))
    monkeypatch.setattr('r2plus1d.engines.make_engines', lambda args: [engine])
    args = argparse.Namespace(**{**dict(model='m.onnx', backend='auto', batchsize=None, video=None, every=None),
                                 **options})
    start_engines(args, many_batches=not r2plus1d_predict.is_one_sample(args)).result()
    assert engine.for_throughput is expected


# ---- continuing ----------------------------------------------------------------------------------------


def test_the_same_command_continues(small, folder, rows, dataset):
    """After a kill in the middle of a row: other rows are not computed again; mended videos."""
    output = folder / 'again.jsonl'
    shutil.copy(folder / 'rows.jsonl.settings.json', folder / 'again.jsonl.settings.json')
    lines = (folder / 'rows.jsonl').read_bytes().splitlines(keepends=True)
    kept = [line.replace(b'"frames": ', b'"frames": 9') for line in lines[:9]]  # a row computed again would differ
    output.write_bytes(b''.join(kept) + lines[9][:50])
    options = ['--classes', 'classes.txt', '--video', 'clips', '--output', 'again.jsonl']
    done = predict(small, *options, cwd=folder, check=False)
    assert done.returncode == 1 and '9 of 14 videos are done' in done.stderr
    assert output.read_bytes().startswith(b''.join(kept))
    assert read_rows(output).keys() == rows.keys()

    empty = folder / 'clips/bad/empty.avi'
    empty.write_bytes((dataset / f'data/ucf101/videos/YoYo/{VIDEO}.avi').read_bytes())
    done = predict(small, *options, '--retry_failed', cwd=folder, check=False)
    empty.write_bytes(b'')
    assert done.returncode == 1 and f'{len(REASONS) - 1} of 14 videos failed' in done.stderr
    again = read_rows(output)
    assert again.keys() == rows.keys()
    assert again['clips/bad/empty.avi']['classes'] == rows[f'clips/YoYo/{VIDEO}.avi']['classes']


# ---- windows -------------------------------------------------------------------------------------------


def test_windows_of_a_long_video(small, folder, tmp_path):
    """Each window against mmaction2 on the frames of that window; the subtitles."""
    from mmaction.apis import inference_recognizer, init_recognizer
    video = folder / f'clips/YoYo/{VIDEO}.avi'  # 101 frames, 25 a second
    options = ['--classes', folder / 'classes.txt', '--video', video, folder / 'clips/bad/cut.avi', '--every', 1.6,
               '--srt', 'srt', '--output', 'rows.jsonl']
    predict(small, *options, cwd=tmp_path, check=False)
    rows = [row for row in read_rows(tmp_path / 'rows.jsonl').values() if 'error' not in row]
    assert [row['id'] for row in rows] == [f'{video}#{start}' for start in (0, 1.6, 3.2)]
    assert [(row['start_s'], row['end_s'], row['frames']) for row in rows] == [
        (0, 1.6, 40), (1.6, 3.2, 40), (3.2, 4.04, 21)]
    model = init_recognizer(str(small.config), str(small.checkpoint), 'cpu')
    capture = cv2.VideoCapture(str(video))
    for i, row in enumerate(rows):
        frames = tmp_path / f'frames{i}'
        frames.mkdir()
        for number in range(1, 41 if i < 2 else 22):
            png = cv2.imencode('.png', capture.read()[1])[1]
            (frames / f'img_{number:05}.jpg').write_bytes(png.tobytes())
        expected = inference_recognizer(model, str(frames))
        np.testing.assert_allclose(row['probabilities'], [p for _, p in expected], atol=1e-5)
    subtitles = tmp_path / f'srt/{VIDEO}.srt'
    text = subtitles.read_text('utf-8')
    cues = re.findall(r'(\d+)\n(\S+) --> (\S+)\n(.+)\n\n', text)
    assert [cue[:3] for cue in cues] == [('1', '00:00:00,000', '00:00:01,600'), ('2', '00:00:01,600', '00:00:03,200'),
                                         ('3', '00:00:03,200', '00:00:04,040')]
    assert all(cue[3].startswith(row['classes'][0]) for cue, row in zip(cues, rows))
    found = pytest.importorskip('pysubs2').load(str(subtitles))
    assert [(cue.start, cue.end) for cue in found] == [(1000 * row['start_s'], 1000 * row['end_s']) for row in rows]

    subtitles.unlink()  # on an output that is complete, they are written from the rows
    predict(small, *options, cwd=tmp_path, check=False)
    assert subtitles.read_text('utf-8') == text
    assert not (tmp_path / 'srt/cut.srt').exists()
