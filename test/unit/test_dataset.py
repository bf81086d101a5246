# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_dataset.py on a few videos with odd names, and what mmaction2 makes of its config."""
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import CONFIG, ROOT, call

from r2plus1d.dataset import OwnVideo, recordings
from r2plus1d.own_data import mirrored_pairs

import mmcv

MINE = Path('data/mine')
CLASSES = ['long jump', 'rest', '跳高']
NAMES = ['a b.mp4', "it's (1).avi", '视频.mkv', 'x.mp4', 'x.avi', 'g01_c01.mp4', 'g01_c02.mp4', 'é%20#.MOV']


def make_clip(path, seed, frames=12, size=(64, 48)):
    """Noise of one colour, left half dark; each SEED has another content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mpeg4', 25)
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        for _ in range(frames):
            picture = rng.integers(128, 255, (size[1], size[0], 3), np.uint8)
            picture[:, :size[0] // 2] = 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, 'rgb24')))
        container.mux(stream.encode())


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp('own') / 'my videos'
    for label, name in enumerate(CLASSES):
        for i, video in enumerate(NAMES):
            make_clip(folder / name / video, 100 * label + i, size=(48, 64) if i % 3 else (64, 48))
    return folder


@pytest.fixture(autouse=True)
def own(clips, tmp_path, monkeypatch):
    """The folder of the videos, in the folder where the test works."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(clips, 'my videos'))


def make(*options, output=MINE, check=True):
    return call('r2plus1d_dataset', '--videos=my videos', '--output', output, *options, check=check)


def lists(output=MINE):
    return {part: [line.rsplit(' ', 1) for line in (output / f'{part}.txt').read_text().splitlines()]
            for part in ('train', 'val', 'test')}


def table():
    """{path: row} of videos.tsv."""
    _, head, *rows = (MINE / 'videos.tsv').read_text('utf-8').splitlines()
    rows = [dict(zip(head.split('\t'), row.split('\t'))) for row in rows]
    return {row['path'].split('/', 1)[1]: row for row in rows}


def read_config():
    import mmaction.datasets  # noqa: F401 - as mmaction2's tools do before they read a config
    return mmcv.Config.fromfile(str(MINE / 'config.py'))


def first_shape(cfg, part):
    from mmaction.datasets import build_dataset
    return build_dataset(cfg.data[part])[0]['imgs'].shape


def test_a_data_set_of_odd_names(own):
    (own / 'rest/broken.mp4').write_bytes(b'no video at all')
    make_clip(own / 'rest/short.mp4', 1, frames=3)
    shutil.copy(own / 'rest/x.mp4', own / 'rest/zz copy.mp4')
    (own / 'rest/notes.txt').write_text('mine')
    done = make()
    rows = table()
    left_out = {path: row['left out because'] for path, row in rows.items() if row['part'] == '-'}
    assert set(left_out) == {'rest/broken.mp4', 'rest/short.mp4', 'rest/zz copy.mp4', 'rest/notes.txt'}
    assert 'too short: 3 frames' in left_out['rest/short.mp4'] and 'x.mp4' in left_out['rest/zz copy.mp4']
    assert all(path in done.stderr for path in left_out) and '[INFO] data/mine: 3 classes, 18 for train' in done.stderr
    found = lists()
    names = [name for part in found.values() for name, _ in part]
    assert len(set(names)) == len(names) == 24 and all(name.isascii() and ' ' not in name for name in names)
    for part in ('val', 'test'):
        assert sorted(label for _, label in found[part]) == ['0', '1', '2']  # one video of each class
    for name in CLASSES:
        assert rows[f'{name}/g01_c01.mp4']['part'] == rows[f'{name}/g01_c02.mp4']['part'] == 'train'
        assert rows[f'{name}/x.mp4']['frames'] == '12'
    assert (MINE / 'classes.txt').read_text('utf-8') == '1 long jump\n2 rest\n3 跳高\n'
    links = MINE / 'videos'
    assert all((links / row['name']).samefile(own / path) for path, row in rows.items() if row['part'] != '-')

    cfg = read_config()
    assert cfg.classes == CLASSES and cfg.model.cls_head.num_classes == 3
    assert 'Flip' not in [step['type'] for step in cfg.data.train.pipeline] and cfg.evaluation.save_best == 'top1_acc'
    assert first_shape(cfg, 'train') == (1, 3, 8, 224, 224) and first_shape(cfg, 'test') == (3, 3, 8, 256, 256)

    make(output='data/again')
    assert lists(Path('data/again')) == found
    make('--seed', 1)  # its own folder is replaced
    assert lists() != found and not list(Path('data').glob('*.part'))


