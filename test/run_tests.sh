#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Sets up, then runs the tests:
#
#     bash test/run_tests.sh
#     bash test/run_tests.sh -k readme -x                  # the tests of that name; to the first that fails
#     bash test/run_tests.sh test/unit/test_demo.py -- --lf     # a file of tests; what follows -- are options of pytest
#
# They take under 2 GB in the folder for temporary files ($TMPDIR), and leave nothing there if they pass.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/steps.sh"
cd "$root"

arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h) parse_options "" --help ;;
    --)
        arguments+=("${@:2}")
        break
        ;;
    -x | -v | -s) arguments+=("$1") ;;
    -k)
        [ $# -ge 2 ] || usage "-k needs a value: a part of the tests' names"
        arguments+=(-k "$2")
        shift
        ;;
    -*) usage "$1: unknown. The options are -k NAME, -x, -v, -s and --help; other options of pytest follow after --" ;;
    *)
        [ -e "${1%%::*}" ] || usage "$1: no such file of tests"
        arguments+=("$1")
        ;;
    esac
    shift
done

set_up
unset PYTHONDONTWRITEBYTECODE # each of many starts would compile what set-up did not import
python -m pip install -q --no-compile 'pytest>=7.3' pytest-xdist hypothesis pyte pysubs2 'nncf>=2.7; python_version >= "3.10"' \
    -c constraints.txt # NNCF: for int8
# Ray is optional, and there are machines and Pythons for which it has no wheel.
python -m pip install -q --no-compile --only-binary ray "ray[data]" -c constraints.txt ||
    say "no Ray for this Python: its tests are skipped"
export OMP_NUM_THREADS=1 # two tests at a time: PyTorch's threads would wait for one another
# Not by mktemp, whose folder is for its owner alone: some tests are run as an ordinary user.
export TMPDIR=${TMPDIR:-/tmp}/r2plus1d_tests.$$
(umask 022 && mkdir "$TMPDIR")
if ! python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q --durations 10 ${arguments[@]+"${arguments[@]}"}; then
    say "what the failed tests have written is in $TMPDIR"
    exit 1
fi
rm -rf "$TMPDIR"
