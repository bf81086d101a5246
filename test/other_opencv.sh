#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Tests with another OpenCV than the one of the environment: the oldest that requirements.txt allows decodes part of a
# damaged picture or video, where a new one refuses it, and the scripts have to refuse both alike.
#
#     bash test/other_opencv.sh
#     bash test/other_opencv.sh --opencv 4.12.0.88 --numpy 2.2.6 --tests "test/unit/test_damage.py test/unit/test_chain.py"
#
# --opencv, --numpy    versions on the package index; they are put into a temporary folder, ahead of the environment's
#                      packages (about 70 MB of download), and the environment stays as it is
# --tests              files of tests
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
opencv=4.5.5.64
numpy=1.26.4
tests=test/unit/test_damage.py
parse_options "opencv numpy tests" "$@"
cd "$root"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
step "install OpenCV $opencv and NumPy $numpy beside the environment" show_if_failed python -m pip install -q \
    --disable-pip-version-check --no-deps --only-binary :all: --target "$scratch" \
    "opencv-python-headless==$opencv" "numpy==$numpy"
export PYTHONPATH=$scratch${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=1
found=$(python -c 'import cv2, numpy; print(f"OpenCV {cv2.__version__}, NumPy {numpy.__version__}: {cv2.__file__}")') ||
    fail "OpenCV $opencv does not import"
[[ $found == *"$scratch"* ]] || fail "another OpenCV is imported: $found"
say "$found"
# shellcheck disable=SC2086 # $tests is a list
step "tests" python -m pytest -q $tests
echo success
