# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""What docs/architecture.md says of the package: imports go one way, and nothing happens at import."""
import ast
import re

import pytest
from conftest import ROOT

PAGE = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
# Each module imports modules that stand before it in the table of the page, and none behind it.
ORDER = [name.replace('/', '.') for row in re.findall(r'^\|([^|]*)\|', PAGE, re.M)
         for name in re.findall(r'`([\w/]+)\.py`', row)]
PACKAGE = {'.'.join(path.relative_to(ROOT / 'r2plus1d').with_suffix('').parts): path
           for path in (ROOT / 'r2plus1d').rglob('*.py') if path.name != '__init__.py'}
SCRIPTS = {path.stem: path for path in ROOT.glob('r2plus1d_*.py')}
PROGRAMS = [*SCRIPTS.values(), *ROOT.glob('demo/*.py'), *ROOT.glob('benchmarks/**/*.py'), *ROOT.glob('test/*.py')]


def imported(path):
    """The names of all modules that a file imports, in functions too: a.b for "import a.b" and "from a import b"."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: a relative import'
            names |= {node.module} | {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def modules_of(names):
    return {name[len('r2plus1d.'):] for name in names if name.startswith('r2plus1d.')} & set(PACKAGE)


def test_each_module_has_its_place():
    assert sorted(ORDER) == sorted(PACKAGE)


def test_imports_go_one_way():
    wrong = {name: sorted(other for other in modules_of(imported(path)) if ORDER.index(other) >= ORDER.index(name))
             for name, path in PACKAGE.items()}
    assert {name: others for name, others in wrong.items() if others} == {}


def test_nobody_imports_a_script():
    for path in [*PACKAGE.values(), *PROGRAMS]:
        assert not {name.partition('.')[0] for name in imported(path)} & set(SCRIPTS), path


@pytest.mark.parametrize('path', [*PACKAGE.values(), *SCRIPTS.values()], ids=lambda path: path.name)
def test_nothing_happens_at_import(path):
    """No import for its effects, none of ctypes; beside imports and definitions only the call of main()."""
    text = path.read_text(encoding='utf-8')
    assert not re.search(r'isort: *off|^\S.*noqa: *F401', text, re.M)
    assert not {name for name in imported(path) if name.partition('.')[0] == 'ctypes'}
    assert [ast.dump(node)[:100] for node in ast.parse(text).body if not is_quiet(node)] == []


def is_quiet(node):
    """Whether a statement outside of functions has no effect but names. Imports may stand in a try or a with."""
    if isinstance(node, (ast.Try, ast.With)):
        return all(isinstance(inner, (ast.Import, ast.ImportFrom, ast.Assign)) for inner in node.body)
    if isinstance(node, ast.If):
        return re.search('__main__|TYPE_CHECKING', ast.dump(node.test))
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)  # a docstring
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.ClassDef))
