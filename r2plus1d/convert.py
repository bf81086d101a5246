# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""ONNX -> .om: the runs of ATC, AOE and AMCT, and what an .om was made from. Standard library only.

    set_aside(work_dir)                      # before an export, which may give another model
    take_back(work_dir, model)
    compile_model(['atc', '--framework=5', …], model, 'Ascend310P3')

Beside an .om lies <name>.om.json, a note of what it was made from, for what and by what. By that an .om is known that
need not be made again, and one that was made from another model, which no later step may take.
"""
import argparse
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Optional, Union

from r2plus1d.cann import Cann, explain_errors, find_amct, find_cann, last_errors, say
from r2plus1d.cann_python import REMEDY, choose_python, in_python
from r2plus1d.run import InputError

SCRATCH = '.conversion-'  # begin of the name of a temporary folder; test/pth2om.sh deletes those of a killed run
MODE = 0o640  # ais_bench refuses a model that others may write
NO_ATC = 'no atc on this machine'

# ---- notes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OmNote:
    """source_sha256 is of the model that was exported; onnx_sha256 of what was converted, such as AMCT's model."""

    source_sha256: str
    onnx_sha256: str
    input_shape: str
    soc_version: str
    cann_version: str
    made_by: str
    precision_mode_v2: str
    om_sha256: str
    input_format: str = 'NCHW'
    class_names: Optional[List[str]] = None


@dataclass(frozen=True)
class CalibrationNote:
    """What AMCT's model was made from; it lies beside that."""

    source_sha256: str
    calibration_sha256: str
    calibration_samples: int


Note = Union[OmNote, CalibrationNote]


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    sha = hashlib.sha256()
    with open(path, 'rb') as f:
        for block in iter(lambda: f.read(2**20), b''):
            sha.update(block)
    return sha.hexdigest()


def note_path(model: Path) -> Path:
    return model.with_name(model.name + '.json')


