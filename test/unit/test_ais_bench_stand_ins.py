# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The stand-ins of ais_bench and aclruntime do what the real clients of 2023, 2025 and 2026 were seen to do.

The scores are compared with NumPy's, and the rest with what the real clients did on the stand-in of aclruntime.
"""
import json
import os
import sys

import numpy as np
import onnx
import pytest
from conftest import STAND_INS, run

SHAPE = [3, 3, 2, 4, 4]
WEIGHTS = np.random.default_rng(0).normal(size=(96, 5)).astype(np.float32)
# In natural order; in the order of characters, bin10 is the first.
NAMES = ['bin8-8_3', 'bin9-9_0', 'bin10-10_7', 'bin11-11_1', 'bin12-12_4']
AGES = pytest.mark.parametrize('age', ['2023', '2025', '2026'])


def save_model(folder):
    """An ONNX model whose scores are the 96 numbers of a crop times WEIGHTS."""
    nodes = [onnx.helper.make_node('Reshape', ['0', 'crops'], ['rows']),
             onnx.helper.make_node('MatMul', ['rows', 'weights'], ['scores'])]
    number = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, 'small', [onnx.helper.make_tensor_value_info('0', number, ['-1', *SHAPE])],
        [onnx.helper.make_tensor_value_info('scores', number, ['rows', 5])],
        [onnx.helper.make_tensor('crops', onnx.TensorProto.INT64, [2], [-1, 96]),
         onnx.numpy_helper.from_array(WEIGHTS, 'weights')])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 11)])
    model.ir_version = 7
    onnx.save(model, str(folder / 'model.onnx'))
    for batch_size in (1, 2):
        om = {'onnx': str(folder / 'model.onnx'), 'shape': [batch_size, *SHAPE]}
        (folder / f'bs{batch_size}.om').write_text(json.dumps(om))


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """The samples of the bins in the working folder, which has models too. Files are made as at umask 022."""
    monkeypatch.chdir(tmp_path)
    umask = os.umask(0o022)
    save_model(tmp_path)
    bins = tmp_path / 'bins'
    bins.mkdir()
    arrays = np.random.default_rng(1).normal(size=(len(NAMES), *SHAPE)).astype(np.float32)
    for name, array in zip(NAMES, arrays):
        array.tofile(str(bins / f'{name}.bin'))
    (bins / 'info.json').write_text('{}')
    yield arrays
    os.umask(umask)


def python(age, *words, status=0, **environment):
    done = run(sys.executable, *words, check=False,
               env=dict(environment, PYTHONPATH=str(STAND_INS), STAND_IN_AIS_BENCH=age))
    assert done.returncode == status, done.stdout + done.stderr
    return done


def client(age, *arguments, **more):
    if age == '2026':
        arguments = [word.replace('_', '-') if word.startswith('--') else word for word in arguments]
    return python(age, '-m', 'ais_bench', *arguments, **more)


def expected(sample):
    return sample.reshape(-1, 96) @ WEIGHTS


def read_output(path):
    if path.suffix == '.npy':
        return np.load(str(path))
    if path.suffix == '.txt':
        return np.array([[float(x) for x in line.split(' ')[:-1]] for line in path.read_text().splitlines()])
    return np.fromfile(str(path), np.float32).reshape(-1, 5)


@pytest.mark.parametrize('age, outfmt', [('2023', 'TXT'), ('2025', 'TXT'), ('2025', 'NPY'), ('2026', 'BIN')])
def test_one_device(age, outfmt, samples, tmp_path):
    """Two files a batch and one in the last: order, names, contents, summary, and nothing of the padding."""
    flag = '--input' if age == '2026' else '--inp'
    client(age, '--model', 'bs2.om', flag, 'bins', '--output', 'out', '--output_dirname', 'run', '--outfmt', outfmt,
           '--batchsize', '2')
    folder = tmp_path / 'out' / 'run'
    suffix = outfmt.lower()
    assert {path.name for path in folder.iterdir()} == {f'{name}_0.{suffix}' for name in NAMES}
    for name, sample in zip(NAMES, samples):
        output = read_output(folder / f'{name}_0.{suffix}')
        np.testing.assert_allclose(output, expected(sample), atol=1e-4)
    if outfmt == 'TXT':
        first = (folder / f'{NAMES[0]}_0.txt').read_text()
        assert first.endswith(' \n') and len(first.split()[0].split('.')[1]) == 6
    summary = json.loads((tmp_path / 'out' / 'run_summary.json').read_text())
    rate = ['throughput', 'npu_compute_time_list']
    assert list(summary) == ['filesinfo', 'args', 'NPU_compute_time', 'H2D_latency', 'D2H_latency',
                             *(rate if age == '2023' else rate[::-1]), 'pid']
    percentile = 'P99' if age == '2026' else 'percentile(99%)'
    assert list(summary['NPU_compute_time']) == ['min', 'max', 'mean', 'median', percentile, 'count']
    assert summary['filesinfo'] == {
        str(i): {'infiles': [f'bins/{name}.bin'], 'outfiles': [f'out/run/{name}_0.{suffix}']}
        for i, name in enumerate(NAMES)
    }
    times = summary['npu_compute_time_list']
    assert len(times) == summary['H2D_latency']['count'] == 3
    assert summary['throughput'] == pytest.approx(2000 / np.mean(times))
    mode = (folder / f'{NAMES[0]}_0.{suffix}').stat().st_mode & 0o777
    assert mode == (0o644 if age == '2023' else 0o640)


@AGES
def test_pure_inference_and_a_wrong_batch_size(age, samples, tmp_path):
    """The client believes --batchsize, whatever the model has: the throughput is wrong, and nobody says so."""
    client(age, '--model', 'bs2.om', '--output', 'out', '--output_dirname', 'run', '--loop', '4', '--batchsize', '16')
    np.testing.assert_array_equal(read_output(tmp_path / 'out' / 'run' / 'pure_infer_data_0.bin'), np.zeros([6, 5]))
    summary = json.loads((tmp_path / 'out' / 'run_summary.json').read_text())
    times = summary['npu_compute_time_list']
    assert len(times) == 4
    assert summary['throughput'] == pytest.approx(16000 / np.mean(times))
    assert summary['filesinfo']['0']['infiles'] == ['pure_infer_data']


@pytest.mark.parametrize('age, flags, shares', [
    ('2023', [], [NAMES[:3], NAMES[3:]]),
    ('2025', [], [NAMES, NAMES]),
    ('2025', ['--divide_input', '1'], [NAMES[:3], NAMES[3:]]),
    ('2026', ['--divide_input'], [NAMES[:3], NAMES[3:]]),
])
def test_two_devices(age, flags, shares, samples, tmp_path):
    (tmp_path / 'out').mkdir(mode=0o750)
    (tmp_path / 'out' / 'run').mkdir(mode=0o750)
    client(age, '--model', 'bs2.om', '--input', 'bins', '--output', 'out', '--output_dirname', 'run', '--device', '0,1',
           *flags)
    names = [path.name for path in (tmp_path / 'out' / 'run').iterdir()]
    folders = ['device0', 'device1'] if age == '2023' else ['device0_0', 'device1_1']
    assert sorted(names) == sorted(folders + [f'{folder}_summary.json' for folder in folders])
    for folder, share in zip(folders, shares):
        files = {path.name for path in (tmp_path / 'out' / 'run' / folder).iterdir()}
        assert files == {f'{name}_0.bin' for name in share}
        summary = json.loads((tmp_path / 'out' / 'run' / f'{folder}_summary.json').read_text())
        assert [info['infiles'] for info in summary['filesinfo'].values()] == [[f'bins/{name}.bin'] for name in share]


@pytest.mark.parametrize('age, devices, flags, message', [
    ('2023', '0,1,2,3', [], '--input:  is neither'),
    ('2025', '0,1,2,3,4,5', ['--divide_input', '1'], 'OverflowError'),
])
def test_too_few_files_for_the_devices(age, devices, flags, message, samples):
    """The older client gives 5 files as 2, 2, 1 and none; the newer one wants a file for each device."""
    done = client(age, '--model', 'bs1.om', '--input', 'bins', '--device', devices, *flags, status=1,
                  STAND_IN_DEVICES='6')
    assert message in done.stdout + done.stderr


def test_newer_client_refuses_paths(samples, tmp_path):
    """Root is no exception. What is wrong inside the input folder is seen after the model was loaded."""
    good = {'--model': 'bs2.om', '--input': 'bins', '--output': 'out', '--output_dirname': 'run'}

    def refused(status, message, **changes):
        flags = dict(good, **{f'--{name}': value for name, value in changes.items()})
        done = client('2025', *[word for flag in flags.items() for word in flag], status=status)
        assert message in done.stderr + done.stdout

    (tmp_path / 'writable.om').write_text((tmp_path / 'bs2.om').read_text())
    (tmp_path / 'writable.om').chmod(0o664)
    refused(2, 'argument --model/-m: om path:writable.om is illegal. Please check.', model='writable.om')
    (tmp_path / 'link').symlink_to('bins')
    refused(2, 'argument --input/-i: input path:link is illegal. Please check.', input='link')
    refused(2, 'argument --output/-o: output path string is illegal. Please check.', output='out put')
    (tmp_path / 'readable').mkdir()
    refused(2, 'argument --output/-o: output path:readable is illegal. Please check.', output='readable')
    refused(2, 'argument --output_dirname: output path:readable is illegal.', output_dirname='readable')
    (tmp_path / 'bins' / 'info.json').chmod(0o664)
    refused(1, 'RuntimeError: input data:bins/info.json is illegal')


def test_command_line_of_2026(samples, tmp_path):
    """Dashes alone, no values of booleans, a traceback for a wrong path, and a help that is cut at COLUMNS."""
    for words, message in ((['--output_dirname', 'run'], 'No such option: --output_dirname'), (['--debug', '1'], '1')):
        assert message in python('2026', '-m', 'ais_bench', '--model', 'bs2.om', *words, status=2).stderr
    (tmp_path / 'bs2.om').chmod(0o664)
    assert 'Traceback' in client('2026', '--model', 'bs2.om', status=1).stderr
    assert '--divide-input ' in client('2026', '--help', COLUMNS='300').stdout
    assert '--divide-input' not in client('2026', '--help', COLUMNS='80').stdout


def test_older_client_takes_any_path(samples, tmp_path):
    (tmp_path / 'bs2.om').chmod(0o666)
    (tmp_path / 'in put').symlink_to('bins')
    (tmp_path / 'out put').mkdir()
    client('2023', '--model', 'bs2.om', '--input', 'in put', '--output', 'out put')
    summary, = (tmp_path / 'out put').glob('20*_summary.json')
    assert len(json.loads(summary.read_text())['filesinfo']) == len(NAMES)


@AGES
def test_device_that_is_not_there(age, samples):
    done = client(age, '--model', 'bs1.om', '--device', '2', status=1)
    assert 'RuntimeError: [107001][Error code unknown]' in done.stderr
    client(age, '--model', 'bs1.om', '--device', '256', status=1 if age == '2026' else 2)


@AGES
def test_race_of_two_devices_for_a_folder(age, samples):
    """Only the newer client has it, and only where the folder of the run is not there before."""
    done = client(age, '--model', 'bs1.om', '--output', 'out', '--output_dirname', 'run', '--device', '0,1',
                  status=int(age != '2023'))
    assert ('can not make dir' in done.stdout) == (age != '2023')


SESSION = '''
import json, sys
import numpy as np
from ais_bench.infer.interface import InferSession

def attempt(*feeds):
    try:
        return session.infer(list(feeds))[0].tolist()
    except Exception as e:
        return type(e).__name__ + ' ' + str(e)

session = InferSession(0, 'bs2.om')
batch = np.fromfile('bins/bin9-9_0.bin', np.float32, 288).reshape(1, 3, 3, 2, 4, 4).repeat(2, 0)
desc, = session.get_inputs()
out, = session.get_outputs()
result = {
    'input': [desc.name, desc.shape, desc.datatype.name, desc.realsize],
    'output': [out.shape, out.datatype.name, out.realsize],
    'good': attempt(batch),
    'flat': attempt(batch.ravel()),
    'strided': attempt(batch.repeat(2, 0)[::2]),
    'int32': attempt(batch.view(np.int32)),
    'float64': attempt(batch.astype(float)),
    'one sample': attempt(batch[:1]),
    'list': attempt(batch.tolist()),
    'names': [name for name in ('summary', 'sumary', 'free_resource') if hasattr(session, name)],
}
times = session.summary() if hasattr(session, 'summary') else session.sumary()
result['time'] = np.ndim(times.exec_time_list[0])
json.dump(result, sys.stderr)
'''


@AGES
def test_session(age, samples):
    """InferSession takes the model's type and number of bytes; what the real one would misread raises."""
    result = json.loads(python(age, '-c', SESSION).stderr)
    assert result['input'] == ['0', [2, *SHAPE], 'float32', 2304]
    assert result['output'] == [[6, 5], 'float32', 120]
    scores = np.tile(expected(samples[1]), (2, 1))
    np.testing.assert_allclose(result['good'], scores, atol=1e-4)
    assert result['flat'] == result['good']
    assert result['int32'].startswith('WrongMemory')
    assert result['float64'] == result['one sample'] == 'RuntimeError [-1][ACL: general failure] '
    assert result['list'].startswith('RuntimeError type')
    if age == '2023':
        assert result['strided'].startswith('WrongMemory')
        assert result['names'] == ['sumary']
        assert result['time'] == 0
    else:
        assert result['strided'] == result['good']
        assert result['names'] == ['summary', 'free_resource']
        assert result['time'] == 1


