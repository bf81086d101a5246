# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the conversion asks of Python: r2plus1d/cann.py and convert.py, test/convert.py and test/sample_shape.py."""
import json
import os
import sys
from pathlib import Path

import convert as script
import numpy as np
import onnx
import pytest
import sample_shape
from conftest import ROOT, STAND_INS, write_program
from onnx import TensorProto, helper

from r2plus1d import cann, convert
from r2plus1d.cann import Cann
from r2plus1d.run import InputError

sys.path.append(str(STAND_INS))
from cann import make_cann, make_python

TOOLKIT = 'usr/local/Ascend/ascend-toolkit'


def save_model(path, opset=11, name='0', op_type='Relu', value=1, external=False, batch='N'):
    """An ONNX file with one input of batch x 1 x 1 x 1 x 4 x 4; VALUE makes two of them differ. A Conv is a 3-D one."""
    shape = [batch, 1, 1, 1, 4, 4]
    weight = helper.make_tensor('weight', TensorProto.FLOAT, [1] * 5, [value])
    if external:
        weight.data_location = TensorProto.EXTERNAL
    inputs = [name, 'weight'] if op_type == 'Conv' else [name]
    graph = helper.make_graph(
        [helper.make_node(op_type, inputs, ['x']), helper.make_node('Add', ['x', 'weight'], ['scores'])], 'graph',
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('scores', TensorProto.FLOAT, shape)], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8), path)
    return path


# ---- Python ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('version, facts, lacks, unfit', [
    ('8.0.0', {}, [], False),
    ('8.0.RC2', {'numpy': '2.0.0'}, ['numpy<=1.24 (it has 2.0.0)'], True),
    ('8.5.0', {'numpy': '2.1.0'}, ['numpy<2 (it has 2.1.0)'], True),
    ('7.0.0', {'numpy': '2.1.0'}, ['numpy<2 (it has 2.1.0)'], True),
    ('8.0.0', {'numpy': None}, ['numpy'], True),
    ('8.5.0', {'numpy': '1.26.4'}, [], False),
    ('6.0.1', {'numpy': '1.23.5'}, [], False),
    ('9.1.0', {'numpy': '2.4.0', 'protobuf': '4.25.3'}, [], False),
    ('', {'numpy': '2.4.0', 'protobuf': '7.0'}, [], False),
    ('8.2.RC1', {'numpy': '1.26.4'}, ['numpy<=1.24 (it has 1.26.4)'], False),  # it has what 1.24 has
    ('8.5.0', {'protobuf': '4.25.3'}, ['protobuf==3.20.* (it has 4.25.3)'], False),
    ('8.5.0', {'protobuf': None}, ['protobuf'], False),
    ('8.0.0', {'missing': ['decorator', 'absl']}, ['decorator', 'absl-py'], False),
    ('8.0.0', {'version': [3, 6, 9]}, ['the version: 3.7 is the oldest that ATC starts'], True),
])
def test_what_a_python_lacks(version, facts, lacks, unfit):
    facts = dict({'version': [3, 9, 1], 'executable': '/p/python3', 'numpy': '1.24.4', 'protobuf': '3.20.3',
                  'missing': []}, **facts)
    python = cann.judge_python('/p/python3', facts, Cann({}, '/atc', version))
    assert (python.lacks, python.unfit) == (lacks, unfit)
    assert str(python).endswith('has the packages of CANN' if not lacks else f'lacks {", ".join(lacks)}')


@pytest.fixture
def pythons(tmp_path, monkeypatch):
    """Three folders on CANN's PATH with a python3 that is not asked: {path: what judge() takes for its facts}."""
    known = {str(write_program(tmp_path / name / 'python3')): {} for name in 'abc'}
    monkeypatch.setattr(cann, 'ask_python', lambda path, cann: known[path])
    return known


def choose(pythons, **variables):
    path = ':'.join(os.path.dirname(python) for python in pythons)
    return cann.choose_python(Cann({'PATH': path}, '/atc', '8.0.0'), dict(variables, PATH=path))


def of(path, lacks=(), unfit=False):
    return cann.Python(path, f'Python ({path})', list(lacks), unfit)


