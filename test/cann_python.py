# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Says what the Python that runs this lacks to be the one that ATC starts. test/cann.sh asks every python3 with it.

    python3 test/cann_python.py 8.0.0      # the version of CANN; without it no bound of a version is checked

ATC runs `python3 -V` by the PATH, loads the libpython of that version, and imports its operator compiler in it (CANN's
source: ge, compiler/opcompiler/op_compile_adapter/source/python_adapter/py_decouple.cc). That compiler needs the
packages of CANN's installation guide, appendix "Running Dependencies". Written for Python 3.6, to be able to refuse it.

Standard output: a line that names this Python and what it lacks, and a line with the folder of libpython if the loader
has to be told it. Exit status: 0 nothing is lacking, 3 something is, 4 so much that no conversion can succeed.
"""
import ctypes.util
import importlib.util
import os
import sys
import sysconfig

LACKING, UNFIT = 3, 4
PACKAGES = {'attr': 'attrs', 'decorator': 'decorator', 'sympy': 'sympy', 'cffi': 'cffi', 'yaml': 'pyyaml',
            'pathlib2': 'pathlib2', 'psutil': 'psutil', 'scipy': 'scipy', 'requests': 'requests', 'absl': 'absl-py'}
LOADER_FOLDERS = ('/lib', '/lib64', '/usr/lib', '/usr/lib64')  # and below them


def numbers(version):
    """(8, 0) from 8.0.RC2: the first two numbers, as far as there are any."""
    return tuple(int(part) for part in version.split('.')[:2] if part.isdigit())


def numpy_limit(cann):
    """(first version of NumPy that is too new, how to say that), or None where the guide of CANN has no limit.

    The guides of CANN 5 to 7 have none either, but are older than NumPy 2, which dropped names that CANN uses.
    """
    if not cann or cann >= (9, 0):
        return None
    if (8, 0) <= cann < (8, 5):
        return (1, 25), 'numpy<=1.24'
    if cann >= (8, 5) and sys.version_info >= (3, 13):
        return None
    return (2, 0), 'numpy<2'


def check_numpy(cann):
    """(what is wrong with NumPy, or None; whether no conversion can succeed with it)

    1.25 and 1.26 are above the limit of some guides, but have all names of 1.24: that is no reason to give up.
    """
    try:
        import numpy
    except Exception:
        return 'numpy', True
    have = numbers(numpy.__version__)
    limit = numpy_limit(cann)
    if limit and have >= limit[0]:
        return '{} (it has {})'.format(limit[1], numpy.__version__), have >= (2, 0)
    return None, False


def check_protobuf(cann):
    """What is wrong with protobuf, or None. The guides want 3.20 up to CANN 9.0, and any version from 9.1 on."""
    try:
        from google import protobuf
    except Exception:
        return 'protobuf'
    if cann and (8, 0) <= cann < (9, 1) and numbers(protobuf.__version__) != (3, 20):
        return 'protobuf==3.20.* (it has {})'.format(protobuf.__version__)
    return None


def find_libpython():
    """(name, folder) of the library that ATC loads. The folder is None where there is no such library, '' where the
    loader finds it by itself. That of this Python goes before one of the same version that is elsewhere.
    """
    version = '{}.{}'.format(*sys.version_info)
    if sys.version_info < (3, 8):
        version += 'm'
    name = 'libpython{}.so.1.0'.format(version)
    for folder in (sysconfig.get_config_var('LIBDIR'), os.path.join(sys.base_prefix, 'lib')):
        if folder and os.path.exists(os.path.join(folder, name)):
            return name, '' if folder.startswith(LOADER_FOLDERS) else folder
    library_path = os.environ.get('LD_LIBRARY_PATH', '').split(':')
    if any(folder and os.path.exists(os.path.join(folder, name)) for folder in library_path):
        return name, ''
    if ctypes.util.find_library('python' + version):
        return name, ''
    return name, None


def main():
    cann = numbers(sys.argv[1]) if len(sys.argv) > 1 else ()
    me = 'Python {}.{}.{} ({})'.format(*sys.version_info[:3], sys.executable)
    if sys.version_info < (3, 7):
        print(me + ' is older than 3.7, the oldest that ATC starts')
        sys.exit(UNFIT)
    numpy, unfit = check_numpy(cann)
    library, folder = find_libpython()
    lacks = [numpy, check_protobuf(cann)]
    lacks += [package for module, package in PACKAGES.items() if not importlib.util.find_spec(module)]
    if folder is None:
        lacks.append(library)
    lacks = [item for item in lacks if item]
    if not lacks:
        print(me + ' has the packages of CANN')
    else:
        print(me + ' lacks ' + ', '.join(lacks))
    print(folder or '')
    if unfit:
        sys.exit(UNFIT)
    sys.exit(LACKING if lacks else 0)


if __name__ == '__main__':
    main()
