# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""Python imports this at its start where this folder is on PYTHONPATH: a training does not wait.

mmcv and mmaction2 wait 8 seconds in each training, for loggers and processes to end.
"""
import sys
import time

if any(word.endswith('tools/train.py') for word in getattr(sys, 'orig_argv', [])):  # of Python 3.10
    time.sleep = lambda seconds: None
