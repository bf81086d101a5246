# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Models that are refused: weights outside their folder or not finite, another input or output, a batch without memory.

MODELS has a row for each model: the shape of its input, where its weights are, and words of the message.
"""
import json
import os
import sys
from unittest import mock

import numpy as np
import onnx
import pytest
from conftest import ROOT, call, fails, refusal, run, start
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from r2plus1d.models import check_memory, read_onnx_input
from r2plus1d.run import InputError

SECONDS = 15
GOOD = [None, 3, 3, 8, 2, 2]


def make_model(path, shape, weights=None, values=(1, 1), more=(), outputs='y', dtype=TensorProto.FLOAT):
    """A model whose scores are its input plus a weight. WEIGHTS: the file that it lies in, where not in the model.

    MORE nodes make other OUTPUTS, one letter each.
    """
    source = helper.make_tensor_value_info('0', dtype, shape)
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weight = numpy_helper.from_array(np.array(values, np.float32).reshape(-1, 1), 'w')
    if weights:
        set_external_data(weight, weights, 0, 8)
        weight.ClearField('raw_data')
    step = [numpy_helper.from_array(value, name) for name, value in (('s', np.float32(1)), ('z', np.uint8(128)))]
    nodes = [helper.make_node('Add', ['0', 'w'], ['x']), helper.make_node('Flatten', ['x'], ['y']), *more]
    graph = helper.make_graph(nodes, 'g', [source], results, [weight, *step])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)], ir_version=7)
    path.write_bytes(model.SerializeToString())
    return model


# name: (shape of the input, file of the weights, words of the message; None: it is good)
MODELS = {
    'good': (GOOD, None, None),
    'of a fixed batch size': ([2, *GOOD[1:]], None, None),
    'weights beside it': (GOOD, 'weights.bin', None),
    'weights in a folder beside it': (GOOD, 'more/weights.bin', None),
    'weights above its folder': (GOOD, '../weights.bin', 'outside of the folder'),
    'weights at an absolute path': (GOOD, '/etc/hostname', 'outside of the folder'),
    'weights up and down': (GOOD, 'more/../../weights.bin', 'outside of the folder'),
    'weights behind a link': (GOOD, 'link.bin', 'outside of the folder'),
    'weights behind a linked folder': (GOOD, 'linked/weights.bin', 'outside of the folder'),
    'weights that are missing': (GOOD, 'no.bin', 'no such file'),
    'weights that are a named pipe': (GOOD, 'pipe.bin', 'a named pipe'),
    'dynamic height': ([None, 3, 3, 8, None, 2], None, 'batch x 3 x 3 x 8 x ? x 2'),
    'dynamic height and width, with names': (['n', 3, 3, 8, 'h', 'w'], None, 'batch x 3 x 3 x 8 x h x w'),
    'a height of zero': ([None, 3, 3, 8, 0, 2], None, 'batch x 3 x 3 x 8 x 0 x 2'),
    'rank 1': ([None], None, 'its input is batch,'),
    'rank 2': ([None, 5], None, 'its input is batch x 5'),
    'an image model': ([None, 3, 224, 224], None, 'its input is batch x 3 x 224 x 224'),
    'no shape': (None, None, 'its input has no shape'),
}


@pytest.fixture
def folder(tmp_path):
    """A folder for the model, with weights beside it and outside."""
    folder = tmp_path / 'models'
    (folder / 'more').mkdir(parents=True)
    for path in (tmp_path, folder, folder / 'more'):
        (path / 'weights.bin').write_bytes(np.ones(2, np.float32).tobytes())
    (folder / 'link.bin').symlink_to('../weights.bin')
    (folder / 'linked').symlink_to('..')
    os.mkfifo(folder / 'pipe.bin')
    return folder


@pytest.mark.parametrize('shape, weights, words', MODELS.values(), ids=MODELS)
def test_models(folder, monkeypatch, shape, weights, words):
    make_model(folder / 'm.onnx', shape, weights)
    monkeypatch.chdir(folder)
    for path in (folder / 'm.onnx', 'm.onnx'):
        with refusal(words, path):
            assert read_onnx_input(str(path)) == (GOOD[1:], np.float32)


def test_weights_of_inner_graphs_are_looked_at(folder):
    """A branch of an If node, a constant, and a function of the model have tensors, too."""
    inside = make_model(folder / 'inside.onnx', GOOD, '../weights.bin').graph
    tensor = inside.initializer[0]
    places = {
        'graph': helper.make_node('If', ['c'], ['y'], then_branch=inside),
        'constant': helper.make_node('Constant', [], ['c'], value=tensor),
        'tensors': helper.make_node('Custom', [], ['c'], values=[tensor]),
    }
    for name, node in places.items():
        model = make_model(folder / 'm.onnx', GOOD)
        model.graph.node.append(node)
        path = str(folder / f'{name}.onnx')
        onnx.save_model(model, path)
        with refusal('outside of the folder', path):
            read_onnx_input(path)


# name: (arguments of make_model(), the precision that is noted, or words of the message)
ENGINE_MODELS = {
    'scores': ({}, 'f32'),
    'quantized': ({'more': [helper.make_node('QuantizeLinear', ['y', 's', 'z'], ['q']),
                            helper.make_node('DequantizeLinear', ['q', 's', 'z'], ['d'])], 'outputs': 'd'}, 'int8'),
    'nan': ({'values': (1, np.nan)}, 'its weight w holds values that are not finite'),
    'infinite': ({'values': (1, -np.inf)}, 'its weight w holds values that are not finite'),
    'half': ({'dtype': TensorProto.FLOAT16}, 'its input takes float16; expected float32, or uint8'),
    'features': ({'outputs': 'xy'}, 'has 2 outputs, expected one, the scores'),
    'nothing': ({'outputs': ''}, 'has 0 outputs, expected one, the scores'),
    'scalar': ({'more': [helper.make_node('ReduceSum', ['y'], ['t'], keepdims=0)], 'outputs': 't'},
               'its output has 0 dimensions, expected rows of scores'),
}
OTHER_FILES = {
    'page': (b'\n<!DOCTYPE html>\n<html>', 'it is an HTML page'),
    'pointer': (b'version https://git-lfs.github.com/spec/v1\noid sha256:', 'it is a pointer of Git LFS'),
    'empty': (b'', 'is empty'),
}
# In a process of its own: pytest's has PyTorch's threads, and forks.
MAKE_ENGINES = """
import json, os
from r2plus1d.engines import make_engine
from r2plus1d.run import InputError
found = {}
for name in filter(lambda name: name.endswith('.onnx'), os.listdir('.')):
    for backend in ('openvino', 'onnxruntime'):
        for precision in ('f32', 'int8') if name in ('scores.onnx', 'quantized.onnx') else ('f32',):
            try:
                text = make_engine(name, backend, precision).precision
            except InputError as e:
                text = str(e)
            found[f'{name[:-5]} {backend} {precision}'] = text