LATENCY = '''
import json, sys, threading, time
import numpy as np
from ais_bench.infer.interface import InferSession
session = InferSession(0, 'bs2.om')
batch = np.ones([2, 3, 3, 2, 4, 4], np.float32)
woken = []
thread = threading.Thread(target=lambda: woken.append(time.sleep(0.05) or time.time()))
thread.start()
start = time.time()
output, = session.infer([batch])
seconds = time.time() - start
thread.join()
json.dump([seconds, woken[0] - start, float(abs(output).max())], sys.stderr)
'''


def test_latency_holds_the_lock_of_python(samples):
    """As in the real module, no other thread goes on while the device works."""
    environment = {'STAND_IN_LATENCY_MS': '300', 'STAND_IN_NO_COMPUTE': '1'}
    seconds, woken, largest = json.loads(python('2025', '-c', LATENCY, **environment).stderr)
    assert seconds >= 0.3 and woken >= 0.25 and largest == 0


def test_without_aclruntime(samples):
    """`import ais_bench` succeeds and says nothing of whether it will run."""
    python('2025', '-c', 'import ais_bench', STAND_IN_NO_ACLRUNTIME='1')
    done = client('2025', '--help', status=1, STAND_IN_NO_ACLRUNTIME='1')
    assert "ModuleNotFoundError: No module named 'aclruntime'" in done.stderr
    done = client('2023', '--help', status=1, STAND_IN_NO_ACLRUNTIME='libascendcl')
    assert 'ImportError: libascendcl.so' in done.stderr
