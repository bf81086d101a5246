# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""CANN on this machine: where it is, for which chip it converts, and the Python that it needs.

    cann = find_cann(os.environ)                              # None where there is no ATC
    python = choose_python(cann, os.environ)
    chip = find_chip(in_python(cann, python, folder))         # Ascend310P3

Standard library only, and Python 3.7: it runs where CANN is.
"""
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from r2plus1d.run import FOLDER, InputError, log

# ---- environment and version ---------------------------------------------------------------------------

# Set by test/shell.sh for PyTorch, or by an environment of another Python.
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


def find_set_env(variables: Mapping[str, str]) -> Optional[str]:
    """The path of CANN's set_env.sh: by the variables that an earlier set_env.sh or an image has set, else where CANN's
    installers put it, for an ordinary user first.

    The toolkit comes before nnrt, which runs models and has no ATC. The tests put CANN_SYSTEM_ROOT before /usr/local.
    """
    homes = f'{variables.get("HOME", "")}/Ascend', f'{variables.get("CANN_SYSTEM_ROOT", "")}/usr/local/Ascend'
    named = [variables[name] for name in ('ASCEND_TOOLKIT_HOME', 'ASCEND_HOME_PATH') if variables.get(name)]
    folders = [folder for name in named for folder in (name, f'{name}/..')]
    folders += [f'{home}/{name}' for home in homes for name in ('cann', 'ascend-toolkit')]
    folders += [f'{home}/nnrt' for home in homes]
    return next((f'{folder}/set_env.sh' for folder in folders if os.path.isfile(f'{folder}/set_env.sh')), None)


def read_set_env(path: str, variables: Mapping[str, str]) -> Optional[Dict[str, str]]:
    """The environment after set_env.sh; None where that ends with an error, which it then has said."""
    script = '. "$1" >/dev/null 2>&1; env -0'
    done = subprocess.run(['bash', '-c', script, 'bash', path], env=dict(variables), stdout=subprocess.PIPE)
    entries = [entry.partition('=') for entry in os.fsdecode(done.stdout).split('\0') if '=' in entry]
    if not entries:  # it has ended the shell that reads it
        log(f'{path} ends with an error, so CANN is not used: is it installed completely?')
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


def require_cann() -> Cann:
    cann = find_cann(os.environ)
    if cann is None:
        raise InputError('no atc on this machine: is CANN\'s toolkit installed? Its set_env.sh was looked for in '
                         'ASCEND_TOOLKIT_HOME, ~/Ascend and /usr/local/Ascend')
    return cann


def which(program: str, variables: Mapping[str, str]) -> Optional[str]:
    return shutil.which(program, path=variables.get('PATH', ''))


def find_version(atc: str) -> str:
    """The version of the toolkit that ATC lies in, or ''.

    The file with it is the one of the installation guide ("Querying the Software Package Version"), else version.cfg.
    """
    form = re.compile(r'^(?:version=|compiler_running_version=.*:(?:CANN-)?)([A-Za-z0-9._-]+)\]?$', re.M)
    for folder in [*Path(atc).parents, *Path(os.path.realpath(atc)).parents]:
        for path in [*sorted(folder.glob('*-linux/ascend_toolkit_install.info')),
                     folder / 'ascend_toolkit_install.info', folder / 'version.cfg']:
            found = form.search(path.read_text(errors='replace')) if path.is_file() else None
            if found:
                return found.group(1)
    return ''


# ---- chip ----------------------------------------------------------------------------------------------

DRIVER_SECONDS = 20.0  # a driver can hang


def find_chip(variables: Mapping[str, str]) -> str:
    """The name of the first chip for --soc_version, such as Ascend310P3 or, of an Atlas A3, Ascend910_9392.

    CANN's pyACL knows it exactly; it may print warnings too. Raises InputError.
    """
    remedy = 'give the chip with --soc_version, such as Ascend310P3; npu-smi info shows it'
    command = ['python3', '-c', 'import acl; print(acl.get_soc_name() or "")']
    try:
        done = subprocess.run(command, env=dict(variables), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=DRIVER_SECONDS)
    except subprocess.TimeoutExpired:
        raise InputError(f'the driver of the NPU does not answer within {DRIVER_SECONDS:g} s; {remedy}')
    found = re.search(r'^Ascend[\w-]+$', done.stdout.decode(errors='replace'), re.M)
    if not found:
        raise InputError(f'pyACL, the module acl of CANN, names no chip of this machine; {remedy}')
    return found.group()


# ---- the Python of ATC ---------------------------------------------------------------------------------

# ATC runs `python3 -V` by the PATH, loads the libpython of that version (py_decouple.cc in CANN's repository ge), and
# imports its operator compiler, which needs the packages of CANN's installation guide, appendix "Running Dependencies".
PACKAGES = {'attr': 'attrs', 'decorator': 'decorator', 'sympy': 'sympy', 'cffi': 'cffi', 'yaml': 'pyyaml',
            'pathlib2': 'pathlib2', 'psutil': 'psutil', 'scipy': 'scipy', 'requests': 'requests', 'absl': 'absl-py'}
# The bounds of those guides: a package, the versions of CANN, those of the package, both up to but without the last. Up
# to CANN 7 they have none for NumPy, but are older than NumPy 2, which dropped names that CANN uses.
BOUNDS = [('numpy', ((0, 0), (8, 0)), ((0, 0), (2, 0)), 'numpy<2'),
          ('numpy', ((8, 0), (8, 5)), ((0, 0), (1, 25)), 'numpy<=1.24'),
          ('numpy', ((8, 5), (9, 0)), ((0, 0), (2, 0)), 'numpy<2'),
          ('protobuf', ((8, 0), (9, 1)), ((3, 20), (3, 21)), 'protobuf==3.20.*')]
REMEDY = 'install that there, or name the Python that CANN was installed for: CANN_PYTHON=/path/python3'
# What each Python is asked, those that are too old for CANN too.
QUESTION = """
import importlib, importlib.util, json, sys
def version(name):
    try:
        return importlib.import_module(name).__version__
    except Exception:
        return None
