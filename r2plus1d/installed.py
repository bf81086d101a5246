# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The packages of an environment: what set-up keeps, what it installs, and whether all is there.

Of the standard library and pip only, since it runs before any package is installed. setup.sh calls

    python -m r2plus1d.installed plan FOLDER    # writes FOLDER/requirements.txt, kept.txt and pins.txt for pip
    python -m r2plus1d.installed check find     # or import

An environment may hang on its packages: torch_npu on one PyTorch, CANN on one NumPy. So each package that is there
keeps its version, unless requirements.txt refuses it.
"""
import contextlib
import importlib.util
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Dict, List

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement
from pip._vendor.packaging.utils import canonicalize_name
from pip._vendor.packaging.version import InvalidVersion, Version

TESTED_PYTHON = (3, 11)  # what constraints.txt was tested on
OURS = {'mmcv', 'mmcv-full', 'mmaction2'}  # what set-up itself installs, and mends
# mmcv's setup.py needs pkg_resources, which setuptools 82 no longer has and 80 warns about.
TOOLS = [Requirement('setuptools>=64,<80'), Requirement('wheel')]
OPENCV = {'opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless'}
# Packages that come under several names: {what is imported: the name in requirements.txt}
OTHER_NAMES = {'cv2': 'opencv-python-headless', 'onnxruntime': 'onnxruntime'}
# mmcv 1.3.8 and older ask PyTorch's SyncBatchNorm for a method that PyTorch 1.12 no longer has.
OLDEST_MMCV, NEWEST_TORCH = Version('1.3.9'), Version('1.12')
NEEDED = ['torch.onnx', 'numpy', 'cv2', 'av', 'simplejpeg', 'xxhash', 'filelock', 'onnx.version_converter',
          'onnxruntime', 'tqdm', 'jinja2', 'matplotlib.pyplot', 'mmcv', 'mmaction.apis', 'tools.data.parse_file_list']
NEEDED_ON_X86_64 = ['onnxsim', 'openvino']
CHECK = """
import importlib.util
import sys
for name in sys.argv[2:]:
    try:
        if sys.argv[1] == 'import':
            importlib.import_module(name)
        elif not importlib.util.find_spec(name.split('.')[0]):
            raise ImportError(name)
    except Exception as e:
        sys.exit(f'setup.sh: {name} does not import: {type(e).__name__}: {e}')
"""


def installed_versions() -> Dict[str, Version]:
    """{name: version} of all packages of this environment; those of no valid version are left out."""
    found: Dict[str, Version] = {}
    for package in metadata.distributions():
        try:
            found[canonicalize_name(package.metadata['Name'])] = Version(package.version)
        except (InvalidVersion, TypeError):
            continue
    return found


def users_of(name: str) -> List[str]:
    """The installed packages that need the package, ours apart; pip looks only at what it installs."""
    found = set()
    for package in metadata.distributions():
        for line in package.requires or ():
            with contextlib.suppress(InvalidRequirement):
                needed = Requirement(line)
                is_meant = not needed.marker or needed.marker.evaluate({'extra': ''})
                if is_meant and canonicalize_name(needed.name) == name:
                    found.add(canonicalize_name(package.metadata['Name']))
    return sorted(found - OURS)


def read_requirements(path: Path) -> List[Requirement]:
    """The lines of a file of requirements that are for this machine and Python."""
    lines = [line.partition('#')[0].strip() for line in path.read_text(encoding='utf-8').splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return [one for one in requirements if one.marker is None or one.marker.evaluate()]


def refuse_other_mmcv(installed: Dict[str, Version], root: Path) -> None:
    """Another mmcv would be imported in the place of ./mmcv; one of 2021 needs a PyTorch of 2021."""
    for name in ('mmcv', 'mmcv-full', 'mmcv-lite'):
        file = Path(str(metadata.distribution(name).locate_file('mmcv/__init__.py'))) if name in installed else root
        if file.is_file() and root / 'mmcv' not in file.resolve().parents:
            sys.exit(f'setup.sh: {name} {installed[name]} is installed, which would take the place of ./mmcv with our '
                     f'patches; remove it: {sys.executable} -m pip uninstall {name}')
    version = root / 'mmcv/mmcv/version.py'
    found = re.search(r"__version__ = '([\w.]+)'", version.read_text(encoding='utf-8')) if version.exists() else None
    if found and Version(found[1]) < OLDEST_MMCV and installed.get('torch', NEWEST_TORCH) >= NEWEST_TORCH:
        sys.exit(f'setup.sh: ./mmcv is mmcv {found[1]}: a fault in its SyncBN limits it to PyTorch before 1.12, and '
                 f'{installed.get("torch", "none")} is installed; install an older PyTorch first, or move ./mmcv away, '
                 'and set-up unpacks mmcv 1.7.2')


def plan(root: Path, folder: Path) -> None:
    """Write what pip is to install, what it has to leave, and which versions were tested."""
    installed = installed_versions()
    refuse_other_mmcv(installed, root)
    opencv = [f'{name} {installed[name]}' for name in sorted(OPENCV & set(installed))]
    if len(opencv) > 1:
        print(f'    {" and ".join(opencv)} are installed over each other, and write the same files: keep one, '
              'uninstall them all and install that one again if cv2 does not import')
    kept = {name: version for name, version in installed.items() if name not in OURS | {'pip'}}
    requirements = read_requirements(root / 'requirements.txt') + TOOLS
    for module, name in OTHER_NAMES.items():
        if name not in installed and importlib.util.find_spec(module):
            requirements = [one for one in requirements if one.name != name]
    for one in requirements:
        name = canonicalize_name(one.name)
        if name in kept and not one.specifier.contains(kept[name], prereleases=True):
            users = users_of(name)
            if users and one not in TOOLS:  # PyTorch names setuptools, and runs with any
                sys.exit(f'setup.sh: {name} {kept[name]} is installed, {one.specifier} is needed here, and '
                         f'{", ".join(users)} may need the one that is there. Nothing was changed. Install another '
                         f'{name} yourself, or use an environment of its own: deactivate, and run set-up again')
            print(f'    {name} {kept.pop(name)} will be replaced: {one.specifier} is needed here')
    for one in TOOLS:
        kept.pop(one.name, None)  # any that fits will do
    tested = read_requirements(root / 'constraints.txt') if sys.version_info[:2] == TESTED_PYTHON else []
    for path, lines in (('requirements.txt', map(str, requirements)),
                        ('kept.txt', (f'{name}=={version}' for name, version in kept.items())),
                        ('pins.txt', (str(one) for one in tested if canonicalize_name(one.name) not in installed))):
        (folder / path).write_text(''.join(f'{line}\n' for line in lines), encoding='utf-8')


def check(how: str) -> None:
    """Whether all that the scripts import is there: to find the packages takes a tenth of a second, to import seconds.

    In a Python of its own, since setuptools does not import beside pip, and from outside of the root, where the folder
    mmcv would be taken for the package.
    """
    names = NEEDED + (NEEDED_ON_X86_64 if platform.machine() == 'x86_64' else [])
    sys.exit(subprocess.run([sys.executable, '-W', 'ignore', '-c', CHECK, how, *names], cwd='/').returncode)


def main() -> None:
    command, argument = sys.argv[1:]
    if command == 'plan':
        plan(Path.cwd(), Path(argument))
    else:
        check(argument)


if __name__ == '__main__':
    main()
