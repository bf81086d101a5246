# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for PyTorch that can only be imported (test/every_python.sh).

torch and all modules in it can be imported, and every name in them is a class, so that classes can be derived from it,
it can be a decorator, and its own attributes can be looked up. Nothing can be computed.
"""
import abc
import importlib.abc
import importlib.machinery
import sys


class Anything(abc.ABCMeta):
    """The type of all names of the stand-in; of ABCMeta, since abstract classes are derived from them too."""

    def __getattr__(cls, name):
        if name.startswith('_'):
            raise AttributeError(name)
        return make_name(name)

    def __or__(cls, other):
        return cls


def make_name(name):
    return Anything(name, (), {'__init__': lambda self, *arguments, **options: None,
                               '__call__': lambda self, *arguments, **options: arguments[0] if arguments else self,
                               '__module__': 'torch'})


class StandInFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module below torch."""

    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] != 'torch':
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module):
        module.__getattr__ = look_up


def look_up(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return make_name(name)


__path__ = []
__version__ = '2.13.0'
__getattr__ = look_up
sys.meta_path.append(StandInFinder())
