#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# ATC in the Python that CANN was installed for, also where a venv or a conda environment is active:
#
#     bash test/atc.sh --framework=5 --model=r2plus1d_sim.onnx --output=r2plus1d_bs1 --input_shape="0:1,3,3,8,256,256" \
#         --soc_version=Ascend310P3
#
# All arguments but --help are ATC's, and "atc --help" lists them. CANN's set_env.sh is read here, and
# CANN_PYTHON=/path/python3 names the Python where it is not found. The model is called <output>.om, whatever CANN
# calls it, and only its owner may write it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
use_environment
umask 027 # ais_bench refuses a model that others may write
case ${1:-} in
--help | -h) parse_options "" --help ;;
esac
"${convert[@]}" atc "$@" || give_up $?
