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
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

from r2plus1d.cann import REMEDY, Cann, choose_python, in_python, require_cann
from r2plus1d.run import InputError, log

SCRATCH = '.conversion-'  # begin of the name of a temporary folder
MODE = 0o640  # ais_bench refuses a model that others may write
DEPLOY = '_deploy_model.onnx'  # what AMCT calls its int8 model for ATC

# ---- errors of ATC -------------------------------------------------------------------------------------

# By the form of a code: what it means and what to do.
ERRORS = {
    'E10001': 'an argument has a value that ATC does not take; the message names both. --soc_version: the exact name '
              'of a chip that this CANN knows. --input_shape: if ATC refuses an input of 6 dimensions with NCHW, give '
              '--input_format ND. Paths: letters, digits and . _ - / only',
    'E10002|E10003': 'the form or the layout of an argument does not fit the model. If ATC refuses an input of 6 '
                     'dimensions with NCHW, give --input_format ND',
    'E10016': '--input_shape names an input that the model has not. The input of this project\'s models is called 0',
    'E10018': '--input_shape is not the one that is fixed in the model, most often its batch size. Simplify the '
              'exported model by python -m onnxsim --test-input-shape, which leaves the batch size open',
    'E16002|E19010': 'this CANN has no parser for an operator of the model: the opset is newer than it knows (9 to 13 '
                     'up to CANN 6, 9 to 18 from CANN 7 on; this project exports 11), or the operator is not for ATC. '
                     'An int8 model for ATC is made by --amct, not by r2plus1d_optimize.py',
    'EZ3003': 'no kernel of an operator for this chip: --soc_version is not the chip\'s exact name (see python3 -c '
              '\'import acl; print(acl.get_soc_name())\'), the operator package of the chip is not installed (from '
              'CANN 8.5 on each chip has its own), or the precision is f32, in which ATC has no 3-D convolution',
    'E40001|E40002': 'ATC found no python3 with its libpython: name the Python that CANN was installed for by '
                     'CANN_PYTHON=/path/python3, and put the folder of its libpython into LD_LIBRARY_PATH',
    'E40020|E40021': 'ATC\'s operator compiler, which runs in Python, failed: most often a package that CANN needs is '
                     'missing there or too new (see above which Python that is). The Python stack is in the log',
    'E.9999': 'an error inside CANN: often too little memory, or a toolkit, operator package and driver of versions '
              'that do not fit. The log says more',
}


def explain_errors(output: str) -> List[str]:
    """What the error codes in the output of ATC mean and what to do, a line each."""
    codes = sorted(set(re.findall(r'\b(?:E\d{5}|E[A-Z]\d{4})\b', output)))
    return [f'{code}: {text}.' for code in codes for form, text in ERRORS.items() if re.fullmatch(form, code)]


def last_errors(variables: Mapping[str, str], since: float) -> List[str]:
    """The last errors in the log that CANN has written since that time, after a line that names it."""
    folder = Path(variables.get('ASCEND_PROCESS_LOG_PATH') or f'{variables.get("HOME", "")}/ascend/log')
    logs = sorted(path for path in folder.glob('debug/plog/plog-*.log') if path.stat().st_mtime >= since)
    if not logs:
        return []
    lines = logs[-1].read_text(errors='replace').splitlines()
    return [f'the last errors in {logs[-1]}:', *[line for line in lines if '[ERROR]' in line][-15:]]


# ---- notes, and the models of another export -----------------------------------------------------------


def digest(*paths: Path) -> str:
    """The SHA-256 of what the files hold, one after another."""
    sha = hashlib.sha256()
    for path in paths:
        with open(path, 'rb') as f:
            for block in iter(lambda: f.read(2**20), b''):
                sha.update(block)
    return sha.hexdigest()


def note_path(model: Path) -> Path:
    return model.with_name(model.name + '.json')


