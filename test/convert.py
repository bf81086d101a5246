# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What test/pth2om.sh and test/atc.sh ask of r2plus1d/convert.py. It needs no package beside Python's own.

    python3 test/convert.py set_env                     # the path of CANN's set_env.sh, or nothing
    python3 test/convert.py prepare --batch_sizes="1 16" --model=r2plus1d_sim.onnx …   # prints shape and chip
    python3 test/convert.py atc --framework=5 …         # ATC in the Python that CANN was installed for
    python3 test/convert.py om r2plus1d_sim.onnx Ascend310P3 atc --framework=5 …       # the same, with a note; or aoe
    python3 test/convert.py amct_onnx calibration --model=r2plus1d_sim.onnx …
    python3 test/convert.py set_aside FOLDER            # its .om files, before an export
    python3 test/convert.py take_back FOLDER r2plus1d_sim.onnx
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import List

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d import cann, cann_python, convert
from r2plus1d.run import FOLDER, InputError, script_main

PRECISION_MODES = ('', 'fp16', 'mixed_float16', 'cube_fp16in_fp32out', 'mixed_bfloat16', 'cube_hif8', 'mixed_hif8')
NUMBERS = r'([1-9]\d* *)+'
FORMS = {
    'shape': (rf' *({NUMBERS})?', 'views, RGB, frames, height and width, with spaces between'),
    'batch_sizes': (f' *{NUMBERS}', 'numbers with spaces between'),
    'soc_version': (r'[\w-]*', 'a name such as Ascend310P3'),
    'input_format': (r'NCHW|ND', 'NCHW or ND'),
    'precision_mode_v2': ('|'.join(PRECISION_MODES), f'one of {", ".join(PRECISION_MODES[1:])}. (ATC has no 3-D '
                                                     'convolution in f32, which origin would keep)'),
    'calibration_samples': (r'[1-9]\d*', 'a number of 1 or more'),
    'compare_videos': (r'\d+', 'a number, 0 for none'),
}


def check_options(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with status 2 where an option of pth2om.sh is wrong."""
    for name, (form, expected) in FORMS.items():
        value = getattr(args, name)
        if not re.fullmatch(form, value):
            parser.error(f'--{name} "{value}": expected {expected}')
    for name in ('model',) if args.model else ('config', 'checkpoint'):
        if not os.path.isfile(getattr(args, name)):
            parser.error(f'--{name} {getattr(args, name)}: no such file')
    if args.aoe and args.precision_mode_v2:
        parser.error('--precision_mode_v2 is not for --aoe: AOE has no such option')
    if args.amct:
        check_calibration(parser, args.calibration_bins)


def check_calibration(parser: argparse.ArgumentParser, folder: str) -> None:
    """A model that is calibrated on the test videos would be measured on what it was made from."""
    if not folder:
        parser.error('--amct needs --calibration_bins, a folder that r2plus1d_preprocess.py has made with --bts=1 from '
                     'training videos')
    if not os.path.isdir(folder):
        parser.error(f'--calibration_bins {folder}: no such folder')
    info = Path(folder, 'info.json')
    try:
        noted = json.loads(info.read_text()) if info.is_file() else {}
    except ValueError:
        parser.error(f'{info}: is not JSON; preprocess the videos again')
    if noted.get('split') == 'test' or re.search(r'(^|[/_])(val|test)(_|list)[^/]*$', str(noted.get('list', ''))):
        parser.error(f'--calibration_bins {folder}: its info.json names the test videos; calibrate on training videos')


def check_model(path: str, batch_sizes: str) -> None:
    """Raise InputError for an ONNX file that cannot be used, or whose batch size is fixed to another one.

    Where the packages for that are missing, as on an NPU server without this environment, ATC has to notice it.
    """
    try:
        from r2plus1d.models import load_onnx, read_onnx_input
        read_onnx_input(path)
    except ImportError:
        return
    graph = load_onnx(path).graph
    weights = {weight.name for weight in graph.initializer}
    value = next(value for value in graph.input if value.name not in weights)
    fixed = value.type.tensor_type.shape.dim[0].dim_value
    others = [size for size in batch_sizes.split() if fixed not in (0, int(size))]
    if others:
        raise InputError(f'{path}: its batch size is fixed to {fixed}, so ATC cannot convert it for {" ".join(others)} '
                         '(E10018). onnxsim fixes it with --input-shape, as the original guide has it: simplify the '
                         f'exported model with --test-input-shape, or give --batch_sizes {fixed}')


def find_soc_version(args: argparse.Namespace) -> str:
    """The chip for --soc_version, '' where there is no ATC. Raises InputError where the conversion lacks something: it
    would be noticed after the export, which takes minutes.
    """
    found = cann.find_cann(os.environ)
    if found is None:
        if args.model or args.amct or args.aoe:
            raise InputError(f'{convert.NO_ATC}: run this where CANN\'s toolkit is installed')
        return ''
    if args.amct and not cann.find_amct():
        raise InputError('no amct_onnx: --amct needs CANN\'s AMCT for ONNX')
    if args.aoe and not cann.which('aoe', found.variables):
        raise InputError('no aoe: --aoe needs all of CANN\'s toolkit')
    python = cann_python.choose_python(found, os.environ)
    given = args.soc_version and 'Ascend' + re.sub('^Ascend', '', args.soc_version)
    if given and not args.aoe:
        return str(given)
    with tempfile.TemporaryDirectory() as folder:
        chip = cann.find_chip(cann_python.in_python(found, python, folder))
    if given not in ('', chip):
        raise InputError(f'--soc_version {args.soc_version}: --aoe tunes for the chip of this machine, {chip}')
    return chip


def find_shape(args: argparse.Namespace) -> List[str]:
    """Views, RGB, frames, height and width of a sample. Raises InputError."""
    if args.shape.strip():
        return str(args.shape).split()
    python = shutil.which('python') or 'python3'
    path = args.model or args.config
    done = subprocess.run([python, f'{FOLDER}/test/sample_shape.py', f'./{path}' if path.startswith('-') else path],
                          stdout=subprocess.PIPE)
    if done.returncode:
        raise InputError('--shape is needed where that cannot be read: views, RGB, frames, height, width')
    return done.stdout.decode().split()


def prepare(words: List[str]) -> None:
    """Check the options of pth2om.sh and what the conversion needs; print the shape of a sample and the chip."""
    parser = argparse.ArgumentParser(prog='pth2om.sh', usage=argparse.SUPPRESS)
    for name in ('config', 'checkpoint', 'model', 'work_dir', 'amct', 'calibration_bins', 'aoe', *FORMS):
        parser.add_argument(f'--{name}', default='')
    args = parser.parse_args(words)
    check_options(parser, args)
    if args.model:
        check_model(args.model, args.batch_sizes)
    soc_version = find_soc_version(args)
    print(','.join(find_shape(args)), soc_version)


@script_main
def main() -> None:
    step, *words = sys.argv[1:] or ['--help']
    if step == 'prepare':
        prepare(words)
    elif step == 'set_env':
        path = cann.find_set_env(os.environ)
        print(path if path and cann.read_set_env(path, os.environ) else '')
    elif step == 'set_aside':
        convert.set_aside(Path(words[0]))
    elif step == 'take_back':
        convert.take_back(Path(words[0]), Path(words[1]))
    elif step == 'om':
        convert.compile_model(words[2:], Path(words[0]), words[1])
    elif step == 'amct_onnx':
        convert.calibrate(words)
    elif step == 'atc':
        convert.run_atc(words)
    else:
        print(__doc__)


if __name__ == '__main__':
    main()
