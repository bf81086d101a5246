# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""setup.sh: the Python, an environment that is there already, the sources, and what the original guide does to them."""
import importlib.metadata
import os
import pathlib
import re
import shutil
import sys
import venv
import zipfile

import pip
import pytest
from conftest import CONFIG, ROOT, list_files, run, write_program

from r2plus1d import sources

SECONDS = 15
COPIED = ('setup.sh', 'requirements.txt', 'constraints.txt', CONFIG.name, 'patches', 'test/shell.sh',
          'r2plus1d/__init__.py', 'r2plus1d/installed.py', 'r2plus1d/sources.py')


@pytest.fixture
def setup(tmp_path):
    """setup.sh in a folder of its own, with pip that finds nothing: it ends where it would install packages."""
    folder = tmp_path / 'setup'
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)

    def go(**environment):
        environment = {'PIP_NO_INDEX': '1', 'PIP_FIND_LINKS': '', 'VIRTUAL_ENV': '', 'CONDA_PREFIX': '', **environment}
        return run('bash', 'setup.sh', cwd=folder, env=environment, check=False)
    return folder, go


# ---- the Python ------------------------------------------------------------------------------------


def test_the_python_is_checked_before_a_venv_is_made(setup):
    folder, go = setup
    write_program(folder / 'old', 'if [ "$1" = --version ]; then echo Python 3.7.17; else exit 1; fi\n')
    before = list_files(folder)
    done = go(PYTHON='./old')
    assert done.returncode == 1 and 'Python 3.7.17' in done.stderr and 'PYTHON=python3.11' in done.stderr
    assert list_files(folder) == before
    assert 'no python9' in go(PYTHON='python9').stderr
    assert list_files(folder) == before


@pytest.mark.parametrize('kept', [True, False])
def test_a_venv_of_another_python_is_made_anew(setup, kept):
    """A .venv of a Python that is good enough is kept, unless another one is asked for."""
    folder, go = setup
    version = '.'.join(map(str, sys.version_info[:3]))
    other = ('case "$*" in\n*pip\\ --version*) ;;\n*sys.version\\)) echo "3.9.1 (other)" ;;\n'
             '*version_info\\ \\<*) ;;\n*) exit 5 ;;\nesac\n')
    write_program(folder / '.venv/bin/python', other)
    write_program(folder / 'python', f'[ "$2" = venv ] || exec {sys.executable} "$@"\n'
                  f'{sys.executable} "$@" --without-pip\n'  # which would take seconds
                  f'ln -s {pathlib.Path(pip.__file__).parent} .venv/lib/python*/site-packages\n')
    done = go() if kept else go(PYTHON='./python')
    assert done.returncode != 0  # no package to be had, or not a Python
    made_anew = f'making .venv with Python {version}; it was made with Python 3.9.1' in done.stdout
    assert made_anew is not kept
    config = folder / '.venv/pyvenv.cfg'
    assert config.exists() is not kept
    if not kept:
        assert version in config.read_text() and 'pip could not install the packages' in done.stderr


def test_pip_gets_a_source_on_python_3_13_and_later(tmp_path):
    """What set-up puts before pip there: the setup.py of a package that looks for what exec() defined in locals()."""
    newer = find_pythons('3.13') + find_pythons('3.14')
    if not newer:
        pytest.skip('no Python 3.13 or later on this machine')
    (tmp_path / 'setup.py').write_text("def get_version():\n    exec('version = 7')\n    return locals()['version']\n"
                                       "print(get_version())\n")
    for python in newer:
        assert 'KeyError' in run(python, '-I', tmp_path / 'setup.py', check=False).stderr
        assert run(python, tmp_path / 'setup.py', env={'PYTHONPATH': str(ROOT / 'patches/shim')}).stdout == '7\n'


def find_pythons(version):
    """The Pythons of this version on the path, and those of pyenv, which need not be on the path."""
    pyenv = pathlib.Path(os.environ.get('PYENV_ROOT', pathlib.Path.home() / '.pyenv'))
    paths = [*pyenv.glob(f'versions/{version}.*/bin/python'), shutil.which(f'python{version}')]
    return [path for path in paths if path and run(path, '-c', '', check=False).returncode == 0]


# ---- an environment that is there already ----------------------------------------------------------