def read_note(model: Path) -> Dict[str, Any]:
    """{} where there is none that can be read."""
    try:
        note = json.loads(note_path(model).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def write_note(model: Path, note: Dict[str, Any], scratch: Path) -> None:
    """The file appears whole or not at all."""
    (scratch / 'note').write_text(json.dumps(note) + '\n')
    os.replace(scratch / 'note', note_path(model))


def remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        path.unlink()


def list_oms(folder: Path) -> List[Path]:
    return sorted([*folder.glob('r2plus1d_bs*.om'), *folder.glob('r2plus1d_int8_bs*.om')])


def set_aside(work_dir: Path) -> None:
    """An export may give another model than that of the .om files in the folder, and may be interrupted. So they are
    first put where no later step finds them, and come back when it is known that they were made from the same model.
    """
    for path in work_dir.glob(f'{SCRATCH}*'):  # of a run that was killed
        shutil.rmtree(path)
    aside = work_dir / '.om_set_aside'
    for om in list_oms(work_dir):
        aside.mkdir(exist_ok=True)
        for path in filter(Path.is_file, (om, note_path(om))):
            os.replace(path, aside / path.name)


def take_back(work_dir: Path, model: Path) -> None:
    """Those that were made from the model. Says what becomes of the others; AMCT's files of another model go."""
    source = digest(model)
    for om in list_oms(work_dir / '.om_set_aside'):
        if not note_path(om).is_file():
            print(f'{work_dir / om.name} has no note of what it was made from: it is now {om.name}.old')
            os.replace(om, work_dir / f'{om.name}.old')
        elif read_note(om).get('source_sha256') == source:
            os.replace(om, work_dir / om.name)
            os.replace(note_path(om), note_path(work_dir / om.name))
        else:
            print(f'{work_dir / om.name} was made from another model: it is removed')
    shutil.rmtree(work_dir / '.om_set_aside', ignore_errors=True)
    if read_note(work_dir / f'r2plus1d_amct{DEPLOY}').get('source_sha256', source) != source:
        remove(work_dir.glob('r2plus1d_amct_*'))


# ---- ATC and AOE ---------------------------------------------------------------------------------------


def read_arguments(words: List[str]) -> argparse.Namespace:
    """Those arguments of ATC, AOE and AMCT that matter here, '' where one is missing."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ('model', 'output', 'input_shape', 'input_format', 'precision_mode_v2', 'save_path', 'data_dir',
                 'batch_num'):
        parser.add_argument(f'--{name}', default='')
    return parser.parse_known_args(words)[0]


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
            log(text)
        raise InputError(f'{os.path.basename(command[0])} has ended with status {process.returncode}; its messages are '
                         'above')


def run_in_cann(cann: Cann, command: List[str], folder: Path, scratch: Path) -> None:
    """ATC or AOE in the Python that CANN was installed for, also where a venv or a conda environment is active."""
    python = choose_python(cann, os.environ)
    warning, remedy = ('warning: ', f'; if it fails, {REMEDY}') if python.lacks else ('', '')
    print(f'{warning}ATC of {cann.name}: {python}{remedy}', flush=True)
    run(command, in_python(cann, python, str(scratch)), folder)


def made_om(output: Path) -> Optional[Path]:
    """The file that ATC has made for --output: <output>.om, or <output>_linux_<machine>.om, as CANN 7 and later call a
    model that holds libraries of the host.
    """
    names = [output.parent / f'{output.name}.om', *output.parent.glob(f'{output.name}_linux_*.om')]
    return next(filter(Path.is_file, names), None) if output.name else None


def run_atc(words: List[str]) -> None:
    """ATC with these arguments, as they are. The model is then <output>.om, and only its owner may write it."""
    cann = require_cann()
    output = Path(read_arguments(words).output)
    remove(filter(None, [made_om(output)]))
    with tempfile.TemporaryDirectory() as scratch:
        run_in_cann(cann, ['atc', *words], Path(), Path(scratch))
    om = made_om(output)
    if om:
        om.chmod(MODE)
        os.replace(om, f'{output}.om')


def compile_model(command: List[str], source: Path, soc_version: str, names: Optional[List[str]] = None) -> None:
    """atc or aoe with its arguments, unless the .om is there already.

    SOURCE: the exported model, which is not what is converted where AMCT has made that. SOC_VERSION: the chip, which
    AOE is not told. NAMES: of the model's classes.

    The program works in a temporary folder, where it leaves kernel_meta and other files, and is given a relative
    --output: it looks for ".om" in the whole path.
    """
    cann = require_cann()
    args = read_arguments(command)
    om = Path(f'{args.output}.om')
    note = dict(source_sha256=digest(source), onnx_sha256=digest(Path(args.model)), input_shape=args.input_shape,
                soc_version=soc_version, cann_version=cann.version, made_by=command[0],
                precision_mode_v2=args.precision_mode_v2, input_format=args.input_format, class_names=names)
    if om.is_file() and {'class_names': None, **read_note(om)} == dict(note, om_sha256=digest(om)):
        print(f'kept: {om}, made from the same model by the same CANN', flush=True)
        return
    remove(filter(Path.exists, (om, note_path(om))))
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=str(om.parent.resolve())) as name:
        scratch = Path(name)
        moved = [word for word in command if not word.startswith(('--model=', '--output='))]
        run_in_cann(cann, [*moved, f'--model={os.path.realpath(args.model)}', f'--output={om.stem}'], scratch, scratch)
        made = made_om(scratch / om.stem)
        if made is None:
            raise InputError(f'{command[0]} made no {om.name}')
        made.chmod(MODE)
        os.replace(made, om)
        write_note(om, dict(note, om_sha256=digest(om)), scratch)


# ---- AMCT ----------------------------------------------------------------------------------------------


def find_amct() -> str:
    """pip puts it into ~/.local/bin, which is not on every PATH. Raises InputError where there is none."""
    found = shutil.which('amct_onnx') or shutil.which(os.path.expanduser('~/.local/bin/amct_onnx'))
    if not found:
        raise InputError('no amct_onnx: --amct needs CANN\'s AMCT for ONNX')
    return found


def type_of_bins(folder: Path) -> str:
    """float32 or uint8. Raises InputError for bins that AMCT cannot take, or that no model may be calibrated on: it
    would be measured on what it was made from.
    """
    noted = json.loads((folder / 'info.json').read_text())
    if noted.get('split') == 'test' or re.search(r'(^|[/_])(val|test)(_|list)[^/]*$', str(noted.get('list', ''))):
        raise InputError('its info.json names the test videos')
    if noted.get('bts') != 1 or noted.get('dtype') not in ('float32', 'uint8'):
        raise InputError('its info.json does not say that a file is one sample of float32 or uint8')
    return str(noted['dtype'])


def list_bins(folder: Path, count: int) -> List[Path]:
    """The first COUNT bins, in the natural order of their names. Raises InputError where there are fewer."""
    bins = sorted(folder.glob('*.bin'), key=lambda path: [int(n) for n in re.findall(r'\d+', path.name)])
    if len(bins) < count:
        raise InputError(f'--calibration_bins {folder}: has {len(bins)} bins; --calibration_samples is {count}')
    return bins[:count]


def calibrate(words: List[str]) -> None:
    """amct_onnx with its arguments, and --data_types, which the bins tell. It makes <save_path>_deploy_model.onnx, int8
    for ATC, unless that is there already.

    AMCT works in a temporary folder, on links to the bins: it takes every file of its folder for data (info.json is
    none), and writes a folder amct_log.
    """
    args = read_arguments(words)
    save = Path(args.save_path)
    deploy = save.with_name(save.name + DEPLOY)
    bins = list_bins(Path(args.data_dir), int(args.batch_num))
    note = dict(source_sha256=digest(Path(args.model)), calibration_sha256=digest(*bins), calibration_samples=len(bins))
    if deploy.is_file() and read_note(deploy) == note:
        print(f'kept: {deploy}, made from the same model and bins', flush=True)
        return
    remove(save.parent.glob(f'{save.name}_*'))
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=str(save.parent.resolve())) as name:
        scratch = Path(name)
        (scratch / 'calibration').mkdir()
        for i, path in enumerate(bins):
            (scratch / f'calibration/{i:06}.bin').symlink_to(path.resolve())
        moved = [word for word in words if not word.startswith(('--model=', '--save_path=', '--data_dir='))]
        run([find_amct(), *moved, f'--model={os.path.realpath(args.model)}', f'--save_path=./{save.name}',
             '--data_dir=./calibration', f'--data_types={type_of_bins(Path(args.data_dir))}'], os.environ, scratch)
        if not (scratch / deploy.name).is_file():
            raise InputError(f'amct_onnx made no {deploy.name}')
        for path in scratch.glob(f'{save.name}_*'):
            path.chmod(MODE)
            os.replace(path, save.with_name(path.name))
        write_note(deploy, note, scratch)
