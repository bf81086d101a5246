# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Models that are refused: weights outside their folder or not finite, another input or output, a batch without memory.

MODELS has a row for each model: the shape of its input, where its weights are, and words of the message.
"""
import os

import numpy as np
import onnx
import pytest
from conftest import ROOT, run, start
from onnx import TensorProto, helper, numpy_helper

from r2plus1d.engine_base import check_memory
from r2plus1d.onnx_files import read_onnx_input
from r2plus1d.run import InputError

SECONDS = 30
GOOD = [None, 3, 3, 8, 2, 2]


def make_model(path, shape, weights=None, values=(1, 1)):
    """A model whose scores are its input plus a weight. WEIGHTS: the file that it lies in, where not in the model."""
    source = helper.make_tensor_value_info('0', TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info('y', TensorProto.FLOAT, None)
    weight = numpy_helper.from_array(np.array(values, np.float32).reshape(-1, 1), 'w')
    if weights:
        weight.ClearField('raw_data')
        weight.data_location = TensorProto.EXTERNAL
        for key, value in (('location', weights), ('offset', '0'), ('length', '8')):
            weight.external_data.add(key=key, value=value)
    nodes = [helper.make_node('Add', ['0', 'w'], ['sum']), helper.make_node('Flatten', ['sum'], ['y'])]
    graph = helper.make_graph(nodes, 'g', [source], [result], [weight])
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


@pytest.mark.parametrize('kind', MODELS)
def test_models(folder, kind, monkeypatch):
    shape, weights, words = MODELS[kind]
    make_model(folder / 'm.onnx', shape, weights)
    for path in (folder / 'm.onnx', 'm.onnx'):
        monkeypatch.chdir(folder)
        if words is None:
            assert read_onnx_input(str(path)) == (GOOD[1:], np.float32)
        else:
            with pytest.raises(InputError) as error:
                read_onnx_input(str(path))
            assert str(error.value).startswith(f'{path}: ') and words in str(error.value), error.value


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
        onnx.save_model(model, str(folder / f'{name}.onnx'))
        with pytest.raises(InputError, match='outside of the folder'):
            read_onnx_input(str(folder / f'{name}.onnx'))


SCRIPTS = {
    'infer': ['r2plus1d_infer.py', '--model', 'm.onnx'],
    'infer by ONNX Runtime': ['r2plus1d_infer.py', '--model', 'm.onnx', '--backend', 'onnxruntime'],
    'optimize': ['r2plus1d_optimize.py', '--model', 'm.onnx', '--config', '{config}', '--uint8_input', '--output',
                 'x.onnx'],
    'predict': ['r2plus1d_predict.py', '--model', 'm.onnx', '--config', '{config}', '--classes', '{classes}', '--video',
                '{video}'],
    'compare': ['r2plus1d_compare.py', '--config', '{config}', '--checkpoint', '{checkpoint}', '--models', 'm.onnx'],
}


@pytest.mark.parametrize('script', SCRIPTS)
def test_each_script_refuses_weights_from_outside(folder, dataset, small, script):
    make_model(folder / 'm.onnx', GOOD, '../weights.bin')
    (folder / 'data').symlink_to(dataset / 'data')
    data = dataset / 'data/ucf101'
    values = {'config': small.config, 'checkpoint': small.checkpoint, 'classes': data / 'annotations/classInd.txt',
              'video': data / 'videos/YoYo/v_YoYo_g01_c01.avi'}
    name, *arguments = SCRIPTS[script]
    done = start(ROOT / name, *(word.format(**values) for word in arguments), cwd=folder, check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'm.onnx: ' in done.stderr.splitlines()[-1] and 'outside of the folder' in done.stderr.splitlines()[-1]


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
        assert done.returncode == 1 and 'Traceback' not in done.stderr
        assert '--batchsize 100000000000: ' in done.stderr.splitlines()[-1]


class Full:
    """An engine that runs out of memory, by one of the errors that engines raise then."""

    sample_shape, dtype, batch_size = [3, 3, 8, 2, 2], np.dtype(np.float32), None

    def __init__(self, error):
        self.error = error

    def prepare(self, batch_size):
        raise self.error


@pytest.mark.parametrize('error', [
    MemoryError(), RuntimeError('std::bad_alloc'), RuntimeError('Exception from core.cpp:\nstd::bad_alloc\n'),
    Exception('[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer')])
def test_an_engine_without_memory(monkeypatch, folder, error):
    import r2plus1d_infer
    make_model(folder / 'm.onnx', GOOD)
    monkeypatch.setattr(r2plus1d_infer, 'make_engines', lambda args: [Full(error)])
    monkeypatch.setattr('sys.argv', ['r2plus1d_infer.py', '--model', str(folder / 'm.onnx'), '--batchsize', '7'])
    with pytest.raises(SystemExit, match='--batchsize 7: the memory is not enough'):
        r2plus1d_infer.main()


def test_an_evaluation_looks_at_the_batch_sizes_first(folder, small, dataset):
    (folder / 'r2plus1d_sim.onnx').symlink_to(small.sim)
    done = run('bash', ROOT / 'test/eval_acc_perf.sh', '--config', small.config, '--work_dir', folder, '--batch_sizes',
               '1 99999999', cwd=dataset, check=False)
    assert done.returncode == 1 and '--batchsize 99999999: ' in done.stderr and done.stderr.endswith('fail!\n')
    assert not (folder / 'predata_bts1').exists() and 'preprocess' not in done.stdout