def make_wheel(folder, name, version, requires=(), files=()):
    """An empty package, as pip finds and installs it."""
    info = f'{name.replace("-", "_")}-{version}.dist-info'
    needs = ''.join(f'Requires-Dist: {one}\n' for one in requires)
    content = {**{file: '' for file in files},
               f'{info}/METADATA': f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}',
               f'{info}/WHEEL': 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'}
    content[f'{info}/RECORD'] = ''.join(f'{path},,\n' for path in [*content, f'{info}/RECORD'])
    with zipfile.ZipFile(folder / f'{name.replace("-", "_")}-{version}-py3-none-any.whl', 'w') as f:
        for file, text in content.items():
            f.writestr(file, text)


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    """A folder with an empty package of each name and version of constraints.txt, and older ones of some."""
    folder = tmp_path_factory.mktemp('index')
    numpy_1 = {'onnx': '1.16.0', 'matplotlib': '3.8.0', 'scipy': '1.10.0', 'opencv-python': '4.8.0.76',
               'opencv-python-headless': '4.9.0.80'}
    others = [('numpy', '1.26.4'), ('numpy', '1.19.0'), ('onnxruntime', '1.18.0'), ('yapf', '0.43.0'),
              ('torch', '1.11.0'), ('torch', '2.1.0'), ('mmcv-lite', '2.1.0'), ('mmcv', '2.2.0'),
              ('mmcv-full', '1.6.0'), ('setuptools', '79.0.1'), ('setuptools', '84.0.0'), ('wheel', '0.45.1')]
    lines = re.findall(r'^([\w-]+)==(\S+)$', (ROOT / 'constraints.txt').read_text(), re.M)
    for name, version in {*lines, *others, *numpy_1.items()}:
        new = name in ('onnx', 'onnxruntime', 'opencv-python-headless', 'matplotlib') and (name, version) in lines
        requires = ['numpy<2'] if numpy_1.get(name) == version else ['numpy>=2'] if new else []
        module = 'cv2' if name.startswith('opencv') else 'mmcv' if name.startswith('mmcv') else None
        make_wheel(folder, name, version, requires, [f'{module}/__init__.py'] if module else [])
    return folder


@pytest.fixture
def environment(setup, index, tmp_path):
    """A function: set-up in an active venv with these packages; what it said, and the packages before and after it.

    There is no source of mmcv to be had, so set-up always ends in its second step, if it comes so far.
    """
    folder, go = setup
    made = tmp_path / 'venv'

    def enter(*packages, paths=()):
        venv.EnvBuilder(symlinks=True).create(made)
        site, = made.glob('lib/python*/site-packages')
        (site / 'pip').symlink_to(pathlib.Path(pip.__file__).parent)
        (site / 'more.pth').write_text(''.join(f'{path}\n' for path in paths))
        for package in ('wheel==0.45.1', *packages):
            with zipfile.ZipFile(index / f'{package.replace("-", "_").replace("==", "-")}-py3-none-any.whl') as f:
                f.extractall(site)
        before = freeze(site)
        done = go(VIRTUAL_ENV=str(made), PATH=f'{made}/bin:{os.environ["PATH"]}', PIP_FIND_LINKS=str(index))
        assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
        return done, before, freeze(site)

    enter.folder = folder
    return enter


def freeze(site):
    """{name: version} of the packages."""
    return {found.metadata['Name']: found.version for found in importlib.metadata.distributions(path=[str(site)])}


needs_tested_python = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason='other Pythons have no pins')


@pytest.mark.parametrize('packages, stream, said, installed', [
    pytest.param([], 'stderr', ['could not download the source package of mmcv-full'],
                 {'numpy': '2.4.6', 'onnx': '1.23.2', 'opencv-python-headless': '5.0.0.93'}, marks=needs_tested_python),
    # An opencv that was built for NumPy 1 stays, and NumPy with it; a tested version that needs NumPy 2 does not.
    pytest.param(['numpy==1.26.4', 'opencv-python==4.8.0.76', 'torch==2.1.0'], 'stdout', ['others are looked for'],
                 {'onnx': '1.16.0', 'av': '18.1.0', 'opencv-python-headless': None}, marks=needs_tested_python),
    (['yapf==0.43.0', 'setuptools==84.0.0'], 'stdout', ['yapf 0.43.0 will be replaced: <0.40.2 is needed here',
     'setuptools 84.0.0 will be replaced'], {'yapf': '0.40.1', 'setuptools': '79.0.1'}),
    (['opencv-python==4.8.0.76', 'opencv-python-headless==4.9.0.80', 'numpy==1.26.4'], 'stdout',
     ['opencv-python 4.8.0.76 and opencv-python-headless 4.9.0.80 are installed over each other'], {}),
])
def test_packages_are_kept_installed_and_replaced(environment, packages, stream, said, installed):
    """Those that are there keep their versions, unless set-up says that it replaces them."""
    done, before, after = environment(*packages)
    assert 'ResolutionImpossible' not in done.stderr
    for words in said:
        assert words in getattr(done, stream)
    expected = {**before, **installed}
    assert {name: after.get(name) for name in expected} == expected


