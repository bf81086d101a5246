# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""mmcv's configs, and mmaction2's steps and data sets, without PyTorch, whose import takes longer than all else.

    cfg = import_mmcv().Config.fromfile('r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py')
    pipeline = compose(cfg.data.test.pipeline)
    dataset = build_dataset(cfg.data.test)

mmcv does without PyTorch where that is not installed: it then has all that configs and images need. What it leaves out
is added when someone asks for it. mmaction2's files import PyTorch at their heads, and use it in few of their classes.
Those that our configs name are executed here one by one, with an import that puts off what they import of PyTorch.
Where a config names others, or a process has PyTorch or mmaction2 already, they are imported as usual.
"""
from __future__ import annotations

import builtins
import contextlib
import importlib
import sys
import threading
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, Iterable, Mapping, Optional, Sequence

from r2plus1d.run import import_library

DATASETS = ('rawframe_dataset', 'video_dataset')  # in mmaction/datasets; the others need more of mmaction2


class Later(ModuleType):
    """A module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_library(self.__name__), name)


# ---- mmcv --------------------------------------------------------------------------------------------


class NoTorch:
    """A finder of modules for which PyTorch is not there, in the thread that has made it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == 'torch' and threading.get_ident() == self.thread:
            raise ModuleNotFoundError('put off', name=name)


def import_mmcv() -> Any:
    """mmcv. Raises ImportError where it is one that mmaction2 0.x cannot use."""
    if 'mmcv' not in sys.modules:
        finder = NoTorch()
        sys.meta_path.insert(0, finder)
        try:
            import mmcv
        finally:
            sys.meta_path.remove(finder)
        if hasattr(mmcv, 'utils') and not hasattr(mmcv.utils, 'Registry'):  # PyTorch was put off
            mmcv.__getattr__ = mmcv.utils.__getattr__ = whole_mmcv
            mmcv.image.misc.torch = Later('torch')
    import mmcv
    if not hasattr(mmcv, 'Config'):
        version = getattr(mmcv, '__version__', 'of no version')
        raise ImportError(f'mmcv {version}, where mmaction2 0.x needs 1.x: remove it by pip uninstall mmcv mmcv-lite',
                          name='mmcv')
    return mmcv


def whole_mmcv(name: str) -> Any:
    """What mmcv and mmcv.utils have under the NAME, once they are executed again, with PyTorch."""
    import mmcv
    if name.startswith('__'):
        raise AttributeError(f'mmcv has no {name}')
    del mmcv.__getattr__, mmcv.utils.__getattr__
    with contextlib.suppress(ImportError):
        import_library('torch')
    importlib.reload(mmcv.utils)
    importlib.reload(mmcv)
    return getattr(mmcv.utils, name)


# ---- mmaction2 ---------------------------------------------------------------------------------------


def later(module: str, name: str) -> Callable[..., Any]:
    """The function or class NAME of a module that is imported when it is called."""
    return lambda *args, **options: getattr(import_library(module), name)(*args, **options)


def pair(value: Any) -> Any:
    """PyTorch's function of the steps' sizes: 8 to (8, 8), and (8, 6) to itself."""
    return tuple(value) if isinstance(value, Iterable) else (value, value)


class Mmaction:
    """mmaction2's files, each executed once. Raises anything where they are not those of mmaction2 0.x."""

    def __init__(self) -> None:
        utils = import_mmcv().utils
        from mmcv.utils.registry import Registry, build_from_cfg
        self.folder = Path(find_spec('mmaction').submodule_search_locations[0])  # type: ignore[union-attr,index]
        self.steps, self.datasets = (Registry(name, scope='mmaction') for name in ('pipeline', 'dataset'))
        self.modules: Dict[str, Any] = {
            'mmaction.datasets.builder': SimpleNamespace(PIPELINES=self.steps, DATASETS=self.datasets),
            'mmcv.parallel': SimpleNamespace(DataContainer=later('mmcv.parallel', 'DataContainer')),
            'mmcv.utils': SimpleNamespace(build_from_cfg=build_from_cfg, digit_version=utils.digit_version,
                                          print_log=later('mmcv.utils', 'print_log')),
            'torch': Later('torch'),
            'torch.nn.modules.utils': SimpleNamespace(_pair=pair),
            'torch.utils.data': SimpleNamespace(Dataset=object),
        }
        self.modules['mmaction.core'] = self.load('mmaction.core.evaluation.accuracy')
        self.modules['mmaction.utils'] = self.load('mmaction.utils.misc')
        steps = {path.stem: self.load(f'mmaction.datasets.pipelines.{path.stem}')
                 for path in self.folder.glob('datasets/pipelines/[a-z]*.py')}
        self.modules['mmaction.datasets.pipelines'] = SimpleNamespace(Compose=steps['compose'].Compose,
                                                                      Resize=steps['augmentations'].Resize)
        for name in DATASETS:
            self.load(f'mmaction.datasets.{name}')

    def load(self, name: str) -> Any:
        """The module NAME, whose imports come from import_for()."""
        if name not in self.modules:
            path = str(self.folder.joinpath(*name.split('.')[1:])) + '.py'
            module = self.modules[name] = ModuleType(name)
            module.__file__, module.__package__ = path, name.rpartition('.')[0]
            vars(module)['__builtins__'] = {**vars(builtins), '__import__': self.import_for}
            SourceFileLoader(name, path).exec_module(module)
        return self.modules[name]

    def import_for(self, name: str, names: Mapping[str, Any], *rest: Any) -> Any:
        """What __import__ is for a file of mmaction2's. REST: local variables, what is taken from the module, level."""
        if rest[-1]:
            name = resolve_name('.' * rest[-1] + name, names['__package__'])
        if name.startswith('mmaction.'):
            return self.load(name)
        return self.modules.get(name) or builtins.__import__(name, names, *rest)


@lru_cache(maxsize=None)
def mmaction_files() -> Optional[Mmaction]:
    """None: they are not there, or not of mmaction2 0.x; its import may say why."""
    try:
        return Mmaction()
    except Exception:
        return None


def compose(steps: Sequence[Mapping[str, Any]]) -> Any:
    """mmaction2's Compose of the STEPS of a config."""
    files = mmaction_files()
    if files and is_known(files.steps, [step.get('type') for step in steps]):
        return files.modules['mmaction.datasets.pipelines'].Compose(steps)
    from mmaction.datasets.pipelines import Compose
    return Compose(steps)


def build_dataset(data: Mapping[str, Any]) -> Any:
    """mmaction2's data set of a part of a config's data, in test mode."""
    files = mmaction_files()
    if files and is_known(files.datasets, [data.get('type')]):
        return files.datasets.build(data, default_args=dict(test_mode=True))
    import mmaction.datasets
    return mmaction.datasets.build_dataset(data, dict(test_mode=True))


def is_known(registry: Any, names: Sequence[Any]) -> bool:
    """Whether mmaction2's own classes of the NAMES are meant: in mmaction.datasets a config's code may put others."""
    return 'mmaction.datasets' not in sys.modules and all(name in registry.module_dict for name in names)
