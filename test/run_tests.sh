#!/usr/bin/env bash
# Sets up, then runs the tests; arguments go to pytest:   bash test/run_tests.sh -k readme
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash setup.sh
. test/common.sh
python -m pip install -q pytest
python -m pytest test "$@"
