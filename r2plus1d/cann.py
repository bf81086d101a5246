# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""CANN on this machine: where it is, for which chip it converts, and what its errors mean. Standard library only.

    cann = find_cann(os.environ)     # None where there is no ATC
    chip = find_chip(variables)      # Ascend310P3
"""
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional

from r2plus1d.run import InputError

# ---- environment and version ---------------------------------------------------------------------------

# Set by test/common.sh for PyTorch, or by an environment of another Python.
NOT_FOR_CANN = ('PYTHONHOME', 'VIRTUAL_ENV', 'PYTHONWARNINGS', 'MALLOC_MMAP_MAX_', 'MALLOC_TRIM_THRESHOLD_')


@dataclass(frozen=True)
class Cann:
    """The environment of CANN's programs, the path of ATC, and CANN's version, such as 8.0.RC2, or ''."""

    variables: Dict[str, str]
    atc: str
    version: str

    @property
    def name(self) -> str:
        return f'CANN {self.version}' if self.version else 'CANN'


def say(text: str) -> None:
    """A message among those of the shell script; standard output is for the results."""
    print(text, file=sys.stderr, flush=True)


def find_set_env(variables: Mapping[str, str]) -> Optional[str]:
    """The path of CANN's set_env.sh: by the variables that an earlier set_env.sh or an image has set, else where CANN's
    installers put it, for an ordinary user first.

    The toolkit comes before nnrt, which runs models and has no ATC. The tests put CANN_SYSTEM_ROOT before /usr/local.
    """
    home = f'{variables.get("HOME", "")}/Ascend'
    system = f'{variables.get("CANN_SYSTEM_ROOT", "")}/usr/local/Ascend'
    named = [variables[name] for name in ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH') if variables.get(name)]
    folders = [folder for name in named for folder in (name, f'{name}/..')]
    folders += [f'{home}/cann', f'{home}/ascend-toolkit', f'{system}/cann', f'{system}/ascend-toolkit', f'{home}/nnrt',
                f'{system}/nnrt']
    return next((f'{folder}/set_env.sh' for folder in folders if os.path.isfile(f'{folder}/set_env.sh')), None)


def read_set_env(path: str, variables: Mapping[str, str]) -> Optional[Dict[str, str]]:
    """The environment after set_env.sh; None where that ends with an error, which it then has said."""
    script = '. "$1" >/dev/null 2>&1; env -0'
    done = subprocess.run(['bash', '-c', script, 'bash', path], env=dict(variables), stdout=subprocess.PIPE)
    entries = [entry.partition('=') for entry in os.fsdecode(done.stdout).split('\0') if '=' in entry]
    if not entries:  # it has ended the shell that reads it
        say(f'{path} ends with an error, so CANN is not used: is it installed completely?')
        return None
    return {name: value for name, _, value in entries}


def find_cann(variables: Mapping[str, str]) -> Optional[Cann]:
    """None where there is no ATC."""
    clean = {name: value for name, value in variables.items() if name not in NOT_FOR_CANN}
    if not which('atc', clean):
        set_env = find_set_env(clean)
        clean = (read_set_env(set_env, clean) if set_env else None) or clean
    atc = which('atc', clean)
    return Cann(clean, atc, find_version(atc)) if atc else None


def which(program: str, variables: Mapping[str, str]) -> Optional[str]:
    return shutil.which(program, path=variables.get('PATH', ''))


def find_amct() -> Optional[str]:
    """pip puts it into ~/.local/bin, which is not on every PATH."""
    return shutil.which('amct_onnx') or shutil.which(os.path.expanduser('~/.local/bin/amct_onnx'))


def find_version(atc: str) -> str:
    """The version of the toolkit that ATC lies in, or ''.

    The file with it is the one of the installation guide ("Querying the Software Package Version"), else version.cfg.
    """
    form = re.compile(r'^(?:version=|compiler_running_version=.*:(?:CANN-)?)([A-Za-z0-9._-]+)\]?$', re.M)
    for start in (Path(atc), Path(os.path.realpath(atc))):
        for folder in start.parents:
            files = [*sorted(folder.glob('*-linux/ascend_toolkit_install.info')),
                     folder / 'ascend_toolkit_install.info', folder / 'version.cfg']
            for path in files:
                found = form.search(path.read_text(errors='replace')) if path.is_file() else None
                if found:
                    return found.group(1)
    return ''


# ---- chip ----------------------------------------------------------------------------------------------

DRIVER_SECONDS = 20.0  # a driver can hang
GIVE_IT = 'give the chip with --soc_version, such as Ascend310P3'
# The first row of a device: "| 0     310P3     | OK   |". Its second row and those of processes begin with two numbers,
# which a name is not, unless it is one of three digits, such as 310.
DEVICE_ROW = re.compile(r'^\| *(\d+) +(\d{3}|[A-Za-z\d-]*[A-Za-z][A-Za-z\d-]*) *\|', re.M)


def ask_driver(command: List[str], variables: Mapping[str, str]) -> str:
    """Its output, or '' if it fails. Raises InputError if it does not answer."""
    try:
        done = subprocess.run(command, env=dict(variables), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=DRIVER_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(f'{os.path.basename(command[0])} does not answer within {DRIVER_SECONDS:g} s: is the driver '
                         f'of the NPU all right? Else {GIVE_IT}')
    except OSError:
        return ''
    return done.stdout.decode(errors='replace') if done.returncode == 0 else ''


def find_chip(variables: Mapping[str, str]) -> str:
    """The name of the first chip for --soc_version, such as Ascend310P3 or, of an Atlas A3, Ascend910_9392.

    pyACL knows it exactly; it may print warnings too. Else npu-smi's tables have it. Raises InputError.
    """
    python = which('python3', variables) or 'python3'
    answer = ask_driver([python, '-c', 'import acl; print(acl.get_soc_name() or "")'], variables)
    exact = re.search(r'^Ascend[\w-]+$', answer, re.M)
    if exact:
        return exact.group()
    program = which('npu-smi', variables)
    if not program:
        raise InputError(f'no npu-smi: {GIVE_IT}')
    device = DEVICE_ROW.search(ask_driver([program, 'info'], variables))
    if not device:
        raise InputError(f'npu-smi info names no chip: {GIVE_IT}')
    board = [program, 'info', '-t', 'board', '-i', device.group(1)]
    table = ask_driver([*board, '-c', '0'], variables)
    if not board_field('Chip Name', table):
        table = ask_driver(board, variables)  # later products know no -c
    return name_chip(device.group(2), table)


def board_field(name: str, table: str) -> str:
    """The value of a field in a board's table: lines of the form "  NAME   : VALUE"."""
    found = re.search(rf'^\s*{name}\s*:[ \t]*(\S+)', table, re.M)
    return found.group(1) if found else ''


def name_chip(name: str, board: str) -> str:
    """The chip by the column Name of npu-smi info, which has it for A2 and older, and by its board's table.

    Later boards have a field NPU Name, and their name is Chip Name and NPU Name (CANN's documents of --soc_version).
    """
    npu_name, chip_name = board_field('NPU Name', board), board_field('Chip Name', board)
    if npu_name not in ('', 'NA'):
        name = f'{chip_name}_{npu_name}'
    elif chip_name.replace('Ascend', '') != name.replace('Ascend', ''):
        say(f'warning: npu-smi info calls the chip {name}, and npu-smi info -t board calls it '
            f'{chip_name or "nothing"}; if ATC fails, give it with --soc_version')
    return name if name.startswith('Ascend') else f'Ascend{name}'


# ---- errors --------------------------------------------------------------------------------------------

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
    'E40001|E40002': 'ATC found no python3 with its libpython on the PATH: name the Python that CANN was installed for '
                     'by CANN_PYTHON=/path/python3',
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