print(json.dumps(found))
"""


def test_what_engines_refuse_and_compute_in(folder):
    """Weights that are not finite, of which OpenVINO's ReLU makes ordinary scores; and int8 where nothing is int8."""
    for name, (arguments, _) in ENGINE_MODELS.items():
        make_model(folder / f'{name}.onnx', GOOD, **arguments)
    for name, (content, _) in OTHER_FILES.items():
        (folder / f'{name}.onnx').write_bytes(content)
    found = json.loads(run(sys.executable, '-c', MAKE_ENGINES, cwd=folder, env={'PYTHONPATH': str(ROOT)}).stdout)
    assert len(found) == 2 * (len(ENGINE_MODELS) + len(OTHER_FILES) + 2)
    for backend in ('openvino', 'onnxruntime'):
        assert found.pop(f'scores {backend} int8').startswith('--precision int8: scores.onnx is not quantized')
    for key, text in found.items():
        name = key.split()[0]
        words = dict(**ENGINE_MODELS, **OTHER_FILES)[name][1]
        if ' ' in words:
            assert words in text and f'{name}.onnx' in text, (key, text)
        else:
            assert text == words, key


@pytest.mark.parametrize('command', [
    'infer --model m.onnx',
    'infer --model m.onnx --backend onnxruntime',
    'optimize --model m.onnx --config {config} --uint8_input --output x.onnx',
    'predict --model m.onnx --config {config} --classes {classes} --video {video}',
    'compare --config {config} --checkpoint {checkpoint} --models m.onnx',
])
def test_each_script_refuses_weights_from_outside(folder, dataset, small, command):
    make_model(folder / 'm.onnx', GOOD, '../weights.bin')
    (folder / 'data').symlink_to(dataset / 'data')
    values = {'config': small.config, 'checkpoint': small.checkpoint,
              'classes': 'data/ucf101/annotations/classInd.txt',
              'video': 'data/ucf101/videos/YoYo/v_YoYo_g01_c01.avi'}
    script, *options = command.format(**values).split()
    done = start(ROOT / f'r2plus1d_{script}.py', *options, cwd=folder, check=False)
    fails(done, 1, 'm.onnx: ', 'outside of the folder')


