# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of pyACL: the name of the chip that STAND_IN_NPU names (see npu-smi), in its exact form.

With STAND_IN_ACL=none it cannot be imported, as where CANN has no pyACL for this Python.
"""
import os
import time

if os.environ.get('STAND_IN_ACL') == 'none':
    raise ImportError('libascendcl.so: cannot open shared object file: No such file or directory')

SOC_NAMES = {'A3': 'Ascend910_9392', '950': 'Ascend950PR_9579', 'none': None, 'processes': None}


def get_soc_name():
    """The name of device 0, None if it cannot be had."""
    chip = os.environ.get('STAND_IN_NPU', '310P3')
    if chip == 'hang':
        time.sleep(600)
    return SOC_NAMES.get(chip, 'Ascend' + chip)
