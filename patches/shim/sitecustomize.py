# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Python imports this at its start where this folder is on PYTHONPATH: for one command of setup.sh, pip download.

pip runs the setup.py of a source package that it downloads, before any patch is in. Those of mmcv and mmaction2 find
their version in a way that Python 3.13 has ended: what exec() defines in a function is no longer in its locals(). Here
exec() works as it did before.
"""
import builtins
import sys

plain_exec = builtins.exec


def exec_in_caller(code, *scopes, **options):
    """exec(), which without scopes changes the local variables of the function that called it."""
    if not scopes and not options:
        caller = sys._getframe(1)
        scopes = caller.f_globals, caller.f_locals
    return plain_exec(code, *scopes, **options)


if sys.version_info >= (3, 13):
    builtins.exec = exec_in_caller