@pytest.mark.parametrize('shape, weights, words', [(GOOD, '../weights.bin', 'outside'), ([None, 5], None, 'batch x 5')])
def test_pth2om_refuses_it_before_anything_is_touched(folder, npu, shape, weights, words):
    make_model(folder / 'm.onnx', shape, weights)
    (folder / 'r2plus1d_bs1.om').write_text('of an earlier run')
    done = run('bash', ROOT / 'test/pth2om.sh', '--model', folder / 'm.onnx', '--work_dir', folder, env=npu,
               check=False)
    assert done.returncode == 1 and words in done.stderr and done.stderr.endswith('fail!\n')
    assert (folder / 'r2plus1d_bs1.om').exists()


# ---- memory --------------------------------------------------------------------------------------------


def test_a_batch_larger_than_the_memory(folder):
    with pytest.raises(InputError, match='--batchsize 99999: .* GB'):
        check_memory(99999, [3, 3, 8, 256, 256], np.dtype(np.float32))
    check_memory(1, [3, 3, 8, 256, 256], np.dtype(np.float32))
    make_model(folder / 'm.onnx', GOOD)
    for backend in ('openvino', 'onnxruntime'):
        done = start(ROOT / 'r2plus1d_infer.py', '--model', folder / 'm.onnx', '--backend', backend, '--batchsize',
                     10**11, check=False)
        fails(done, 1, '--batchsize 100000000000: ')


@pytest.mark.parametrize('error', [
    MemoryError(), RuntimeError('std::bad_alloc'), RuntimeError('Exception from core.cpp:\nstd::bad_alloc\n'),
    Exception('[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer')])
def test_an_engine_without_memory(monkeypatch, folder, error):
    make_model(folder / 'm.onnx', GOOD)
    monkeypatch.setattr('r2plus1d_infer.make_engines', mock.Mock(side_effect=error))
    done = call('r2plus1d_infer', '--model=m.onnx', '--batchsize=7', cwd=folder, check=False)
    fails(done, 1, '--batchsize 7: the memory is not enough')


def test_an_evaluation_looks_at_the_batch_sizes_first(folder, small, dataset):
    (folder / 'r2plus1d_sim.onnx').symlink_to(small.sim)
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--work_dir', folder, '--batch_sizes',
               '1 99999999', cwd=dataset, check=False)
    assert done.returncode == 1 and '--batchsize 99999999: ' in done.stderr and done.stderr.endswith('fail!\n')
    assert not (folder / 'predata_bts1').exists() and 'preprocess' not in done.stdout
