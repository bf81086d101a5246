# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d/run.py: scripts that do not end by themselves. Those that do: test_interruptions.py and test_kills.py."""
import os
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from conftest import ROOT, run, start
from onnx import TensorProto, helper, numpy_helper

SECONDS = 10


def model_that_never_ends(path):
    """Scores of three classes, which a loop of 2**62 rounds multiplies by 1."""
    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node('Identity', ['go_on'], ['goes_on']), helper.make_node('Mul', ['before', 'one'], ['after'])],
        'body', [value('round', TensorProto.INT64, []), value('go_on', TensorProto.BOOL, []),
                 value('before', TensorProto.FLOAT, [1, 3])],
        [value('goes_on', TensorProto.BOOL, []), value('after', TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.float32(1), 'one')])
    nodes = [helper.make_node('Flatten', ['0'], ['flat']), helper.make_node('MatMul', ['flat', 'weights'], ['scores']),
             helper.make_node('Loop', ['rounds', 'true', 'scores'], ['out'], body=body)]
    constants = {'weights': np.ones((24, 3), np.float32), 'rounds': np.int64(2**62), 'true': np.bool_(True)}
    graph = helper.make_graph(nodes, 'endless', [value('0', TensorProto.FLOAT, [1, 1, 3, 2, 2, 2])],
                              [value('out', TensorProto.FLOAT, [1, 3])],
                              [numpy_helper.from_array(np.array(each), name) for name, each in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 11)], ir_version=6), path)


# with less patience than the 5 s of a user's run
IMPATIENT = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
import r2plus1d.run
r2plus1d.run.PATIENCE = 0.5
import r2plus1d_infer
sys.argv[0] = 'r2plus1d_infer.py'
r2plus1d_infer.main()
"""


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_model_that_never_ends_is_ended_by_one_signal(tmp_path, number):
    """Python calls no handler while a library computes; SIGTERM was ignored for ever."""
    pytest.importorskip('openvino')
    model_that_never_ends(tmp_path / 'm.onnx')
    command = [sys.executable, '-c', IMPATIENT, '--model', tmp_path / 'm.onnx']
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert 'OpenVINO' in process.stderr.readline()  # it is loaded
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        os.kill(process.pid, number)
        _, text = process.communicate(timeout=60)
    cause = 'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'
    assert process.returncode == 128 + number
    assert text.splitlines()[-1] == f'r2plus1d_infer.py: stopped by {cause}; the same command goes on, or begins again'


def test_only_the_cores_that_may_be_used_are_counted():
    done = run(sys.executable, '-c', 'import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n'
               'from r2plus1d.environment import cpu_count; print(cpu_count())', cwd=ROOT)
    assert done.stdout == '1\n'


def test_nothing_counts_the_cores_of_the_machine():
    for folder in ('r2plus1d', 'benchmarks', 'demo', '.'):
        for path in (ROOT / folder).glob('*.py' if folder == '.' else '**/*.py'):
            assert 'os.cpu_count()' not in path.read_text(encoding='utf-8'), path


def test_the_error_is_the_last_line(tmp_path, small):
    """The engine, which loads in a thread of its own, says what it is after the error of the other thread."""
    (tmp_path / 'classes.txt').write_text('1 a\n3 b\n')
    done = start(ROOT / 'r2plus1d_predict.py', '--model', small.sim, '--config', small.config, '--classes',
                 tmp_path / 'classes.txt', '--video', tmp_path, cwd=tmp_path, check=False)
    assert done.returncode == 1 and 'classes.txt: line 2 is' in done.stderr.splitlines()[-1]
