# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""In which Python CANN's programs run, and what that lacks. Standard library only.

    python = choose_python(cann, os.environ)
    variables = in_python(cann, python, folder)

ATC runs `python3 -V` by the PATH, loads the libpython of that version, and imports its operator compiler in it (CANN's
source: ge, compiler/opcompiler/op_compile_adapter/source/python_adapter/py_decouple.cc). That compiler needs the
packages of CANN's installation guide, appendix "Running Dependencies".
"""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

from r2plus1d.cann import Cann, which
from r2plus1d.run import FOLDER, InputError

PACKAGES = {'attr': 'attrs', 'decorator': 'decorator', 'sympy': 'sympy', 'cffi': 'cffi', 'yaml': 'pyyaml',
            'pathlib2': 'pathlib2', 'psutil': 'psutil', 'scipy': 'scipy', 'requests': 'requests', 'absl': 'absl-py'}
OLDEST = (3, 7)  # Python that ATC starts
LOADER_FOLDERS = ('/lib', '/lib64', '/usr/lib', '/usr/lib64')  # and below them
# What each Python is asked, those that are too old for CANN too.
QUESTION = """
import importlib, importlib.util, json, sys, sysconfig
def version(name):
    try:
        return importlib.import_module(name).__version__
    except Exception:
        return None
print(json.dumps({
    'version': sys.version_info[:3], 'executable': sys.executable, 'numpy': version('numpy'),
    'protobuf': version('google.protobuf'), 'folders': [sysconfig.get_config_var('LIBDIR'), sys.base_prefix + '/lib'],
    'missing': [name for name in sys.argv[1:] if not importlib.util.find_spec(name)]}))
