# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by the scripts of this folder; not run by itself.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '[%s] %s\n' "$(basename "$0")" "$*"; }

fail() {
    printf '%s: %s\nfail!\n' "$(basename "$0")" "$*" >&2
    exit 1
}

usage() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
}

# show_help NAMES: the comment at the top of the script, then its options with their defaults.
show_help() {
    local name
    sed -n '/SPDX-License-Identifier/,/^[^#]/s/^# \{0,1\}//p' "$0" | tail -n +3
    printf '\noptions and defaults:\n'
    for name in $1; do
        case $name in
        *+) printf '  --%s\n' "${name%+}" ;;
        *) printf '  --%s "%s"\n' "$name" "${!name}" ;;
        esac
    done
    printf '  --help\n'
}

# parse_options "NAME FLAG+ …" "$@": sets $NAME from --NAME VALUE or --NAME=VALUE, and $FLAG to yes from --FLAG; the
# defaults are set before. --help and -h call show_help and end the script.
parse_options() {
    local names=$1 known name value
    shift
    known=" ${names//+/} "
    while [ $# -gt 0 ]; do
        if [ "$1" = --help ] || [ "$1" = -h ]; then
            show_help "$names"
            exit 0
        fi
        name=${1#--}
        name=${name%%=*}
        if [[ $1 != --* || -z $name || $known != *" $name "* ]]; then
            known=${known% }
            usage "$1: unknown; the options are${known// / --} --help"
        fi
        if [[ " $names " == *" $name+ "* ]]; then
            [[ $1 != *=* ]] || usage "$1: --$name takes no value"
            value=yes
        elif [[ $1 == *=* ]]; then
            value=${1#*=}
        else
            [ $# -ge 2 ] || usage "$1 needs a value"
            value=$2
            shift
        fi
        printf -v "$name" %s "$value"
        shift
    done
    # shellcheck disable=SC2154 # set by the caller
    [[ " $batch_sizes" =~ ^(\ +[1-9][0-9]*)+\ *$ ]] || usage "--batch_sizes \"$batch_sizes\": numbers with spaces"
}

need_file() { [ -f "$2" ] || usage "$1 $2: no such file"; }

# need_folder NAME FOLDER: makes the folder if it is missing; ends the script if files cannot be written there.
need_folder() {
    [ ! -e "$2" ] || [ -d "$2" ] || fail "$1 $2: is a file, not a folder"
    mkdir -p -- "$2" 2>/dev/null || fail "$1 $2: the folder cannot be made; give one that you may write to"
    [ -w "$2" ] || fail "$1 $2: files cannot be written there; give a folder that you may write to"
}

# step WHAT COMMAND…: says what is done; ends the script if it fails.
step() {
    say "$1"
    "${@:2}" || fail "failed: $1"
}

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
    (cd "$root" && python -c 'import r2plus1d_npu; print(" and ".join(r2plus1d_npu.missing_packages()))')
}

# The environment that setup.sh made, unless another one is active.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f "$root/.venv/bin/activate" ]; then
    # shellcheck disable=SC1091
    . "$root/.venv/bin/activate"
fi
export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
# glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export's time
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
