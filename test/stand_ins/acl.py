# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A stand-in of pyACL: the name of the chip that STAND_IN_NPU names (see npu-smi), in its exact form.

With "no acl" it cannot be imported, as where CANN has no pyACL for this Python; "none": no device; "hang": a driver
that does not answer.
"""
import os
import time

CHIP = os.environ.get('STAND_IN_NPU', '310P3')
SOC_NAMES = {'A3': 'Ascend910_9392', 'none': None}

if CHIP == 'no acl':
    raise ImportError('libascendcl.so: cannot open shared object file: No such file or directory')


def get_soc_name():
    """The name of device 0, None if it cannot be had."""
    if CHIP == 'hang':
        time.sleep(600)
    return SOC_NAMES.get(CHIP, 'Ascend' + CHIP)