def read_note(model: Path) -> Dict[str, object]:
    """{} where there is none that can be read."""
    try:
        note = json.loads(note_path(model).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def write_note(model: Path, note: Note, scratch: Path) -> None:
    """The file appears whole or not at all."""
    part = scratch / 'note'
    part.write_text(json.dumps(asdict(note)) + '\n')
    os.replace(part, note_path(model))


# ---- the models of another export ----------------------------------------------------------------------


def list_oms(folder: Path) -> List[Path]:
    return sorted([*folder.glob('r2plus1d_bs*.om'), *folder.glob('r2plus1d_int8_bs*.om')])


def set_aside(work_dir: Path) -> None:
    """An export may give another model than that of the .om files in the folder, and may be interrupted. So they are
    first put where no later step finds them, and come back when it is known that they were made from the same model.
    """
    for om in list_oms(work_dir):
        aside = work_dir / '.om_set_aside'
        aside.mkdir(exist_ok=True)
        for path in (om, note_path(om)):
            if path.is_file():
                os.replace(path, aside / path.name)


def take_back(work_dir: Path, model: Path) -> None:
    """Those that were made from the model. Says what becomes of the others; AMCT's files of another model go."""
    source = digest(model)
    aside = work_dir / '.om_set_aside'
    for om in list_oms(aside):
        note = read_note(om)
        if not note_path(om).is_file():
            print(f'{work_dir / om.name} has no note of what it was made from: it is now {om.name}.old')
            os.replace(om, work_dir / f'{om.name}.old')
        elif note.get('source_sha256') == source:
            os.replace(om, work_dir / om.name)
            os.replace(note_path(om), note_path(work_dir / om.name))
        else:
            print(f'{work_dir / om.name} was made from another model: it is removed')
    shutil.rmtree(aside, ignore_errors=True)
    note = read_note(work_dir / 'r2plus1d_amct_deploy_model.onnx')
    if note and note.get('source_sha256') != source:
        remove(work_dir.glob('r2plus1d_amct_*'))


def remove(paths: Iterator[Path]) -> None:
    for path in list(paths):
        path.unlink()


# ---- ATC and AOE ---------------------------------------------------------------------------------------


def read_arguments(words: List[str]) -> argparse.Namespace:
    """Those arguments of ATC, AOE and AMCT that matter here, '' where one is missing."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ('model', 'output', 'input_shape', 'input_format', 'soc_version', 'precision_mode_v2', 'save_path',
                 'data_dir', 'batch_num'):
        parser.add_argument(f'--{name}', default='')
    return parser.parse_known_args(words)[0]


@contextlib.contextmanager
def scratch_in(folder: Path) -> Iterator[Path]:
    """A temporary folder, from which files can be renamed into FOLDER."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=str(folder)) as name:
        yield Path(os.path.abspath(name))


def run(command: List[str], variables: Mapping[str, str], folder: Path) -> None:
    """A program of CANN, in FOLDER. If it fails: the end of its log, what its errors mean, and an InputError."""
    started = time.time()
    output = b''
    with subprocess.Popen(command, env=dict(variables), cwd=str(folder), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                output += line
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        for text in last_errors(variables, started) + explain_errors(output.decode(errors='replace')):
            say(text)
        name = os.path.basename(command[0])
        raise InputError(f'{name} has ended with status {process.returncode}; its messages are above')


def run_in_cann(cann: Cann, command: List[str], folder: Path, scratch: Path) -> None:
    """ATC or AOE in the Python that CANN was installed for, also where a venv or a conda environment is active."""
    python = choose_python(cann, os.environ)
    if python.lacks:
        print(f'warning: ATC of {cann.name} will use {python}; if it fails, {REMEDY}', flush=True)
    else:
        print(f'ATC of {cann.name} will use {python}', flush=True)
    run(command, in_python(cann, python, str(scratch)), folder)


def made_om(output: Path) -> Optional[Path]:
    """The file that ATC has made for --output: <output>.om, or <output>_linux_<machine>.om, as CANN 7 and later call a
    model that holds libraries of the host.
    """
    names = [output.name + '.om', *(path.name for path in output.parent.glob(output.name + '_linux_*.om'))]
    return next((output.parent / name for name in names if (output.parent / name).is_file()), None)


def run_atc(words: List[str]) -> None:
    """ATC with these arguments, as they are. The model is then <output>.om, and only its owner may write it."""
    cann = find_cann(os.environ)
    if cann is None:
        raise InputError(f'{NO_ATC}: is CANN\'s toolkit installed? Its set_env.sh was looked for in '
                         'ASCEND_TOOLKIT_HOME, ~/Ascend and /usr/local/Ascend')
    output = Path(read_arguments(words).output)
    if output.name:
        remove(iter(path for path in [made_om(output)] if path))
    with tempfile.TemporaryDirectory() as scratch:
        run_in_cann(cann, ['atc', *words], Path(), Path(scratch))
    om = made_om(output) if output.name else None
    if om:
        om.chmod(MODE)
        os.replace(om, f'{output}.om')


def compile_model(command: List[str], source: Path, soc_version: str, names: Optional[List[str]] = None) -> None:
    """atc or aoe with its arguments, unless the .om is there already. SOURCE: the exported model; NAMES: its classes.

    The program works in a temporary folder, where it leaves kernel_meta and other files, and is given a relative
    --output: it looks for ".om" in the whole path.
    """
    cann = find_cann(os.environ)
    if cann is None:
        raise InputError(NO_ATC)
    args = read_arguments(command)
    om = Path(f'{args.output}.om')
    note = OmNote(source_sha256=digest(source), onnx_sha256=digest(Path(args.model)), input_shape=args.input_shape,
                  soc_version=soc_version, cann_version=cann.version, made_by=command[0], om_sha256='',
                  precision_mode_v2=args.precision_mode_v2, input_format=args.input_format, class_names=names)
    noted = {'input_format': 'NCHW', 'class_names': None, **read_note(om)}  # older notes lack these
    if om.is_file() and noted == asdict(replace(note, om_sha256=digest(om))):
        print(f'kept: {om}, made from the same model by the same CANN', flush=True)
        return
    remove(path for path in (om, note_path(om)) if path.exists())
    with scratch_in(om.parent) as scratch:
        moved = [word for word in command if not word.startswith(('--model=', '--output='))]
        run_in_cann(cann, [*moved, f'--model={os.path.realpath(args.model)}', f'--output={om.stem}'], scratch, scratch)
        made = made_om(scratch / om.stem)
        if made is None:
            raise InputError(f'{command[0]} made no {om.name}')
        made.chmod(MODE)
        os.replace(made, om)
        write_note(om, replace(note, om_sha256=digest(om)), scratch)


# ---- AMCT ----------------------------------------------------------------------------------------------


def list_bins(folder: Path, count: int) -> List[Path]:
    """The first COUNT bins, in the natural order of their names. Raises InputError where there are fewer."""
    bins = sorted(folder.glob('*.bin'), key=lambda path: [int(n) for n in re.findall(r'\d+', path.name)])
    if len(bins) < count:
        raise InputError(f'--calibration_bins {folder}: has {len(bins)} bins; --calibration_samples is {count}')
    return bins[:count]


def sample_type(path: Path, shape: List[int]) -> str:
    """float32 or uint8: what the sample of a bin is, by its size."""
    size = path.stat().st_size
    elements = functools.reduce(int.__mul__, shape, 1)
    types = {4 * elements: 'float32', elements: 'uint8'}
    if size not in types:
        raise InputError(f'{path}: {size} bytes are not one sample of {" x ".join(map(str, shape))}; AMCT needs '
                         'bins of r2plus1d_preprocess.py --bts=1')
    return types[size]


def calibrate(command: List[str]) -> None:
    """amct_onnx calibration with its arguments but --data_types, which the bins tell. It makes
    <save_path>_deploy_model.onnx, int8 for ATC, unless that is there already.

    AMCT works in a temporary folder, on links to the bins: it takes every file of its folder for data (info.json is
    none), and writes a folder amct_log.
    """
    args = read_arguments(command)
    save = Path(args.save_path)
    deploy = save.with_name(save.name + '_deploy_model.onnx')
    bins = list_bins(Path(args.data_dir), int(args.batch_num))
    sha = hashlib.sha256()
    for path in bins:
        sha.update(path.read_bytes())
    note = CalibrationNote(digest(Path(args.model)), sha.hexdigest(), len(bins))
    if deploy.is_file() and read_note(deploy) == asdict(note):
        print(f'kept: {deploy}, made from the same model and bins', flush=True)
        return
    remove(save.parent.glob(save.name + '_*'))
    shape = [int(number) for number in args.input_shape.rpartition(':')[2].split(',')]
    with scratch_in(save.parent) as scratch:
        (scratch / 'calibration').mkdir()
        for i, path in enumerate(bins):
            (scratch / f'calibration/{i:06}.bin').symlink_to(path.resolve())
        run([find_amct() or command[0], 'calibration', '--model', os.path.realpath(args.model), '--save_path',
             f'./{save.name}', '--input_shape', args.input_shape, '--data_dir', './calibration', '--data_types',
             sample_type(bins[0], shape), '--batch_num', str(len(bins))], os.environ, scratch)
        if not (scratch / deploy.name).is_file():
            raise InputError(f'amct_onnx made no {deploy.name}')
        for path in scratch.glob(save.name + '_*'):
            path.chmod(MODE)
            os.replace(path, save.with_name(path.name))
        write_note(deploy, note, scratch)
