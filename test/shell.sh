# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by all shell scripts, setup.sh among them; not run by itself. Reading it sets $root and functions, no more.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '[%s] %s\n' "$(basename "$0")" "$*"; }

usage() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

fail() {
    printf '%s: %s\nfail!\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# give_up STATUS: ends the script as a command has ended that has said why; 2 is of wrong arguments.
give_up() {
    [ "$1" -eq 2 ] || echo 'fail!' >&2
    exit "$1"
}

# ---- the environment ---------------------------------------------------------------------------------

# The environment that setup.sh made, unless another one is active. $convert is test/convert.py, which needs no package.
use_environment() {
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f "$root/.venv/bin/activate" ]; then
        # shellcheck disable=SC1091
        . "$root/.venv/bin/activate"
    fi
    export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
    # glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
    convert=(env -u PYTHONHOME "${CANN_PYTHON:-python3}" "$root/test/convert.py")
}

# Makes the environment, and uses it unless another one is active.
set_up() {
    bash "$root/setup.sh"
    use_environment
}

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

# ---- options -----------------------------------------------------------------------------------------

# show_help NAMES: the comment at the top of the script, then its options with their defaults and the comments behind these.
show_help() {
    local name word
    sed -n '/SPDX-License-Identifier/,/^[^#]/s/^# \{0,1\}//p' "$0" | tail -n +3
    printf '\noptions and defaults:\n'
    for word in $1; do
        name=${word#:}
        case $word in
        :*) printf '  %s "%s"' "$name" "${!name}" ;;
        *+) name=${word%+} && printf '  --%s' "$name" ;;
        *) printf '  --%s "%s"' "$name" "${!name}" ;;
        esac
        printf '%s\n' "$(sed -n "s/^$name=.* #/    #/p" "$0")"
    done
    printf '  --help\n'
}

