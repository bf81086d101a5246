#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Sets up, then runs the tests; arguments go to pytest:   bash test/run_tests.sh -k readme
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash setup.sh
. test/common.sh
unset PYTHONDONTWRITEBYTECODE # each of many starts would compile what set-up did not import
python -m pip install -q --no-compile pytest pytest-xdist 'nncf>=2.7; python_version >= "3.10"' \
    -c constraints.txt # NNCF: for int8
export OMP_NUM_THREADS=1 # two tests at a time: PyTorch's threads would wait for one another
python -m pytest test -n 2 --dist loadfile --no-loadscope-reorder -q --durations 10 "$@"