def test_what_is_not_ours_stays():
    make()
    config = MINE / 'config.py'
    config.write_text(config.read_text() + '# mine\n')
    assert 'was changed since this script wrote it' in make(check=False).stderr
    (MINE / 'notes').write_text('mine')
    assert 'notes in it is not of this script' in make(check=False).stderr
    for output in ('my videos', 'my videos/rest/data', '.'):
        assert 'choose ' in make(output=output, check=False).stderr
    assert (MINE / 'notes').exists() and config.read_text().endswith('# mine\n')


def test_lists_that_are_damaged_later():
    """mmaction2's tools read the config first, and so refuse them before the first epoch."""
    make()
    train = MINE / 'train.txt'
    good = train.read_text()
    test = (MINE / 'test.txt').read_text().splitlines()[0]
    for bad, message in ((good.replace(' 0\n', ' 7\n', 1), 'label 7, and the model has 3 classes'),
                         (good + test + '\n', f'{test.split()[0]} is in data/mine/train.txt, too')):
        train.write_text(bad)
        with pytest.raises(SystemExit, match=message):
            read_config()
    train.write_text(good)
    read_config()


def test_a_split_of_the_user():
    good = [f'{part} {name}/{video}' for name in CLASSES for part, video in zip(('train', 'val', 'test'), NAMES)]
    for lines, message in (
            (good, None), ([*good, 'test rest/a b.mp4'], 'is in train already'),
            ([*good, 'test rest/none.mp4'], 'expected "PART CLASS/VIDEO"'),
            ([*good, 'dev rest/x.mp4'], 'expected "PART CLASS/VIDEO"'),
            (['train rest/x.mp4'], 'has no usable video for val')):
        Path('split.txt').write_text('\n'.join(lines) + '\n')
        done = make('--split=split.txt', check=message is None)
        assert message is None or message in done.stderr
    assert {f'{row["part"]} {path}' for path, row in table().items() if row['part'] != '-'} == set(good)


@pytest.mark.parametrize('classes, pairs', [
    (['Turn left', 'turn right', 'stop'], [('Turn left', 'turn right')]),
    (['counterclockwise', 'clockwise'], [('counterclockwise', 'clockwise')]),
    (['左转', '右转'], [('左转', '右转')]),
    (['left', 'up'], []), (['cleft', 'bright'], [])])
def test_pairs_that_a_mirror_exchanges(classes, pairs):
    assert mirrored_pairs(classes) == pairs


def test_mirrored_classes(own):
    (own / 'rest').rename(own / 'step left')
    (own / 'long jump').rename(own / 'step right')
    done = make(check=False)
    assert done.returncode == 2 and '"step left=step right"' in done.stderr and '--mirrored none' in done.stderr
    assert not MINE.exists()
    assert make('--mirrored', 'step left=up', check=False).returncode == 2
    make('--mirrored', 'step left=step right', '--base', ROOT / 'demo/r2plus1d_r18_demo.py')  # it has pairs, too
    cfg = read_config()
    flip, = [step for step in cfg.data.train.pipeline if step['type'] == 'Flip']
    assert flip.flip_label_map == {0: 1, 1: 0} and flip.flip_ratio == 0.5
    flip.flip_ratio = 1
    cfg.data.train.pipeline = [step for step in cfg.data.train.pipeline if 'Random' not in step['type']]
    from mmaction.datasets import build_dataset
    train = build_dataset(cfg.data.train)
    for i, info in enumerate(train.video_infos):
        sample = train[i]
        assert int(sample['label']) == {0: 1, 1: 0, 2: 2}[info['label']]
        images = sample['imgs'].numpy()
        assert images[..., :100].mean() > images[..., -100:].mean()  # the dark half is on the right now


