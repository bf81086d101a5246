# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The log of the client. Importing it sends the log of the whole process to standard output, as the real one does."""
import logging
import sys

logging.basicConfig(stream=sys.stdout, level=logging.INFO, format='[%(levelname)s] %(message)s')
logger = logging.getLogger('ais_bench')


def failure(text):
    """The exception of an error that the client explains only in its log."""
    logger.error(text)
    return RuntimeError()
