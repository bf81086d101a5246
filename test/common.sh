# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts that use the environment; not run by itself.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/test/shell.sh"
# shellcheck disable=SC2034 # of shell.sh
last_line='fail!'

# The environment that setup.sh made, unless another one is active.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f "$root/.venv/bin/activate" ]; then
    # shellcheck disable=SC1091
    . "$root/.venv/bin/activate"
fi
export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
# glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export's time
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184

fail() {
    printf '%s: %s\nfail!\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# give_up STATUS: ends the script as a command has ended that has said why; 2 is of wrong arguments.
give_up() {
    [ "$1" -eq 2 ] || echo 'fail!' >&2
    exit "$1"
}

# step WHAT COMMAND…: says what is done; ends the script if it fails. It is for scripts that end_together.
step() {
    say "$1"
    run "${@:2}" || fail "failed: $1"
}

# step_to FILE WHAT COMMAND…: a step whose standard output is FILE, which appears whole or not at all
step_to() {
    say "$2"
    if ! run "${@:3}" >"$1.part"; then
        rm -f "$1.part"
        fail "failed: $2"
    fi
    if [ -s "$1.part" ]; then mv "$1.part" "$1"; else rm "$1.part"; fi
}

# ---- options -----------------------------------------------------------------------------------------

need_file() { [ -f "$2" ] || usage "$1 $2: no such file"; }

# Makes of each of these options a file name for every command, not an option.
file_names() {
    local name
    for name in config checkpoint model work_dir calibration_bins; do
        [[ ${!name-} != -* ]] || printf -v "$name" %s "./${!name}"
    done
}

check_batch_sizes() {
    # shellcheck disable=SC2154 # set by the scripts
    [[ " $batch_sizes" =~ ^(\ +[1-9][0-9]*)+\ *$ ]] || usage "--batch_sizes \"$batch_sizes\": numbers with spaces"
}

# Prints the process id of the script that has $work_dir open as its lock, if it can be seen.
find_holder() {
    # shellcheck disable=SC2154 # set by the scripts
    find -L /proc/[0-9]*/fd/9 -maxdepth 0 -samefile "$work_dir" 2>/dev/null | cut -d / -f 3 | grep -vx $$ |
        sed 's|.*|/proc/&/cmdline|' | xargs grep -lE '(eval_acc_perf|pth2om)\.sh' 2>/dev/null | head -n 1 | cut -d / -f 3
}

# Makes $work_dir, and takes it for this run alone. All processes of a run hold the lock, so those that a killed run has
# left are waited for.
take_work_dir() {
    file_names
    # shellcheck disable=SC2154 # set by the scripts
    [ ! -e "$work_dir" ] || [ -d "$work_dir" ] || fail "--work_dir $work_dir: is a file, not a folder"
    mkdir -p -- "$work_dir" 2>/dev/null || fail "--work_dir $work_dir: the folder cannot be made; give another one"
    [ -w "$work_dir" ] || fail "--work_dir $work_dir: files cannot be written there; give another folder"
    exec 9<"$work_dir"
    if command -v flock >/dev/null && ! flock -w 5 9; then
        holder=$(find_holder) || true
        fail "--work_dir $work_dir: another run works there${holder:+, process $holder}; wait for its end"
    fi
}

# Makes the folder $scratch in $work_dir, which goes at the end.
make_scratch() {
    scratch=$work_dir/.conversion-export
    rm -rf "$work_dir"/.conversion-* # of a run that was killed
    mkdir "$scratch"
    trap 'rm -rf "$work_dir"/.conversion-*' EXIT
}

# ---- CANN --------------------------------------------------------------------------------------------

# test/convert.py, which needs no package, in a Python of 3.7 or later
convert=(env -u PYTHONHOME python3 "$root/test/convert.py")
if ! env -u PYTHONHOME python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' 2>/dev/null; then
    [ -n "${CANN_PYTHON:-}" ] || fail "python3 is older than 3.7: name another one by CANN_PYTHON=/path/python3"
    convert[3]=$CANN_PYTHON
fi

# Puts CANN on the path, if it is installed and not there yet, and sets $missing: which of the Python packages that run an
# .om are missing, and why.
use_cann() {
    local set_env=
    command -v atc >/dev/null || set_env=$("${convert[@]}" set_env)
    if [ -n "$set_env" ]; then
        set +eu # it reads variables that are not set
        # shellcheck disable=SC1090
        . "$set_env"
        set -eu
    fi
    # shellcheck disable=SC2034 # used by the scripts
    missing=$(cd "$root" && python -c 'import r2plus1d.npu; print(" and ".join(r2plus1d.npu.missing_packages()))')
}

# Leaves out of $models the .om files, where this machine cannot run them, and says why.
leave_out_oms() {
    local all=("${models[@]}") model
    use_cann
    [ -n "$missing" ] || return 0
    models=()
    for model in "${all[@]}"; do
        [[ $model == *.om ]] || models+=("$model")
    done
    [ ${#models[@]} -eq ${#all[@]} ] || say "the .om files are not compared with PyTorch: that needs $missing"
}

# onnxsim FROM TO OPTION…: shows onnxsim's table of operators, in which a model with a dynamic batch has formulas for
# numbers, only if it fails. There are machines for which it has no wheel.
onnxsim() {
    local output
    if ! python -c 'import onnxsim' 2>/dev/null; then
        say "onnxsim is not installed (no wheel for this Python and machine): $2 is a copy of $1"
        cp "$1" "$2"
    elif ! output=$(python -m onnxsim "${@:3}" "$1" "$2" 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
}
