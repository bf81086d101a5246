# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Rows, the file that a later run continues, and subtitles, without a model."""
import contextlib
import csv
import dataclasses
import itertools
import json

import pytest
from conftest import refusal

from r2plus1d.inference import Video
from r2plus1d.predictions import Subtitles, Tally, check_folders, srt_time
from r2plus1d.rows import Row, file_stamp, write_csv, write_parquet
from r2plus1d.rows_file import RowsSettings, noted_precision, open_rows_file
from r2plus1d.run import InputError
from r2plus1d.store import file_digest

VALUES = (None, True, -1, 0, 1.5, 10**400, float('nan'), 'x', '\udcff', [], [None], ['\udcff'], {}, {'a': 1})
GOOD = Row('a', 'a', 'YoYo', 2, label_rank=1, classes=['YoYo'], class_indices=[2], probabilities=[0.5])
SETTINGS = RowsSettings(model='m', test_pipeline='p', classes='c', topk=5, average_clips='prob', every=None,
                        backend='auto', precision='f32', allow_damaged=False, model_file='m', config_file='p',
                        classes_file='c')


def windows_of(path, **outcome):
    """The rows of a video of two windows."""
    return [Row(f'{path}#{i}', path, window=i, windows=2, start_s=i, end_s=i + 1, **outcome) for i in range(2)]


def journal_of(path, **changes):
    return open_rows_file(str(path), dataclasses.replace(SETTINGS, **changes), [], retry_failed=False)


def test_a_torn_end_is_cut(tmp_path):
    """At every byte: what is left are whole rows, and all windows of a video or none."""
    videos = [windows_of('a', error='e'), windows_of('b', error='e'), [Row('ç', 'ç', error='e')]]
    with journal_of(tmp_path / 'rows.jsonl') as journal:
        ends = [0]
        for video in videos:
            journal.add(video)
            ends.append((tmp_path / 'rows.jsonl').stat().st_size)
    content = (tmp_path / 'rows.jsonl').read_bytes()
    for size in range(1, len(content) + 1):
        (tmp_path / 'rows.jsonl').write_bytes(content[:size])
        with journal_of(tmp_path / 'rows.jsonl') as journal:
            whole = sum(end <= size for end in ends) - 1
            assert list(journal.rows()) == sum(videos[:whole], [])
            for video in videos[whole:]:
                journal.add(video)
        assert (tmp_path / 'rows.jsonl').read_bytes() == content


def test_other_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('r2plus1d.store.MOMENT', 0.1)  # of waiting for another process
    path = tmp_path / 'rows.jsonl'
    settings = tmp_path / 'rows.jsonl.settings.json'

    def refused(words, **changes):
        with refusal(words), journal_of(path, **changes):
            pass

    with journal_of(path) as journal:
        journal.add([GOOD])
        refused('is being written by process')
    refused('topk was 5 and is 3 now', topk=3)
    with open(path, 'a') as f:
        f.write('{"id": 3}\n{"id": "a", "path": "a"}\n')
    refused('line 2 is not a row')
    settings.write_text(json.dumps({'settings': dataclasses.asdict(SETTINGS)}))  # of version 1
    refused('model was null and is "m" now')
    settings.unlink()
    refused('no such file')


@pytest.mark.parametrize('change, words', [
    ({'classes': None}, 'has no classes'),
    ({'label': ...}, 'has no label'),
    ({'label_index': None}, 'one is null'),
    ({'class_indices': ['2']}, 'its class_indices'),
    ({'class_indices': [10**400]}, 'its class_indices'),
    ({'class_indices': []}, 'not of one length'),
    ({'probabilities': [float('nan')]}, 'its probabilities'),
    ({'frames': True}, 'its frames'),
    ({'window': 0}, 'has no windows'),
    ({'path': 3}, 'its path'),
])
def test_a_row_of_another_form_is_one_line(change, words):
    content = {key: value for key, value in dict(GOOD.to_json(), **change).items() if value is not ...}
    with pytest.raises(ValueError, match=words):
        Row.from_json(content)


def test_rows_and_settings_of_other_structures(tmp_path):
    """Each key lost, each value of another kind: it is refused by one line, or stands in all forms."""
    pytest.importorskip('pyarrow')
    window = dataclasses.replace(GOOD, window=0, windows=2, start_s=0.5, end_s=1, frames=3, duration_s=2, file_bytes=1)
    taken = []
    for good in (window, Row('b', 'b', error='e')):
        for key, value in itertools.product(good.to_json(), (..., *VALUES)):
            content = {name: item for name, item in dict(good.to_json(), **{key: value}).items() if item is not ...}
            try:
                taken.append(Row.from_json(json.loads(json.dumps(content))))
            except ValueError as e:
                assert str(e).startswith(('its ', 'it has no ', 'of its label and label_index'))
    assert len(taken) > 40
    write_csv(str(tmp_path / 'rows.csv'), taken)
    write_parquet(str(tmp_path / 'rows.parquet'), taken)
    for key, value in itertools.product(SETTINGS.to_json(), VALUES):
        with contextlib.suppress(InputError):
            RowsSettings.from_json('rows.jsonl.settings.json', dict(SETTINGS.to_json(), **{key: value}))