# parse_options "NAME FLAG+ :ARGUMENT …" "$@": sets $NAME from --NAME VALUE or --NAME=VALUE, $FLAG to yes from --FLAG,
# and $ARGUMENT from a word that is no option. The defaults are set before. --help and -h end the script with show_help.
# $options is then a list of all of them, as --NAME=VALUE.
parse_options() {
    local names=" $1 " name value
    shift
    while [ $# -gt 0 ]; do
        name=${1%%=*}
        name=${name#--}
        if [ "$1" = --help ] || [ "$1" = -h ]; then
            show_help "$names"
            exit 0
        elif [[ $1 == [!-]* && $names == *" :"* ]]; then
            name=${names#* :}
            name=${name%% *}
            names=${names/ :$name / }
            value=$1
        elif [[ $1 == --* && $name =~ ^[a-z0-9_]+$ && $names == *" $name+ "* ]]; then
            [[ $1 != *=* ]] || usage "$1: --$name takes no value"
            value=yes
        elif [[ $1 == --* && $name =~ ^[a-z0-9_]+$ && $names == *" $name "* ]]; then
            value=${1#*=}
            if [[ $1 != *=* ]]; then
                [ $# -ge 2 ] || usage "$1 needs a value"
                value=$2
                shift
            fi
        else
            # shellcheck disable=SC2086 # a list
            usage "$1: unknown. The options are$(printf ' --%s' ${names//+ / } help)"
        fi
        printf -v "$name" %s "$value"
        shift
    done
    options=()
    for name in ${names//+ / }; do
        [[ $name == :* ]] || options+=("--$name=${!name}")
    done
}

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

# ---- folders -----------------------------------------------------------------------------------------

# Makes $work_dir, and takes it for this run alone. All processes of a run hold the lock, so those that a killed run has
# left are waited for.
take_work_dir() {
    file_names
    # shellcheck disable=SC2154 # set by the scripts
    [ ! -e "$work_dir" ] || [ -d "$work_dir" ] || fail "--work_dir $work_dir: is a file, not a folder"
    mkdir -p -- "$work_dir" 2>/dev/null || fail "--work_dir $work_dir: the folder cannot be made; give another one"
    [ -w "$work_dir" ] || fail "--work_dir $work_dir: files cannot be written there; give another folder"
    exec 9<"$work_dir"
    command -v flock >/dev/null || return 0
    flock -w 5 9 || [ "$?" -ne 1 ] || fail "--work_dir $work_dir: another run works there; wait for its end" # others: no locks
}

# own_folder FOLDER MARKER: makes the folder, with the file MARKER in it, by which the script knows the folder again. A
# folder that holds files and no marker is somebody else's: it is refused.
own_folder() {
    if [ -e "$1" ] && [ ! -d "$1" ]; then
        usage "$1: is a file; give a folder"
    fi
    if [ ! -e "$1/$2" ] && [ -n "$(ls -A -- "$1" 2>/dev/null)" ]; then
        usage "$1: has files in it, and this script has not made them (there is no $2): give a new folder"
    fi
    { mkdir -p -- "$1" && : >"$1/$2"; } 2>/dev/null || usage "$1: files cannot be written there; give another folder"
}

# ---- commands, and their end -------------------------------------------------------------------------

child= # the process that `run` waits for

# From here on a signal that ends the script ends what `run` has started, too.
end_together() {
    trap 'stop 1' HUP
    trap 'stop 2' INT
    trap 'stop 15' TERM
}

# run COMMAND…: a command, or a function, in a process group of its own, which ends when the script is told to end, and
# which Linux tells to end where the script is killed. Without it bash would look at a signal only after the command.
run() {
    local status=0 tied=()
    if [ "$(type -t "$1")" = file ] && setpriv --pdeathsig TERM true 2>/dev/null; then
        tied=(setpriv --pdeathsig TERM)
    fi
    set -m
    ${tied[@]+"${tied[@]}"} "$@" </dev/null &
    set +m
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

# stop NUMBER: what the signal with this number does. What does not end within three seconds is killed.
stop() {
    local i
    trap '' HUP INT TERM
    child=${child:-${!:-}} # where the signal came before `run` had noted it
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        for ((i = 0; i < 30; i++)); do
            kill -0 -- "-$child" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$child" 2>/dev/null || true
    fi
    printf '%s: stopped by a signal; the same command goes on, or begins again\nfail!\n' "$(basename "$0")" >&2
    exit $((128 + $1))
}

# step WHAT COMMAND…: says what is done; ends the script if it fails. It is for scripts that end_together.
step() {
    say "$1"
    run "${@:2}" || fail "failed: $1"
}

# step_to FILE WHAT COMMAND…: a step whose standard output is FILE, which appears whole or not at all
step_to() {
    local part
    part=$(dirname "$1")/.r2plus1d_output # what a killed run has left there is overwritten
    say "$2"
    mkdir -p "$part" || fail "failed: $2"
    if ! run "${@:3}" >"$part/output"; then
        rm -f "$part/output"
        rmdir "$part"
        fail "failed: $2"
    fi
    if [ -s "$part/output" ]; then mv "$part/output" "$1"; else rm "$part/output"; fi
    rmdir "$part"
}

# live LOG COMMAND…: a command whose output goes to LOG. On a terminal the last line of LOG is shown until it ends, after
# the seconds that the command has taken. If it fails, the end of LOG is shown.
live() {
    local log=$1 status=0 watcher=
    : >"$log"
    if [ -t 1 ]; then
        show_last_line "$log" &
        watcher=$!
    fi
    run "${@:2}" >"$log" 2>&1 || status=$?
    if [ -n "$watcher" ]; then
        kill "$watcher" && wait "$watcher" 2>/dev/null || true
        printf '\r\e[K'
    fi
    [ "$status" -eq 0 ] || tail -n 30 "$log" >&2
    return "$status"
}

show_last_line() {
    local start=$SECONDS width line
    width=$(stty size 2>/dev/null </dev/tty | cut -d ' ' -f 2) || true
    while kill -0 $$ 2>/dev/null; do
        line=$(tail -c 1000 "$1" | tr '\r' '\n' | sed $'s/\e\\[[0-9;]*[A-Za-z]//g; /^ *$/d' | tail -n 1)
        line="    $((SECONDS - start)) s  $line"
        printf '\r\e[K%s' "${line:0:${width:-80}-1}"
        sleep 1
    done
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
