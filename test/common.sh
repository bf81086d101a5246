# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts of this folder; not run by itself.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/test/shell.sh"

# shellcheck disable=SC2034 # of shell.sh
last_line='fail!'

fail() {
    printf '%s: %s\nfail!\n' "$(basename "$0")" "$*" >&2
    exit 1
}

need_file() { [ -f "$2" ] || usage "$1 $2: no such file"; }

# need_folder NAME FOLDER: makes the folder if it is missing; ends the script if files cannot be written there.
need_folder() {
    [ ! -e "$2" ] || [ -d "$2" ] || fail "$1 $2: is a file, not a folder"
    mkdir -p -- "$2" 2>/dev/null || fail "$1 $2: the folder cannot be made; give one that you may write to"
    [ -w "$2" ] || fail "$1 $2: files cannot be written there; give a folder that you may write to"
}

# check_onnx MODEL [BATCH_SIZE…]: ends the script if an ONNX model is none that can be used here, or if a batch of one of
# these sizes is larger than the memory. Where there is no python with the packages for it, as on an NPU server without
# this environment, nothing is checked: status 3 alone says that something was found.
check_onnx() {
    local message status=0
    message=$(
        python - "$root" "$@" 2>/dev/null <<'EOF'
import sys

sys.path.insert(0, sys.argv[1])
import onnx
from r2plus1d.engines import check_memory, read_onnx_input
from r2plus1d.run import InputError

try:
    shape, dtype = read_onnx_input(sys.argv[2])
    for batch_size in sys.argv[3:]:
        check_memory(int(batch_size), shape, dtype)
except InputError as e:
    print(e)
    sys.exit(3)
EOF
    ) || status=$?
    [ "$status" -ne 3 ] || fail "$message"
}

# ---- one run at a time in a folder, of pth2om.sh and eval_acc_perf.sh ----------------------------------

# Prints the process id of a script of this folder that has $work_dir open as its lock, if it can be seen.
find_holder() {
    local fd pid
    for fd in /proc/[0-9]*/fd/9; do
        pid=${fd#/proc/}
        pid=${pid%/fd/9}
        # shellcheck disable=SC2154 # set by the scripts
        if [ "$pid" != $$ ] && [ "$fd" -ef "$work_dir" ] &&
            tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qE '(eval_acc_perf|pth2om)\.sh'; then
            printf %s "$pid"
            return
        fi
    done
}

# Takes $work_dir for this run alone. All processes of a run hold the lock: it goes when the last one has ended, even if
# the script is killed. So those that a killed run has started are waited for; another run is not, beyond a moment.
take_work_dir() {
    local holder
    exec 9<"$work_dir"
    if ! command -v flock >/dev/null || flock -w 3 9; then
        return
    fi
    holder=$(find_holder)
    if [ -n "$holder" ] || ! flock -w 10 9; then
        fail "--work_dir $work_dir: another run works there${holder:+, process $holder}; wait for its end"
    fi
}

# ---- steps -------------------------------------------------------------------------------------------

# step WHAT COMMAND…: says what is done; ends the script if it fails. It is for scripts that end_together.
step() {
    say "$1"
    run "${@:2}" || fail "failed: $1"
}

# sample_shape FILE: prints the shape of a sample that a config makes or a model takes: views, RGB, frames, height, width.
sample_shape() { python "$root/test/sample_shape.py" "$1"; }

# show_if_failed COMMAND…: a command whose output is shown only if it fails.
show_if_failed() {
    local output
    output=$("$@" 2>&1) && return
    printf '%s\n' "$output" >&2
    return 1
}

# ---- CANN --------------------------------------------------------------------------------------------

# Prints the path of CANN's set_env.sh: by the variables that an earlier set_env.sh or an image has set, else where
# CANN's installers put it, for an ordinary user first. The toolkit comes before nnrt, which runs models and has no ATC.
# CANN_SYSTEM_ROOT stands before /usr/local in the tests.
find_set_env() {
    local home=${HOME:-}/Ascend system=${CANN_SYSTEM_ROOT:-}/usr/local/Ascend folder
    for folder in "${ASCEND_TOOLKIT_HOME:-}" "${ASCEND_TOOLKIT_HOME:+$ASCEND_TOOLKIT_HOME/..}" \
        "${ASCEND_HOME_PATH:-}" "${ASCEND_HOME_PATH:+$ASCEND_HOME_PATH/..}" \
        "$home/cann" "$home/ascend-toolkit" "$system/cann" "$system/ascend-toolkit" "$home/nnrt" "$system/nnrt"; do
        if [ -n "$folder" ] && [ -f "$folder/set_env.sh" ]; then
            printf %s "$folder/set_env.sh"
            return
        fi
    done
}

# Puts CANN on the path, if it is installed and not there yet.
use_cann() {
    local set_env
    if command -v atc >/dev/null; then
        return
    fi
    set_env=$(find_set_env)
    if [ -z "$set_env" ]; then
        return
    fi
    # A set_env.sh that meets an error can end the shell that reads it, so a shell of its own reads it first.
    # shellcheck disable=SC2016
    if [ "$(bash -c '. "$1" >/dev/null 2>&1; echo read' use_cann "$set_env")" != read ]; then
        say "$set_env ends with an error, so CANN is not used: is it installed completely?"
        return
    fi
    set +eu # it reads variables that are not set
    # shellcheck disable=SC1090
    . "$set_env"
    set -euo pipefail
}

# Prints which of the Python packages that run an .om are missing, and why.
missing_packages() {
    (cd "$root" && python -c 'import r2plus1d.npu; print(" and ".join(r2plus1d.npu.missing_packages()))')
}

# The environment that setup.sh made, unless another one is active.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f "$root/.venv/bin/activate" ]; then
    # shellcheck disable=SC1091
    . "$root/.venv/bin/activate"
fi
export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
# glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export's time
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