@pytest.mark.parametrize('shape, view', [('center', (1, 3, 8, 256, 256)), ('stretch', (1, 3, 8, 256, 341))])
def test_one_view_for_all_shapes(shape, view):
    from r2plus1d.data import Samples
    from r2plus1d.data import read_config as read
    make('--shape', shape)
    samples = Samples(read('data/mine/config.py'))
    assert {samples[i][1].shape for i in range(len(samples))} == {view}
    assert shape == 'center' or first_shape(read_config(), 'train') == view


def test_config_of_one_center_crop():
    main = mmcv.Config.fromfile(str(CONFIG))
    cfg = mmcv.Config.fromfile(str(ROOT / 'configs' / CONFIG.name.replace('_8x8', '_centercrop_8x8')))
    assert [step['type'] for step in cfg.data.test.pipeline].count('CenterCrop') == 1
    assert len(cfg.data.test.pipeline) == len(main.data.test.pipeline) and cfg.data.train == main.data.train


def test_frames_on_disk():
    make('--frames', '--base', CONFIG)
    cfg = read_config()
    frames = MINE / 'rawframes' / table()['rest/x.mp4']['name'][:-len('.mp4')]
    assert [path.name for path in sorted(frames.iterdir())] == [f'img_{i:05}.jpg' for i in range(1, 13)]
    assert cfg.data.test.type == 'RawframeDataset' and first_shape(cfg, 'test') == (3, 3, 8, 256, 256)


def test_recordings_by_their_names():
    def groups(*names):
        found = recordings([OwnVideo(f'c/{name}', 0, name) for name in names])
        return sorted(len(group) for group in found)

    assert groups('v_g01_c01.avi', 'v_g01_c02.avi', 'v_g02_c01.avi') == [1, 2]
    assert groups('match part 1.mp4', 'match part 2.mkv', 'other.mp4') == [1, 2]
    assert groups('比赛第1段.mp4', '比赛第2段.mp4', 'cam_001.mp4', 'cam_002.mp4') == [2, 2]
    assert groups('IMG_1234.mov', 'IMG_1235.mov', 'VID_20261128_123456.mp4', 'VID_20261128_123501.mp4') == [1] * 4
    assert groups('jump_001.mp4', 'jump_002.mp4', 'jump_003.mp4') == [1] * 3  # they are only counted


def test_numpy_2_in_what_a_training_may_use():
    """What mmaction2's own tests found; the header of patches/mmaction2/0003 says how to run those."""
    from mmaction.core.evaluation import average_recall_at_avg_proposals
    from mmaction.datasets.pipelines import ColorJitter
    from mmaction.localization import eval_ap
    red = np.full((2, 2, 3), (200, 10, 10), np.uint8)
    assert ColorJitter.adjust_hue(red, -0.05).shape == red.shape
    assert eval_ap({0: [['video', 0, 0.1, 0.9, 1.0]]}, {0: {'video': [[0.1, 0.9]]}}, [0.5])[0, 0] == 1
    truth, proposals = {'v': np.array([[0., 1.]])}, {'v': np.array([[0., 1., 0.9]])}
    assert average_recall_at_avg_proposals(truth, proposals, 1, max_avg_proposals=1)[1].tolist() == [0] * 99 + [1]