@pytest.mark.parametrize('packages, said', [
    # Each onnx that there is needs another NumPy than that of the environment, which scipy needs.
    (['numpy==1.19.0', 'scipy==1.10.0'], ['Nothing was changed', 'numpy 1.19.0 is installed, >=1.20 is needed here, '
                                          'and scipy may need']),
    (['mmcv-lite==2.1.0'], ['pip uninstall mmcv-lite']),
    (['mmcv==2.2.0'], ['pip uninstall mmcv']),
    (['mmcv-full==1.6.0'], ['pip uninstall mmcv-full']),
])
def test_nothing_is_changed_where_set_up_cannot_work(environment, packages, said):
    done, before, after = environment(*packages)
    assert after == before
    for words in said:
        assert words in done.stderr


def test_the_mmcv_of_an_earlier_set_up_is_none(environment):
    """The source package of mmcv holds a description of mmcv-full, which is found once ./mmcv is on the path."""
    write_mmcv(environment.folder, '1.7.2')
    info = environment.folder / 'mmcv/mmcv_full.egg-info'
    info.mkdir()
    (info / 'PKG-INFO').write_text('Metadata-Version: 2.1\nName: mmcv-full\nVersion: 1.7.2\n')
    (info / 'SOURCES.txt').write_text('mmcv/__init__.py\n')
    (environment.folder / 'mmcv/mmcv/__init__.py').touch()
    done, _, _ = environment('yapf==0.40.1', paths=[environment.folder / 'mmcv'])
    assert 'has no setup.py' in done.stderr  # as far as the sources


@pytest.mark.parametrize('torch, refused', [('torch==2.1.0', True), ('torch==1.11.0', False), ('yapf==0.40.1', True)])
def test_the_mmcv_of_the_original_guide_needs_an_old_pytorch(environment, torch, refused):
    write_mmcv(environment.folder, '1.3.6')
    done, before, after = environment(torch)
    assert ('SyncBN limits it to PyTorch before 1.12' in done.stderr) is refused
    assert (after == before) is refused


def write_mmcv(folder, version):
    (folder / 'mmcv/mmcv').mkdir(parents=True)
    (folder / 'mmcv/mmcv/version.py').write_text(f"__version__ = '{version}'\n")


# ---- the sources -----------------------------------------------------------------------------------


def test_a_patch_for_one_version_leaves_others_out(tmp_path):
    patches = ROOT / 'patches/mmcv'
    notice, = patches.glob('*-no-notice-of-mmcv-2.patch')
    for_all, = patches.glob('*-set-up-without-torch.patch')
    write_mmcv(tmp_path, '1.7.2')
    assert sources.is_for(tmp_path / 'mmcv', notice) and sources.is_for(tmp_path / 'mmcv', for_all)
    (tmp_path / 'mmcv/mmcv/version.py').write_text("__version__ = '1.3.6'\n")
    assert not sources.is_for(tmp_path / 'mmcv', notice) and sources.is_for(tmp_path / 'mmcv', for_all)


@pytest.fixture
def guide(tmp_path, monkeypatch):
    """A folder with mmaction2's pytorch2onnx.py, patches and config, as set-up leaves it."""
    for name in ('mmaction2/tools/deployment', 'mmaction2/configs/recognition/r2plus1d', 'patches/mmaction2'):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy(ROOT / 'mmaction2' / sources.EXPORTER, tmp_path / 'mmaction2' / sources.EXPORTER)
    (tmp_path / 'mmaction2/setup.py').touch()
    for patch in (ROOT / 'patches/mmaction2').glob('*.patch'):
        if set(re.findall(r'^\+\+\+ b/(\S+)', patch.read_text(), re.M)) == {str(sources.EXPORTER)}:
            shutil.copy(patch, tmp_path / 'patches/mmaction2')
    shutil.copy(CONFIG, tmp_path)
    monkeypatch.chdir(tmp_path)
    sources.link()
    return tmp_path


