#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Sets up, then runs the tests. Its options, --help apart, are pytest's:
#
#     bash test/run_tests.sh
#     bash test/run_tests.sh -k readme -x                   # the tests of that name; to the first that fails
#     bash test/run_tests.sh test/unit/test_demo.py --lf    # a file of tests; those that have failed last
#
# They take under 2 GB in the folder for temporary files ($TMPDIR), and leave nothing there if they pass.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
case ${1:-} in
--help | -h) parse_options "" --help ;;
esac
cd "$root"
set_up
unset PYTHONDONTWRITEBYTECODE # each of many starts would compile what set-up did not import
pip=(python -m pip install -q --no-compile --only-binary ray -c constraints.txt 'pytest>=7.3' pytest-xdist hypothesis pyte
    pysubs2 'nncf>=2.7; python_version >= "3.10"') # NNCF: for int8
# Ray is optional, and there are machines and Pythons for which it has no wheel.
if ! "${pip[@]}" "ray[data]"; then
    "${pip[@]}"
    say "no Ray for this Python: its tests are skipped"
fi
export OMP_NUM_THREADS=1 # of several tests at a time PyTorch's threads would wait for one another
# Not by mktemp, whose folder is for its owner alone: some tests are run as an ordinary user.
export TMPDIR=${TMPDIR:-/tmp}/r2plus1d_tests.$$
(umask 022 && mkdir "$TMPDIR")
# A test waits a tenth of the time, so three processes use two cores. Each takes up to 1.3 GB of memory.
python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -q --durations 10 "$@" ||
    fail "what the failed tests have written is in $TMPDIR"
rm -rf "$TMPDIR"