"""


@dataclass(frozen=True)
class Python:
    """A python3: its path, what it is, what it lacks for CANN, whether that is so much that no conversion can succeed,
    and the folder of its libpython if the loader has to be told that.
    """

    path: str
    name: str
    lacks: List[str]
    unfit: bool
    library_folder: str

    def __str__(self) -> str:
        return self.name + (f' lacks {", ".join(self.lacks)}' if self.lacks else ' has the packages of CANN')


def numbers(version: str) -> Tuple[int, ...]:
    """(8, 0) from 8.0.RC2: the first two numbers, as far as there are any."""
    return tuple(int(part) for part in version.split('.')[:2] if part.isdigit())


def lacking_numpy(have: Optional[str], cann: Tuple[int, ...], python: Tuple[int, ...]) -> Tuple[List[str], bool]:
    """What is wrong with a NumPy, and whether no conversion can succeed with it.

    The guides of CANN 5 to 7 have no bound, but are older than NumPy 2, which dropped names that CANN uses. 1.25 and
    1.26 are above the bound of some guides, but have all names of 1.24: that is no reason to give up.
    """
    if have is None:
        return ['numpy'], True
    if not cann or cann >= (9, 0) or (cann >= (8, 5) and python >= (3, 13)):
        return [], False
    bound, text = ((1, 25), 'numpy<=1.24') if (8, 0) <= cann < (8, 5) else ((2, 0), 'numpy<2')
    if numbers(have) < bound:
        return [], False
    return [f'{text} (it has {have})'], numbers(have) >= (2, 0)


def lacking_protobuf(have: Optional[str], cann: Tuple[int, ...]) -> List[str]:
    """The guides want 3.20 up to CANN 9.0, and any version from 9.1 on."""
    if have is None:
        return ['protobuf']
    if cann and (8, 0) <= cann < (9, 1) and numbers(have) != (3, 20):
        return [f'protobuf==3.20.* (it has {have})']
    return []


def find_library(name: str, folders: List[Optional[str]], library_path: str) -> Optional[str]:
    """The folder of a libpython, '' where the loader finds it by itself, None where there is none.

    FOLDERS: where that of the Python itself would be, which goes before one of the same version that is elsewhere.
    """
    for folder in folders:
        if folder and os.path.exists(os.path.join(folder, name)):
            return '' if folder.startswith(LOADER_FOLDERS) else folder
    if any(folder and os.path.exists(os.path.join(folder, name)) for folder in library_path.split(':')):
        return ''
    ldconfig = shutil.which('ldconfig') or shutil.which('ldconfig', path='/sbin:/usr/sbin')
    listed = subprocess.run([ldconfig, '-p'], stdout=subprocess.PIPE).stdout if ldconfig else b''
    return '' if name.encode() in listed.split() else None


def judge_python(path: str, facts: Dict[str, Any], cann: Cann) -> Python:
    """FACTS: the answer to QUESTION."""
    version = tuple(facts['version'])
    name = 'Python {}.{}.{} ({})'.format(*version, facts['executable'])
    if version < OLDEST:
        return Python(path, name, ['the version: 3.7 is the oldest that ATC starts'], True, '')
    bounds = numbers(cann.version)
    lacks, unfit = lacking_numpy(facts['numpy'], bounds, version)
    lacks += lacking_protobuf(facts['protobuf'], bounds) + [PACKAGES[module] for module in facts['missing']]
    library = 'libpython{}.{}{}.so.1.0'.format(*version[:2], 'm' if version < (3, 8) else '')
    folder = find_library(library, facts['folders'], cann.variables.get('LD_LIBRARY_PATH', ''))
    if folder is None:
        lacks.append(library)
    return Python(path, name, lacks, unfit, folder or '')


def ask_python(path: str, cann: Cann) -> Optional[Python]:
    """None where it does not work."""
    done = subprocess.run([path, '-c', QUESTION, *PACKAGES], env=cann.variables, cwd='/', stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    try:
        facts = json.loads(done.stdout.decode().splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return judge_python(path, facts, cann)


def list_pythons(variables: Mapping[str, str], environments: List[str]) -> List[str]:
    """Every python3 on the PATH, those of an active environment last: CANN may have been installed for one of them too.

    ENVIRONMENTS: folders of venvs and conda environments, which hold PyTorch's packages, not CANN's.
    """
    inside = [os.path.realpath(f'{folder}/bin') for folder in environments if folder]
    folders = dict.fromkeys(os.path.abspath(folder) for folder in variables.get('PATH', '').split(':') if folder)
    found = [f'{folder}/python3' for folder in folders if os.access(f'{folder}/python3', os.X_OK)]
    return sorted(found, key=lambda path: os.path.realpath(os.path.dirname(path)) in inside)


REMEDY = 'install that there, or name the Python that CANN was installed for: CANN_PYTHON=/path/python3'


def choose_python(cann: Cann, variables: Mapping[str, str]) -> Python:
    """The python3 that should be the first one on the PATH, which ATC starts: $CANN_PYTHON, else the one that lacks
    least of the packages of CANN, the first one of equals. Raises InputError where none can do.

    A lacking package is no reason to stop, because ATC does not need all of them for every model. No NumPy, or one that
    CANN cannot use, is a reason: ATC's operator compiler imports it before anything else. But ATC is tried all the same
    if $CANN_PYTHON names that Python.
    """
    named = variables.get('CANN_PYTHON', '')
    if named:
        program = which(named, variables)
        if not program:
            raise InputError(f'CANN_PYTHON={named}: no such program')
        paths = [os.path.abspath(program)]
    else:
        environments = [variables.get('VIRTUAL_ENV', ''), variables.get('CONDA_PREFIX', ''), f'{FOLDER}/.venv']
        paths = list_pythons(cann.variables, environments)
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
        # ATC asks python3-config for the folder of libpython.
        for name, path in (('python3', python.path), ('python3-config', python.path + '-config')):
            if os.path.exists(path) and not os.path.lexists(f'{first}/{name}'):
                os.symlink(path, f'{first}/{name}')
    variables = dict(cann.variables, PATH=f'{first}:{cann.variables.get("PATH", "")}')
    if python.library_folder:
        variables['LD_LIBRARY_PATH'] = ':'.join(filter(None, [python.library_folder, variables.get('LD_LIBRARY_PATH')]))
    return variables
