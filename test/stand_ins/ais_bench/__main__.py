# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""python3 -m ais_bench: one run of the stand-in, whose parts are in stand_in/."""
import sys

from ais_bench.stand_in.arguments import parse_arguments
from ais_bench.stand_in.run import run

if __name__ == '__main__':
    sys.exit(run(parse_arguments()))