print(json.dumps({
    'version': sys.version_info[:3], 'executable': sys.executable,
    'numpy': version('numpy'), 'protobuf': version('google.protobuf'),
    'missing': [name for name in sys.argv[1:] if not importlib.util.find_spec(name)]}))
"""


@dataclass(frozen=True)
class Python:
    """A python3: its path, what it is, what it lacks for CANN, and whether so much that no conversion can succeed."""

    path: str
    name: str
    lacks: List[str]
    unfit: bool

    def __str__(self) -> str:
        return self.name + (f' lacks {", ".join(self.lacks)}' if self.lacks else ' has the packages of CANN')


def numbers(version: str) -> Tuple[int, ...]:
    """(8, 0) from 8.0.RC2: the first two numbers, as far as there are any."""
    return tuple(int(part) for part in version.split('.')[:2] if part.isdigit())


def lacking(facts: Mapping[str, Any], cann: Tuple[int, ...]) -> List[str]:
    """What is wrong with NumPy and protobuf for this version of CANN."""
    lacks = [name for name in ('numpy', 'protobuf') if facts[name] is None]
    for name, cann_versions, versions, text in BOUNDS:
        have = facts[name]
        if have and cann_versions[0] <= cann < cann_versions[1] and not versions[0] <= numbers(have) < versions[1]:
            lacks.append(f'{text} (it has {have})')
    return lacks


def judge_python(path: str, facts: Dict[str, Any], cann: Cann) -> Python:
    """FACTS: the answer to QUESTION. Without NumPy, or with one of 2 or later that CANN cannot use, no conversion can
    succeed: the operator compiler imports it first. 1.25 and 1.26 have all names of 1.24.
    """
    version = tuple(facts['version'])
    name = 'Python {}.{}.{} ({})'.format(*version, facts['executable'])
    if version < (3, 7):
        return Python(path, name, ['the version: 3.7 is the oldest that ATC starts'], True)
    lacks = lacking(facts, numbers(cann.version))
    unfit = any(text.startswith('numpy') for text in lacks) and numbers(facts['numpy'] or '2.0') >= (2, 0)
    return Python(path, name, lacks + [PACKAGES[name] for name in facts['missing']], unfit)


def ask_python(path: str, cann: Cann) -> Optional[Python]:
    """None where it does not work."""
    done = subprocess.run([path, '-c', QUESTION, *PACKAGES], env=cann.variables, cwd='/', stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    try:
        return judge_python(path, json.loads(done.stdout.decode().splitlines()[-1]), cann)
    except (ValueError, IndexError):
        return None


def list_pythons(variables: Mapping[str, str], environments: List[str]) -> List[str]:
    """Every python3 on the PATH, those of venvs and conda environments last: they hold PyTorch's packages."""
    inside = [os.path.realpath(f'{folder}/bin') for folder in environments if folder]
    folders: Dict[str, str] = {}  # by what they are: /bin may be a link to /usr/bin
    for folder in filter(None, variables.get('PATH', '').split(':')):
        folders.setdefault(os.path.realpath(folder), os.path.abspath(folder))
    found = [f'{folder}/python3' for folder in folders.values() if os.access(f'{folder}/python3', os.X_OK)]
    return sorted(found, key=lambda path: os.path.realpath(os.path.dirname(path)) in inside)


def choose_python(cann: Cann, variables: Mapping[str, str]) -> Python:
    """The python3 for ATC: $CANN_PYTHON, whatever it lacks, else the one that lacks least, the first of equals.

    Raises InputError where none can do. ATC does not need all of the packages for every model.
    """
    named = variables.get('CANN_PYTHON', '')
    environments = [variables.get('VIRTUAL_ENV', ''), variables.get('CONDA_PREFIX', ''), f'{FOLDER}/.venv']
    program = which(named, variables) if named else None
    if named and not program:
        raise InputError(f'CANN_PYTHON={named}: no such program')
    paths = [os.path.abspath(program)] if program else list_pythons(cann.variables, environments)
    pythons = [python for python in (ask_python(path, cann) for path in paths) if python]
    if not pythons:
        raise InputError(f'ATC of {cann.name} starts python3, and none of {" ".join(paths) or "the PATH"} works; '
                         f'{REMEDY}')
    python = min(pythons, key=lambda python: (python.unfit, bool(python.lacks)))
    if python.unfit and not named:
        raise InputError(f'ATC of {cann.name} cannot use {python}; {REMEDY}')
    return python


def in_python(cann: Cann, python: Python, folder: str) -> Dict[str, str]:
    """The environment in which python3 is PYTHON. FOLDER: a temporary one, for a python3 that has another name, such as
    /usr/bin/python3.9 beside a /usr/bin/python3 that is Python 3.6.
    """
    first = os.path.dirname(python.path)
    if os.path.realpath(f'{first}/python3') != os.path.realpath(python.path):
        first = os.path.join(folder, 'python')
        os.makedirs(first, exist_ok=True)
        os.symlink(python.path, f'{first}/python3')
        if os.path.exists(f'{python.path}-config'):  # ATC asks it for the folder of libpython
            os.symlink(f'{python.path}-config', f'{first}/python3-config')
    return dict(cann.variables, PATH=f'{first}:{cann.variables.get("PATH", "")}')
