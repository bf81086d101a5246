# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins of atc and aoe share: the checks that ATC makes, its messages, and the .om.

An .om of a stand-in is JSON with the path of the ONNX file and the shape of its input: the stand-in of aclruntime
computes with that file. The messages are those of CANN's documents and of the published source of its graph engine
(the repositories ge and parser), but for that of E10018, whose words were not found. A convolution in three dimensions
has no f32 (CANN's page of ONNX Conv).

Where the program lies in a toolkit that cann.py has made, it demands of its Python what CANN's documents demand for
the version of that toolkit. These variables ask for more:
    STAND_IN_CANN_OPS        the only chips, such as 'Ascend310P3 Ascend910B4', whose operator package is installed
    STAND_IN_ATC_FAIL        an error code, such as E40021, to fail with
    STAND_IN_ATC_NEEDS_ND    if set, no --input_format but ND is taken
    STAND_IN_ATC_SUFFIX      if set, the .om is called <output>_linux_<arch>.om
    STAND_IN_ATC_HANG        if set, half of the .om is written and nothing more happens
    STAND_IN_ATC_MODE        mode of a new .om, such as 666 (default: 600, as in ge's file_saver.cc)
"""
import argparse
import hashlib
import importlib
import json
import os
import pathlib
import platform
import re
import sys
import time

from onnx_graph import read_graph

# What CANN's guides ask of a Python, with versions that fit.
PACKAGES = {'numpy': '1.24.4', 'attr': '23.1.0', 'decorator': '5.1.1', 'sympy': '1.12', 'cffi': '1.16.0',
            'yaml': '6.0.1', 'pathlib2': '2.3.7', 'psutil': '5.9.8', 'google.protobuf': '3.20.3', 'scipy': '1.10.1',
            'requests': '2.31.0', 'absl': '2.1.0'}
CHIPS = re.compile(r'Ascend(310|310P[1357]|310B[1-4]|910|910A|910B|910(Pro|Premium)[AB]|910B[1-4]|910B2C|910B4-1|'
                   r'910_93[5-9]\d|950(PR|DT)_95\d\d)')
OPERATORS = {'Conv', 'Relu', 'Add', 'MaxPool', 'GlobalAveragePool', 'Gemm', 'Reshape', 'Shape', 'Gather', 'Unsqueeze',
             'Concat', 'Constant', 'Cast', 'Sub', 'Mul'}
KEEP_F32 = ('origin', 'must_keep_origin_dtype')
PRECISION_MODES = ['fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16', 'cube_hif8',
                   'mixed_hif8']
QUANTIZED = 'stand_in_amct'  # in the metadata of what the stand-in of AMCT writes


class AtcError(Exception):
    def __init__(self, code, message):
        super().__init__(code, message)
        self.code, self.message = code, message


def invalid(parameter, value, reason):
    return AtcError('E10001', f'Value [{value}] for parameter [{parameter}] is invalid. Reason: {reason}')


def make_parser(program, formats):
    """The options that ATC and AOE have in common."""
    parser = argparse.ArgumentParser(prog=program, allow_abbrev=False)
    parser.add_argument('--framework', choices=['5'], required=True)
    parser.add_argument('--model', required=True)
    parser.add_argument('--output', required=True)
    parser.add_argument('--input_format', choices=formats, default='NCHW')
    parser.add_argument('--input_shape', required=True)
    parser.add_argument('--log', choices=['debug', 'info', 'warning', 'error', 'null'], default='null')
    return parser


def toolkit_version():
    """The version of the toolkit that the program lies in, such as (8, 0), or None."""
    for folder in pathlib.Path(sys.argv[0]).absolute().parents:
        for path in folder.glob('*-linux/ascend_toolkit_install.info'):
            match = re.search(r'^version=(\d+)\.(\d+)', path.read_text(), re.M)
            return int(match[1]), int(match[2])
    return None


def check_python(version):
    """The Python that runs this is the first python3 on the PATH, which ATC would start."""
    message = 'Failed to import Python module [te_fusion.fusion_manager]. Reason: '
    for name in PACKAGES if version else ():
        try:
            package = importlib.import_module(name)
        except ImportError as e:
            raise AtcError('E40020', f'{message}[ModuleNotFoundError: {e}].')
        newest = (1, 24) if version < (8, 5) else (1, 99) if version < (9, 0) else (99, 0)
        if name == 'numpy' and tuple(map(int, package.__version__.split('.')[:2])) > newest:
            raise AtcError('E40020', f'{message}[AttributeError: `np.float_` was removed in the NumPy 2.0 release. Use '
                           '`np.float64` instead.].')


def check_chip(soc_version):
    if not CHIPS.fullmatch(soc_version):
        raise invalid('--soc_version', soc_version, 'The value is not a supported chip.')
    installed = os.environ.get('STAND_IN_CANN_OPS')
    if installed and soc_version not in installed.split():
        raise AtcError('EZ3003', 'No supported Ops kernel and engine are found for [Conv_0], optype [Conv2D].')


def check_opset(graph, version):
    newest = 13 if version and version < (7, 0) else 18
    known = OPERATORS | ({'AscendQuant', 'AscendDequant'} if QUANTIZED in graph.metadata else set())
    for name in graph.op_types:
        if name not in known or not 9 <= graph.opset <= newest:
            raise AtcError('E19010', f'No parser is registered for Op [{name}_0, optype '
                           f'[ai.onnx::{graph.opset}::{name}]].')


def check_shape(graph, input_shape):
    """The static shape from a text such as 0:1,3,3,8,256,256."""
    name, _, numbers = input_shape.rpartition(':')
    if not name or not re.fullmatch(r'-?\d+(,-?\d+)*', numbers):
        raise AtcError('E10002', f'Value [{input_shape}] for parameter [--input_shape] is invalid. Reason: the format '
                       'is wrong. The value must be formatted as ["input_name1:n1,c1,h1,w1;input_name2:n2,c2,h2,w2"].')
    if name not in graph.inputs:
        raise AtcError('E10016', f'Opname [{name}] specified in [--input_shape] is not found in the model. Confirm '
                       "whether this node name exists, or node is not split with the specified delimiter ';'.")
    shape = [int(n) for n in numbers.split(',')]
    expected = graph.inputs[name]
    if min(shape) < 1:
        raise invalid('--input_shape', input_shape, 'a dimension is not fixed')
    if len(shape) != len(expected):
        raise invalid('--input_shape', input_shape, f'the shape in the model is {expected}')
    if any(want and want != have for want, have in zip(expected, shape)):
        raise AtcError('E10018', f'Value [{numbers}] of [--input_shape] differs from that in the model, {expected}.')
    return shape


def check_paths(model, output):
    for parameter, path in (('--model', model), ('--output', output)):
        if not re.fullmatch(r'[\w./-]+', path):
            raise invalid(parameter, path, 'The path contains invalid characters.')
    if not os.path.isfile(model):
        raise invalid('--model', model, 'The file does not exist.')
    if os.path.isdir(output) or output.endswith('/'):
        raise invalid('--output', output, 'The value is a folder.')


def om_path(output):
    """<output>.om, or with the platform before the first .om of the path, as the graph engine puts it there."""
    path = output + '.om'
    if os.environ.get('STAND_IN_ATC_SUFFIX'):
        position = path.index('.om')
        path = f'{path[:position]}_linux_{platform.machine()}{path[position:]}'
    return path


def write_om(args, shape):
    model, path = pathlib.Path(args.model).absolute(), pathlib.Path(om_path(args.output))
    content = json.dumps({'onnx': str(model), 'onnx_sha256': hashlib.sha256(model.read_bytes()).hexdigest(),
                          'shape': shape, 'soc_version': args.soc_version,
                          'precision_mode_v2': args.precision_mode_v2, 'input_format': args.input_format})
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = int(os.environ.get('STAND_IN_ATC_MODE', '600'), 8)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode), 'w') as f:
        if os.environ.get('STAND_IN_ATC_HANG'):
            f.write(content[:len(content) // 2])
            f.flush()
            time.sleep(600)
        f.write(content)


def convert(args):
    """Check the arguments; write the .om, and litter into the folder that the program is started in."""
    pathlib.Path('kernel_meta').mkdir(exist_ok=True)
    pathlib.Path('fusion_result.json').write_text('[]')
    version = toolkit_version()
    check_paths(args.model, args.output)
    if args.precision_mode_v2 and args.precision_mode_v2 not in PRECISION_MODES:
        raise invalid('--precision_mode_v2', args.precision_mode_v2, f'The value must be in {PRECISION_MODES}.')
    check_chip(args.soc_version)
    check_python(version)
    try:
        graph = read_graph(args.model)
    except ValueError as e:
        raise AtcError('E16005', f'The model has [0] [--domain_version] fields, but only one is allowed. ({e})')
    if graph.external_weights:
        raise invalid('--model', args.model, 'The weights are in another file.')
    check_opset(graph, version)
    if graph.has_3d_convolution and {args.precision_mode, args.precision_mode_v2} & set(KEEP_F32):
        raise AtcError('EZ3003', 'No supported Ops kernel and engine are found for [Conv_0], optype [Conv3D].')
    if os.environ.get('STAND_IN_ATC_NEEDS_ND') and args.input_format != 'ND':
        raise invalid('--input_shape', args.input_shape, f'The input format [{args.input_format}] has 4 dimensions.')
    shape = check_shape(graph, args.input_shape)
    code = os.environ.get('STAND_IN_ATC_FAIL')
    if code:
        raise AtcError(code, 'Failed on demand of the test.')
    write_om(args, shape)


def write_log(error):
    """A line of the log that CANN's programs write, in ASCEND_PROCESS_LOG_PATH or ~/ascend/log as documented."""
    folder = os.environ.get('ASCEND_PROCESS_LOG_PATH')
    if not folder and not toolkit_version():
        return  # not on a server of stand-ins: the home is that of the person who runs the tests
    folder = pathlib.Path(folder or os.path.expanduser('~/ascend/log'), 'debug', 'plog')
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'plog-{os.getpid()}_{time.strftime("%Y%m%d%H%M%S")}000.log').write_text(
        f'[ERROR] GE({os.getpid()},atc.bin):[graph_compiler.py]{error.code}: {error.message}\n')


def print_error(error):
    write_log(error)
    print('...')
    print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
    print(f'{error.code}: [PID: {os.getpid()}] {time.strftime("%Y-%m-%d-%H:%M:%S")}.000.000 {error.message}')
    print('        TraceBack (most recent call last):')
    print(f'        {error.message}')