def test_the_python_that_lacks_least(pythons, tmp_path):
    a, b, c = pythons
    pythons.update({a: of(a, ['scipy']), b: of(b), c: of(c)})
    assert choose(pythons).path == b
    assert choose(pythons, VIRTUAL_ENV=str(tmp_path / 'b')).path == b  # nothing is lacking, but others come first
    pythons[a] = of(a)
    assert choose(pythons, VIRTUAL_ENV=str(tmp_path)).path == a
    pythons.update({a: None, b: of(b, ['scipy']), c: of(c, ['numpy'], unfit=True)})
    assert choose(pythons).path == b
    pythons[b] = None
    with pytest.raises(InputError, match='ATC of CANN 8.0.0 cannot use Python .* lacks numpy; .*CANN_PYTHON='):
        choose(pythons)
    assert choose(pythons, CANN_PYTHON=c).path == c  # named by the user, it is tried
    pythons[c] = None
    for variables in ({}, {'CANN_PYTHON': c}):
        with pytest.raises(InputError, match=f'ATC of CANN 8.0.0 starts python3, and none of .*{c} works'):
            choose(pythons, **variables)
    with pytest.raises(InputError, match='CANN_PYTHON=no_python: no such program'):
        choose(pythons, CANN_PYTHON='no_python')


def test_the_environment_is_the_last_choice(tmp_path):
    """Each Python is asked once, also where a folder stands there twice, or a link to it."""
    (tmp_path / 'link').symlink_to(tmp_path / 'bin')
    path = {'PATH': f'{tmp_path}/env/bin:{tmp_path}/none:{tmp_path}/bin:{tmp_path}/env/bin:{tmp_path}/link'}
    inside, outside = (str(write_program(tmp_path / name / 'bin/python3')) for name in ('env', '.'))
    assert cann.list_pythons(path, ['', str(tmp_path / 'env')]) == [outside, inside]
    assert cann.list_pythons(path, []) == [inside, outside]


def test_the_environment_of_atc(tmp_path):
    """A python3 that has another name comes first on the PATH, too."""
    found = Cann({'PATH': '/bin'}, '/atc', '8.0.0')
    assert cann.in_python(found, of('/usr/bin/env'), str(tmp_path)) == {'PATH': f'{tmp_path}/python:/bin'}
    assert os.path.realpath(tmp_path / 'python/python3') == os.path.realpath('/usr/bin/env')
    python = write_program(tmp_path / 'b/python3')
    assert cann.in_python(found, of(str(python)), str(tmp_path)) == {'PATH': f'{tmp_path}/b:/bin'}


def test_a_python_is_asked(tmp_path):
    python = str(make_python(tmp_path, numpy='1.25.0', without=['decorator', 'absl']) / 'python3')
    found = cann.ask_python(python, Cann({'PATH': '/bin'}, '/atc', '8.0.0'))
    assert found.lacks == ['numpy<=1.24 (it has 1.25.0)', 'decorator', 'absl-py'] and not found.unfit
    assert cann.ask_python(str(write_program(tmp_path / 'broken', 'exit 1')), Cann({}, '/atc', '8.0.0')) is None


# ---- where CANN is -----------------------------------------------------------------------------------


@pytest.mark.parametrize('place, variable', [
    ('root/usr/local/Ascend/ascend-toolkit', None),
    ('root/usr/local/Ascend/cann', None),
    ('home/Ascend/ascend-toolkit', None),
    ('home/Ascend/cann', None),
    ('opt/ascend-toolkit', ('ASCEND_TOOLKIT_HOME', 'opt/ascend-toolkit')),
    ('opt/ascend-toolkit', ('ASCEND_TOOLKIT_HOME', 'opt/ascend-toolkit/latest')),
    ('opt/cann', ('ASCEND_HOME_PATH', 'opt/cann')),
])
def test_set_env_is_found(tmp_path, place, variable):
    variables = {'HOME': f'{tmp_path}/home', 'CANN_SYSTEM_ROOT': f'{tmp_path}/root', 'PATH': '/usr/bin:/bin'}
    if variable:
        variables[variable[0]] = f'{tmp_path}/{variable[1]}'
    make_cann(tmp_path / 'root', 'usr/local/Ascend/nnrt')
    assert cann.find_cann(variables) is None  # nnrt has no ATC
    make_cann(tmp_path, place, '8.5.0')
    found = cann.find_cann(dict(variables, PYTHONHOME='/other', MALLOC_MMAP_MAX_='0'))
    assert found.version == '8.5.0' and found.name == 'CANN 8.5.0'
    assert os.path.dirname(found.atc) in found.variables['PATH'] and 'ASCEND_HOME_PATH' in found.variables
    assert not {'PYTHONHOME', 'MALLOC_MMAP_MAX_'} & set(found.variables)


