# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What test/pth2om.sh and test/atc.sh ask of r2plus1d/convert.py. It needs no package beside Python's own.

    python3 test/convert.py set_env                     # the path of CANN's set_env.sh, or nothing
    python3 test/convert.py prepare --batch_sizes="1 16" --model=r2plus1d_sim.onnx …   # prints the chip
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
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, Optional

if sys.version_info < (3, 7):
    sys.exit('python3 is older than 3.7: name another one by CANN_PYTHON=/path/python3')
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from r2plus1d import cann, convert
from r2plus1d.run import InputError, log, script_main

PRECISION_MODES = ('', 'fp16', 'mixed_float16', 'cube_fp16in_fp32out', 'mixed_bfloat16', 'cube_hif8', 'mixed_hif8')
NUMBERS = r'([1-9]\d* *)+'
FORMS = {
    'shape': (f'| *{NUMBERS}', 'views, RGB, frames, height and width, with spaces between'),
    'batch_sizes': (f' *{NUMBERS}', 'numbers with spaces between'),
    'soc_version': (r'[\w-]*', 'a name such as Ascend310P3'),
    'input_format': (r'NCHW|ND', 'NCHW or ND'),
    'precision_mode_v2': ('|'.join(PRECISION_MODES), f'one of {", ".join(PRECISION_MODES[1:])}. (ATC has no 3-D '
                                                     'convolution in f32, which origin would keep)'),
    'calibration_samples': (r'[1-9]\d*', 'a number of 1 or more'),
    'compare_videos': (r'\d+', 'a number, 0 for none'),
}


def parse_options(words: List[str]) -> argparse.Namespace:
    """The options of pth2om.sh. Exits with status 2 where one is wrong."""
    parser = argparse.ArgumentParser(prog='pth2om.sh', usage=argparse.SUPPRESS)
    for name in ('config', 'checkpoint', 'model', 'work_dir', 'amct', 'calibration_bins', 'aoe', *FORMS):
        parser.add_argument(f'--{name}', default='')
    args = parser.parse_args(words)
    for name, (form, expected) in FORMS.items():
        if not re.fullmatch(form, getattr(args, name)):
            parser.error(f'--{name} "{getattr(args, name)}": expected {expected}')
    for name in ('model',) if args.model else ('config', 'checkpoint'):
        if not os.path.isfile(getattr(args, name)):
            parser.error(f'--{name} {getattr(args, name)}: no such file')
    if args.aoe and args.precision_mode_v2:
        parser.error('--precision_mode_v2 is not for --aoe: AOE has no such option')
    if args.amct:
        try:
            convert.type_of_bins(Path(args.calibration_bins))
        except (OSError, ValueError, InputError) as e:
            parser.error(f'--calibration_bins {args.calibration_bins}: {e}; --amct needs a folder that '
                         'r2plus1d_preprocess.py has made with --bts=1 from training videos')
    return args


def is_onnx(path: Path) -> bool:
    """By its first byte, the tag of ir_version; an empty file is what a full disk leaves."""
    if not path.is_file():
        return False
    with open(path, 'rb') as f:
        return f.read(1) in (b'', b'\x08')


def check_ours(folder: Path, exports: bool) -> None:
    """Raise InputError where a file that pth2om.sh removes has other content than it writes.

    EXPORTS: whether those are ONNX files, too.
    """
    for path in (folder / 'r2plus1d.onnx', folder / 'r2plus1d_sim.onnx') if exports else ():
        if path.exists() and not is_onnx(path):
            raise InputError(f'{path}: exists and is no ONNX model, which would be written there; move it away')
    path = folder / 'compare.json'
    try:
        is_ours = not path.exists() or not path.stat().st_size or 'models' in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        is_ours = False
    if not is_ours:
        raise InputError(f'{path}: exists and is no report of r2plus1d_compare.py; move it away')


def names_of(path: str) -> Optional[List[str]]:
    """The names of a model's classes; None where it has none, or where the packages to read it are missing."""
    try:
        from r2plus1d.class_names import read_class_names
        return read_class_names(path) or None
    except ImportError:
        return None


def find_soc_version(args: argparse.Namespace) -> str:
    """The chip for --soc_version, '' where there is no ATC. Raises InputError where the conversion lacks something: it
    would be noticed after the export, which takes minutes.
    """
    if not (args.model or args.amct or args.aoe) and not cann.find_cann(os.environ):
        log('no atc on this machine: r2plus1d_sim.onnx is the model to run here; convert it where CANN is')
        return ''
    found = cann.require_cann()
    if args.amct:
        convert.find_amct()
    if args.aoe and not cann.which('aoe', found.variables):
        raise InputError('no aoe: --aoe needs all of CANN\'s toolkit')
    python = cann.choose_python(found, os.environ)
    given = args.soc_version and 'Ascend' + re.sub('^Ascend', '', args.soc_version)
    if given and not args.aoe:
        return str(given)
    with tempfile.TemporaryDirectory() as folder:
        chip = cann.find_chip(cann.in_python(found, python, folder))
    if given not in ('', chip):
        raise InputError(f'--soc_version {args.soc_version}: --aoe tunes for the chip of this machine, {chip}')
    return chip


def prepare(words: List[str]) -> None:
    args = parse_options(words)
    check_ours(Path(args.work_dir), not args.model)
    print(find_soc_version(args))


def print_set_env() -> None:
    path = cann.find_set_env(os.environ)
    print(path if path and cann.read_set_env(path, os.environ) else '')


STEPS: Dict[str, Callable[..., None]] = {
    'prepare': lambda *words: prepare(list(words)),
    'set_env': print_set_env,
    'set_aside': lambda folder: convert.set_aside(Path(folder)),
    'take_back': lambda folder, model: convert.take_back(Path(folder), Path(model)),
    'om': lambda source, chip, *command: convert.compile_model(list(command), Path(source), chip,
                                                                         names_of(source)),
    'amct_onnx': lambda *words: convert.calibrate(list(words)),
    'atc': lambda *words: convert.run_atc(list(words)),
}


@script_main
def main() -> None:
    step, *words = sys.argv[1:] or ['']
    STEPS.get(step, lambda *_: print(__doc__))(*words)


if __name__ == '__main__':
    main()
