# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Makes a CANN of stand-ins: a toolkit where its installers put it, and the Python that it was installed for.

    from cann import make_cann, make_python
    make_cann(root, 'usr/local/Ascend/ascend-toolkit', '8.0.0')
    make_python(folder, numpy='1.24.4')

Their packages are empty modules with a version: the programs only look at what is there.
"""
import pathlib
import platform
import sys
import venv

from graph_compiler import PACKAGES

HERE = pathlib.Path(__file__).resolve().parent
MACHINE = platform.machine() + '-linux'
SET_ENV = """# {place} {version}
export LD_LIBRARY_PATH={home}/lib64:$LD_LIBRARY_PATH
export PYTHONPATH={home}/python/site-packages:$PYTHONPATH
export PATH={home}/bin:$PATH
export ASCEND_TOOLKIT_HOME={home}
export ASCEND_HOME_PATH={home}
"""
INSTALL_INFO = """package_name=Ascend-cann-toolkit
version={version}
innerversion=V100R001C20SPC001B251
arch={arch}
os=linux
path={home}
"""


def make_cann(root, place='usr/local/Ascend/ascend-toolkit', version='8.0.0'):
    """The toolkit under ROOT/PLACE; return the path of its set_env.sh.

    As CANN's: up to 8.3 the files are in latest/ below the folder of set_env.sh, from 8.5 (place: …/cann) beside it.
    nnrt, which only runs models, has neither ATC nor a version of the toolkit.
    """
    folder = pathlib.Path(root) / place
    home = folder if folder.name == 'cann' else folder / 'latest'
    (home / 'bin').mkdir(parents=True)
    (home / 'python' / 'site-packages').mkdir(parents=True)
    (home / 'python' / 'site-packages' / 'acl.py').symlink_to(HERE / 'acl.py')
    if folder.name != 'nnrt':
        for program in ('atc', 'aoe'):
            (home / 'bin' / program).symlink_to(HERE / program)
        (home / MACHINE).mkdir()
        (home / MACHINE / 'ascend_toolkit_install.info').write_text(
            INSTALL_INFO.format(version=version, arch=platform.machine(), home=home))
    set_env = folder / 'set_env.sh'
    set_env.write_text(SET_ENV.format(place=place, version=version, home=home))
    return set_env


def make_python(folder, numpy='1.24.4', without=()):
    """A Python with CANN's packages, except those WITHOUT; return its folder of programs, for the PATH."""
    folder = pathlib.Path(folder)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    packages = folder / 'lib' / 'python{}.{}'.format(*sys.version_info) / 'site-packages'
    for name, version in {**PACKAGES, 'numpy': numpy}.items():
        if name not in without:
            path = packages / name.replace('.', '/') / '__init__.py'
            path.parent.mkdir(parents=True)
            path.write_text(f'__version__ = {version!r}\n')
    return folder / 'bin'
