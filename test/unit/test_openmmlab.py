# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""mmcv and mmaction2 without PyTorch: what does not need it does not import it, and gives the same as with it."""
import runpy
import sys
from unittest import mock

import numpy as np
import pytest
from conftest import CONFIG, ROOT, VIDEOS, run

from mmaction.datasets import PIPELINES, build_dataset
from mmcv import Config

SECONDS = 30
BEGIN = f'import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom r2plus1d.data import Samples, read_config\n'
SAMPLES = BEGIN + """import numpy as np
np.savez('samples.npz', *(sample for _, sample in Samples(read_config('config.py'))))
print('torch' in sys.modules)
"""
OWN_STEP = """from mmaction.datasets import PIPELINES

@PIPELINES.register_module(force=True)
class CenterCrop:
    def __init__(self, crop_size):
        self.size = crop_size

    def __call__(self, results):
        return dict(results, imgs=[255 - image[:self.size, :self.size] for image in results['imgs']])
"""
CROP = dict(type='CenterCrop', crop_size=100)
# the steps that are put in the place of others of the test pipeline; what else is in the config
CONFIGS = {
    'ours': ({}, ''),
    'ten crops': ({'ThreeCrop': dict(type='TenCrop', crop_size=(200, 224))}, ''),
    'one size': ({'ThreeCrop': CROP}, ''),
    'tensors': ({'FormatShape': dict(type='FormatShape', input_format='NCHW')}, ''),
    'a step of the same name': ({'ThreeCrop': CROP}, "custom_imports = dict(imports=['own_step'])"),
}
NEED_TORCH = ('tensors', 'a step of the same name')
OF_ANOTHER_LIBRARY = """from r2plus1d.openmmlab import compose
try:
    compose([dict(type='torchvision.Nothing')])
except Exception as e:
    assert 'torchvision' in str(e), e
"""
# parts of mmcv and mmaction2 that are asked for after a config was read without PyTorch
REST = [OF_ANOTHER_LIBRARY, 'mmcv.Registry', 'from mmaction.models import build_model',
        'import torch; assert mmcv.tensor2imgs(torch.zeros(1, 3, 8, 8))[0].shape == (8, 8, 3)']


def test_scripts_do_not_import_torch(dataset, small, tmp_path):
    (tmp_path / 'torch.py').write_text('raise SystemExit("PyTorch was imported")')
    (tmp_path / 'ucf101').mkdir()
    video = dataset / f'data/ucf101/videos/{next(iter(VIDEOS))}.avi'
    for script, *options in [
            ('r2plus1d_preprocess.py', '--config', small.config, '--output_path', tmp_path / 'bins'),
            ('r2plus1d_infer.py', '--config', small.config, '--model', small.sim, '--output', tmp_path / 'out'),
            ('r2plus1d_predict.py', '--config', small.config, '--model', small.sim, '--video', video),
            ('mmaction2/tools/data/build_file_list.py', 'ucf101', 'data/ucf101/videos/', '--level', '2', '--format',
             'videos', '--shuffle', '--out-root-path', f'{tmp_path}/')]:
        run(sys.executable, ROOT / script, *options, cwd=dataset, env={'PYTHONPATH': str(tmp_path)})


@pytest.mark.parametrize('name', CONFIGS)
def test_samples_are_those_of_mmaction2(dataset, tmp_path, monkeypatch, name):
    """In a process of their own, as this one has PyTorch and mmaction2 already."""
    steps, more = CONFIGS[name]
    test = Config.fromfile(str(CONFIG)).data.test
    test.pipeline = [steps.get(step['type'], step) for step in test.pipeline]
    (tmp_path / 'config.py').write_text(f'data = dict(test={dict(test)})\n{more}\n')
    (tmp_path / 'own_step.py').write_text(OWN_STEP)
    (tmp_path / 'data').symlink_to(dataset / 'data')
    assert run(sys.executable, '-c', SAMPLES, cwd=tmp_path).stdout == f'{name in NEED_TORCH}\n'
    monkeypatch.chdir(dataset)
    with mock.patch.dict(PIPELINES.module_dict):
        if more:
            runpy.run_path(str(tmp_path / 'own_step.py'))
        expected = [sample['imgs'] for sample in build_dataset(test, dict(test_mode=True))]
    with np.load(tmp_path / 'samples.npz') as found:
        assert len(found) == len(expected) == 5
        for array, tensor in zip(found.values(), expected):
            np.testing.assert_array_equal(array, tensor)


@pytest.mark.parametrize('use', REST)
def test_the_rest_of_mmcv_comes_when_it_is_asked_for(use):
    run(sys.executable, '-c', f"""{BEGIN}cfg = read_config({str(CONFIG)!r})
assert 'torch' not in sys.modules
import mmcv
{use}
assert 'torch' in sys.modules and type(cfg) is mmcv.Config
""")
