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
# CANN_PYTHON=/path/python3 names the Python where it is not found. The model is called <output>.om, whatever CANN calls it,
# and only its owner may write it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$root/test/cann.sh"
umask 027 # ais_bench refuses a model that others may write
case ${1:-} in
--help | -h) parse_options "" --help ;;
esac

# The value of --output among the arguments
output_argument() {
    while [ $# -gt 0 ]; do
        case $1 in
        --output=*) printf %s "${1#--output=}" ;;
        --output) printf %s "${2:-}" ;;
        esac
        shift
    done
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
find_cann
[ -n "$atc" ] || fail "no atc on this machine: is CANN's toolkit installed? Its set_env.sh was looked for in" \
    "ASCEND_TOOLKIT_HOME, ~/Ascend and /usr/local/Ascend"
output=$(output_argument "$@")
[ -z "$output" ] || rm -f "$output.om" "$output"_linux_*.om
run_compiler atc "$@" || fail "failed: atc $*"
if [ -n "$output" ] && om=$(made_om "$output"); then
    [ "$om" = "$output.om" ] || mv "$om" "$output.om"
    chmod 640 "$output.om"
fi