def test_a_set_env_that_ends_the_shell(tmp_path, capsys):
    (tmp_path / 'set_env.sh').write_text('set -e\nfalse\n')
    assert cann.find_cann({'ASCEND_HOME_PATH': str(tmp_path), 'PATH': '/usr/bin:/bin'}) is None
    assert 'set_env.sh ends with an error' in capsys.readouterr().err


def test_the_version_of_cann(tmp_path):
    home = make_cann(tmp_path, TOOLKIT).parent / 'latest'
    assert cann.find_version(str(home / 'bin/atc')) == '8.0.0'
    info, = home.glob('*/ascend_toolkit_install.info')
    info.unlink()
    (home / 'version.cfg').write_text('# version: 1.0\nruntime_running_version=[7.3.0.1.231:8.0.RC2]\n'
                                      'compiler_running_version=[7.3.0.1.231:8.0.RC2]\n')
    assert cann.find_version(str(home / 'bin/atc')) == '8.0.RC2'
    assert cann.find_version('/usr/bin/env') == ''


# ---- chip --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('npu, expected', [
    ('310', 'Ascend310'), ('310P3', 'Ascend310P3'), ('910B4-1', 'Ascend910B4-1'), ('A3', 'Ascend910_9392'),
    ('none', 'names no chip'), ('no acl', 'names no chip'), ('hang', 'does not answer within 0.5 s'),
])
def test_chips(tmp_path, monkeypatch, npu, expected):
    (tmp_path / 'acl.py').symlink_to(STAND_INS / 'acl.py')
    server = dict(os.environ, STAND_IN_NPU=npu, PYTHONPATH=str(tmp_path))
    if expected.startswith('Ascend'):
        assert cann.find_chip(server) == expected
    else:
        monkeypatch.setattr(cann, 'DRIVER_SECONDS', 0.5)
        with pytest.raises(InputError, match=f'{expected}.*--soc_version'):
            cann.find_chip(server)


# ---- errors ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('code, words', [
    ('E10001', ['--soc_version', 'exact name', '--input_format ND']), ('E10016', ['is called 0']),
    ('E10018', ['batch size', '--test-input-shape']), ('E19010', ['opset', '9 to 18', '--amct']),
    ('EZ3003', ['operator package', 'acl.get_soc_name', 'f32']), ('E40021', ['in Python', 'package']),
    ('EZ9999', ['inside CANN']), ('E19999', ['inside CANN']), ('E40001', ['CANN_PYTHON=']),
])
def test_errors_are_explained(code, words):
    line, = convert.explain_errors(f'...\n{code}: [PID: 1] 2026\n{code}: E1234 E123456 E54321\n')
    assert line.startswith(f'{code}: ') and line.endswith('.') and all(word in line for word in words)


def test_the_log_of_cann(tmp_path):
    folder = tmp_path / 'ascend/log/debug/plog'
    folder.mkdir(parents=True)
    (folder / 'plog-1_2.log').write_text('[INFO] a\n' + '[ERROR] b\n' * 20)
    lines = convert.last_errors({'HOME': str(tmp_path)}, 0)
    assert lines == [f'the last errors in {folder}/plog-1_2.log:', *['[ERROR] b'] * 15]
    assert convert.last_errors({'HOME': str(tmp_path)}, 1e12) == []