def test_cells_of_csv_are_no_formulas(tmp_path):
    names = ['=1+1', '+1', '-rf', '@a', '\tb', 'c=', 'd']
    write_csv(str(tmp_path / 'rows.csv'), [Row(name, name, error=name) for name in names])
    with open(tmp_path / 'rows.csv', newline='') as f:
        rows = list(csv.DictReader(f))
    expected = ["'" + name if name[0] in '=+-@\t' else name for name in names]
    for column in ('id', 'path', 'error'):
        assert [row[column] for row in rows] == expected


def test_rows_that_stand_twice_count_once(tmp_path):
    """The last one; also where a killed run has left a part of a video that was there already."""
    windows = windows_of('b', error='e')
    with journal_of(tmp_path / 'rows.jsonl') as journal:
        for rows in ([GOOD], windows, [dataclasses.replace(GOOD, probabilities=[0.25])], windows[:1]):
            journal.add(rows)
    with journal_of(tmp_path / 'rows.jsonl') as journal:
        rows = list(journal.rows())
    assert [(row.id, row.probabilities) for row in rows] == [('b#0', None), ('b#1', None), ('a', [0.25])]
    tally = Tally(2)
    tally.add(rows)
    assert (tally.count, tally.failed, tally.beyond_list) == (3, 2, 1)


def test_what_is_predicted_again(tmp_path, monkeypatch, capsys):
    """A video that was replaced; with --retry_failed the videos with errors, but only those that this run names."""
    monkeypatch.chdir(tmp_path)
    for name in ('model', 'a', 'b', 'c', 'd'):
        (tmp_path / name).write_text(name)
    settings = dataclasses.replace(SETTINGS, model=file_digest('model'), precision='bf16')
    prediction = dict(classes=['x'], class_indices=[0], probabilities=[1])
    with open_rows_file('rows.jsonl', settings, [], False) as journal:
        for name in 'abcd':
            stamp = dict(zip(('file_bytes', 'file_time'), file_stamp(name)))
            journal.add([Row(name, name, **stamp, **(prediction if name == 'c' else {'error': 'e'}))])

    def left(paths, retry_failed=False):
        with open_rows_file('rows.jsonl', settings, list(paths), retry_failed) as journal:
            return ''.join(row.path for row in journal.rows())

    assert left('abcd') == 'abcd'
    assert left('acd', retry_failed=True) == 'bc'
    (tmp_path / 'c').write_text('another one')
    assert left('b') == 'bc'
    capsys.readouterr()
    assert left('bc') == 'b'
    assert '1 videos are predicted again: their files are others' in capsys.readouterr().err
    assert noted_precision('rows.jsonl', 'model') == 'bf16'  # --precision auto goes on with it
    (tmp_path / 'model').write_text('another one')
    assert noted_precision('rows.jsonl', 'model') is None


def test_a_class_list_in_another_order_than_the_folders():
    videos = [Video('clips/YoYo/a.avi', 0), Video('clips/other/b.avi', 1)]
    check_folders('list.txt', ['YoYo', 'Basketball'], videos)
    with refusal('class 2 is YoYo, and the videos of YoYo have label 0', 'list.txt'):
        check_folders('list.txt', ['Basketball', 'YoYo'], videos)


def test_times_of_subtitles():
    assert [srt_time(s) for s in (0, 59.9996, 3723.05)] == ['00:00:00,000', '00:01:00,000', '01:02:03,050']


def test_names_of_subtitles(tmp_path, monkeypatch):
    """They stay the same in a folder that grows; two of one name are refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clips/a').mkdir(parents=True)
    videos = [Video('clips/a/x.avi'), Video('clips/b/x.avi'), Video('sub/y.avi'), Video('/else/z.mp4'), Video('-v.avi')]
    names = {'clips/a/x.avi': 'a/x.srt', 'clips/b/x.avi': 'b/x.srt', 'sub/y.avi': 'sub/y.srt',
             '/else/z.mp4': 'else/z.srt', '-v.avi': '-v.srt'}
    given = ['clips', 'list.txt', '-v.avi']
    for some in (videos, videos[:1], videos[2:]):
        assert Subtitles('srt', given, some).names == {video.path: names[video.path] for video in some}
    with refusal('clips/a/x.avi and clips/a/x.mp4: both would have the subtitles srt/a/x.srt'):
        Subtitles('srt', given, [*videos, Video('clips/a/x.mp4')])
    assert not (tmp_path / 'srt').exists()


def test_subtitles_of_others_are_kept(tmp_path, monkeypatch):
    def subtitles():
        return Subtitles('srt', ['x.avi'], [Video('x.avi')])

    def write(name):
        subtitles().write(windows_of('x.avi', classes=[name], class_indices=[0], probabilities=[1]))

    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'srt/x.srt'
    write('one')
    write('two')
    assert path.read_text().endswith('2\n00:00:01,000 --> 00:00:02,000\ntwo 100%\n\n')
    path.unlink()
    (tmp_path / 'srt/x.srt.part').write_text('of a killed run')
    write('one')
    path.unlink()
    for make in (lambda: path.write_text('mine'), path.mkdir, lambda: path.symlink_to(tmp_path / 'mine')):
        make()
        with refusal('was not written by this script', 'srt/x.srt'):
            subtitles()
        path.rmdir() if path.is_dir() else path.unlink()
    assert not (tmp_path / 'mine').exists()