EDITS = ["        opset_version=opset_version,\n        dynamic_axes={'0':{0:'-1'}})",
         "        opset_version=opset_version,\n        dynamic_axes={'0': {0: '-1'}},\n    )",
         "        dynamic_axes = {\"0\":{0:\"-1\"}},\n        opset_version=opset_version)"]


def take_patches_back(guide):
    for patch in sources.patches_of('mmaction2')[::-1]:
        assert not sources.apply(guide / 'mmaction2', patch, '-R').returncode


@pytest.mark.parametrize('before, old, new', [
    *((True, '        opset_version=opset_version)', edit) for edit in EDITS),
    (False, '            **export_args)', "            **export_args,\n            dynamic_axes={'0':{0:'-1'}})"),
    (False, '            verbose=show,', "            dynamic_axes={'0':{0:'-1'}},\n            verbose=show,")])
def test_the_edit_of_the_original_guide_before_or_after_set_up_is_undone(guide, before, old, new, capsys):
    exporter = guide / 'mmaction2' / sources.EXPORTER
    ours = exporter.read_text()
    if before:
        take_patches_back(guide)
    text = exporter.read_text()
    exporter.write_text(text.replace(old, new))
    assert exporter.read_text() != text
    sources.patch('mmaction2', guide)
    assert exporter.read_text() == ours and 'the edit of the original guide' in capsys.readouterr().out
    sources.patch('mmaction2', guide)
    assert not capsys.readouterr().out


def test_the_patches_fit_the_source_of_the_original_guide(guide):
    """The pytorch2onnx.py of acce52d imports no warnings, and ends where it has exported."""
    exporter = guide / 'mmaction2' / sources.EXPORTER
    take_patches_back(guide)
    text = exporter.read_text().replace('\nimport warnings\n', '\n').replace('# convert model', '# conver model')
    exporter.write_text(text.partition('\n    # Following strings')[0])
    sources.apply_patches(guide / 'mmaction2', 'mmaction2')


def test_another_edit_is_named(guide, capsys):
    exporter = guide / 'mmaction2' / sources.EXPORTER
    exporter.write_text(exporter.read_text().replace('ATOL, RTOL = 1e-4, 1e-4', 'ATOL, RTOL = 1, 1'))
    with pytest.raises(SystemExit, match='0001.* does not apply to ./mmaction2: was a file there edited'):
        sources.patch('mmaction2', guide)


def test_the_mv_of_the_original_guide(guide, capsys):
    """The config that was moved away is back, edits and all; a second one is set aside, and none is ever deleted."""
    config, link = guide / CONFIG.name, guide / sources.LINK
    config.write_text(config.read_text() + '# mine\n')
    run('mv', config.name, sources.LINK.parent, cwd=guide)
    assert not config.exists() and not link.is_symlink()
    sources.renew('mmaction2')
    assert 'it is here again' in capsys.readouterr().out
    sources.link()
    assert config.read_text().endswith('# mine\n') and link.samefile(config) and link.is_symlink()
    for number in (1, 2):
        link.unlink()
        link.write_text(f'# {number}')
        sources.link()
        assert f'{link.name}.old.{number}' in capsys.readouterr().out
        assert link.with_name(f'{link.name}.old.{number}').read_text() == f'# {number}' and link.samefile(config)
    config.unlink()
    with pytest.raises(SystemExit, match=f'git checkout -- {CONFIG.name}'):
        sources.link()


def test_sources_are_set_aside_under_new_names(guide):
    for number in (1, 2):
        (guide / 'mmcv').mkdir()
        (guide / 'mmcv' / sources.MARK).write_text('of other patches')
        sources.renew('mmcv')
        assert (guide / f'mmcv.old.{number}').is_dir() and not (guide / 'mmcv').exists()


# ---- warnings --------------------------------------------------------------------------------------


def test_the_imports_of_mmcv_and_mmaction2_warn_of_nothing_that_set_up_has_done():
    code = 'import mmcv, mmcv.cnn, mmcv.cnn.bricks.transformer, mmaction.apis, mmaction.datasets'
    done = run(sys.executable, '-W', 'always', '-c', code, cwd='/')
    assert 'MMCV will release' not in done.stderr and 'mmcv-full' not in done.stderr


def test_videos_are_counted_from_one(tmp_path, capsys):
    from tools.data.parse_file_list import parse_directory
    for name in 'abc':
        (tmp_path / name).mkdir()
    parse_directory(str(tmp_path), level=1)
    lines = capsys.readouterr().out.splitlines()
    assert '3 of 3 videos parsed' in lines and not [line for line in lines if line.startswith('0 ')]