# ---- what an .om was made from -----------------------------------------------------------------------


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a model, where an ATC without a CANN makes an .om of each model."""
    def atc(found, command, folder, scratch):
        args = convert.read_arguments(command)
        (folder / f'{args.output}_linux_x.om').write_text(' '.join(command))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(convert, 'require_cann', lambda: Cann({}, '/atc', os.environ.get('VERSION', '8.0.0')))
    monkeypatch.setattr(convert, 'run_in_cann', atc)
    Path('sim.onnx').write_text('model')
    return tmp_path


def compile_model(program='atc', batch_size=1, shape='3,3', soc_version='Ascend310P3', **options):
    convert.compile_model([program, '--framework=5', '--model=sim.onnx', f'--output=r2plus1d_bs{batch_size}',
                           f'--input_shape=0:{batch_size},{shape}', '--input_format=NCHW',
                           *(f'--{name}={value}' for name, value in options.items())], Path('sim.onnx'), soc_version)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


CHANGES = {
    'model': lambda: Path('sim.onnx').write_text('another model'),
    'om': lambda: Path('r2plus1d_bs1.om').write_text('another .om'),
    'version': lambda: os.environ.update(VERSION='8.1.0'),
    'note': lambda: Path('r2plus1d_bs1.om.json').unlink(),
    'a note of no JSON': lambda: Path('r2plus1d_bs1.om.json').write_text('x'),
}


@pytest.mark.parametrize('change, options', [
    (None, {}), *((name, {}) for name in CHANGES), (None, dict(shape='3,5')), (None, dict(soc_version='Ascend910B4')),
    (None, dict(precision_mode_v2='mixed_float16')), (None, dict(input_format='ND')), (None, dict(program='aoe'))])
def test_an_om_is_kept_only_if_everything_is_the_same(work, capsys, monkeypatch, change, options):
    monkeypatch.setenv('VERSION', '8.0.0')
    compile_model()
    assert files(work) == ['r2plus1d_bs1.om', 'r2plus1d_bs1.om.json', 'sim.onnx']
    assert Path('r2plus1d_bs1.om').stat().st_mode & 0o777 == 0o640
    before = Path('r2plus1d_bs1.om').stat().st_ino
    if change:
        CHANGES[change]()
    compile_model(**options)
    kept = not change and not options
    assert (Path('r2plus1d_bs1.om').stat().st_ino == before) >= kept
    assert ('kept: ' in capsys.readouterr().out) == kept


def test_an_atc_that_makes_no_om(work, monkeypatch):
    compile_model()
    monkeypatch.setattr(convert, 'run_in_cann', lambda *_: None)
    CHANGES['model']()
    with pytest.raises(InputError, match='atc made no r2plus1d_bs1.om'):
        compile_model()
    assert files(work) == ['sim.onnx']


def test_oms_of_another_model_go(work, capsys):
    for batch_size in (1, 4):
        compile_model(batch_size=batch_size)
    Path('r2plus1d_bs8.om').write_text('made by the user')
    Path('r2plus1d_amct_deploy_model.onnx').touch()
    Path('r2plus1d_amct_deploy_model.onnx.json').write_text('{"source_sha256": "of another model"}')
    before = files(work)
    convert.set_aside(work)
    assert files(work) == ['.om_set_aside', *before[:2], 'sim.onnx']
    convert.take_back(work, Path('sim.onnx'))
    assert files(work) == sorted({*before, 'r2plus1d_bs8.om.old'} - {'r2plus1d_bs8.om', *before[:2]})
    convert.set_aside(work)
    CHANGES['model']()
    convert.take_back(work, Path('sim.onnx'))
    assert files(work) == ['r2plus1d_bs8.om.old', 'sim.onnx']
    said = capsys.readouterr().out
    assert f'{work}/r2plus1d_bs8.om has no note of what it was made from: it is now r2plus1d_bs8.om.old' in said
    assert f'{work}/r2plus1d_bs4.om was made from another model: it is removed' in said


# ---- AMCT --------------------------------------------------------------------------------------------


def make_bins(folder, count=12, dtype='float32', **info):
    info = {'bts': 1, 'dtype': dtype, 'list': 'data/ucf101/ucf101_train_split_1_rawframes.txt', **info}
    folder.mkdir()
    for i in range(count):
        np.full((1, 1, 1, 4, 4), i, dtype).tofile(folder / f'bin{i}-{i}_0.bin')
    (folder / 'info.json').write_text(json.dumps(info, indent=4))
    return folder


@pytest.fixture
def calibrate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(convert, 'find_amct', lambda: str(STAND_INS / 'amct_onnx'))
    save_model('sim.onnx')
    return lambda count: convert.calibrate([
        'calibration', '--model=sim.onnx', '--save_path=r2plus1d_amct', '--input_shape=0:1,1,1,1,4,4',
        '--data_dir=bins', f'--batch_num={count}'])


@pytest.mark.parametrize('dtype', ['float32', 'uint8'])
def test_amct(calibrate, tmp_path, capsys, dtype):
    make_bins(tmp_path / 'bins', dtype=dtype)
    calibrate(11)  # more than ten: bin10 is the eleventh, not the third
    deploy = Path('r2plus1d_amct_deploy_model.onnx')
    assert [p.key + '=' + p.value for p in onnx.load(deploy).metadata_props] == ['stand_in_amct=deploy']
    made = ['bins', *(f'r2plus1d_amct_{name}' for name in ('deploy_model.onnx', 'deploy_model.onnx.json',
                                                           'fake_quant_model.onnx', 'quant.json')), 'sim.onnx']
    assert files(tmp_path) == made
    inode = deploy.stat().st_ino
    calibrate(11)
    (tmp_path / 'bins/bin11-11_0.bin').unlink()  # which was not used
    calibrate(11)
    assert deploy.stat().st_ino == inode and capsys.readouterr().out.count('kept: ') == 2
    np.zeros(16, dtype).tofile(tmp_path / 'bins/bin1-1_0.bin')
    calibrate(11)
    assert 'kept: ' not in capsys.readouterr().out and files(tmp_path) == made


def test_too_few_bins(calibrate, tmp_path):
    make_bins(tmp_path / 'bins', count=1)
    with pytest.raises(InputError, match='has 1 bins; --calibration_samples is 2'):
        calibrate(2)


# ---- the options of pth2om.sh ------------------------------------------------------------------------


def prepare(*options, model='sim.onnx'):
    defaults = ['--batch_sizes=1', '--shape=1 1 1 4 4', '--input_format=NCHW', '--calibration_samples=2',
                '--compare_videos=5']
    return script.parse_options([*([f'--model={model}'] if model else []), *defaults, *options])


@pytest.mark.parametrize('options, words', [
    (['--model=no.onnx'], '--model no.onnx: no such file'),
    (['--amct=yes'], '--amct needs a folder that r2plus1d_preprocess.py has made'),
    (['--amct=yes', '--calibration_bins=no'], '--calibration_bins no: '),
    (['--amct=yes', '--calibration_bins=list'], 'names the test videos'),
    (['--amct=yes', '--calibration_bins=testlist'], 'names the test videos'),
    (['--amct=yes', '--calibration_bins=split'], 'names the test videos'),
    (['--amct=yes', '--calibration_bins=two'], 'one sample of float32 or uint8'),
    (['--amct=yes', '--calibration_bins=double'], 'one sample of float32 or uint8'),
    (['--calibration_samples=0'], '--calibration_samples "0"'),
    (['--aoe=yes', '--precision_mode_v2=fp16'], 'not for --aoe'),
    (['--precision_mode_v2=fp32'], '"fp32": expected one of fp16, mixed_float16, cube_fp16in_fp32out'),
    (['--precision_mode_v2=origin'], 'no 3-D convolution in f32'),
    (['--input_format=NCDHW'], '--input_format "NCDHW": expected NCHW or ND'),
    (['--soc_version=Ascend 310'], '--soc_version "Ascend 310"'),
    (['--shape=3 x'], '--shape "3 x"'), (['--batch_sizes=0'], '--batch_sizes "0"'),
    (['--compare_videos=-1'], '--compare_videos "-1"'),
])
def test_wrong_options(tmp_path, monkeypatch, capsys, options, words):
    monkeypatch.chdir(tmp_path)
    save_model('sim.onnx')
    for name, info in (('list', dict(list='data/ucf101/ucf101_val_split_1_rawframes.txt')), ('two', dict(bts=2)),
                       ('testlist', dict(list='data/testlist01.txt')), ('split', dict(split='test')),
                       ('double', dict(dtype='float64'))):
        make_bins(tmp_path / name, 1, **info)
    prepare('--amct=yes', '--calibration_bins=' + str(make_bins(tmp_path / 'good')))
    with pytest.raises(SystemExit) as e:
        prepare(*options)
    said = capsys.readouterr().err
    assert e.value.code == 2 and words in said and said.count('\n') == 1 and said.startswith('pth2om.sh: ')


def test_a_fixed_batch_size_is_seen_before_atc(tmp_path):
    for batch, sizes in (('N', ['1', '16']), (1, ['1'])):
        sample_shape.check_batch_sizes(str(save_model(tmp_path / 'sim.onnx', batch=batch)), sizes)
    words = r'sim.onnx: its batch size is fixed to 1.* for 16 .*--test-input-shape.*--batch_sizes 1'
    with pytest.raises(InputError, match=words):
        sample_shape.check_batch_sizes(str(tmp_path / 'sim.onnx'), ['1', '16'])


def test_old_pythons_can_read_what_finds_one():
    """It has to say what is wrong with the Python that runs it, too."""
    import ast
    for path in ('r2plus1d/cann.py', 'r2plus1d/convert.py', 'test/convert.py'):
        ast.parse((ROOT / path).read_text(encoding='utf-8'), feature_version=(3, 7))
    ast.parse(cann.QUESTION, feature_version=(3, 4))
