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

# parse_options "NAME …" "$@": sets $NAME from --NAME VALUE or --NAME=VALUE; the defaults are set before.
parse_options() {
    local names=$1 name value
    shift
    while [ $# -gt 0 ]; do
        name=${1#--}
        name=${name%%=*}
        case " $names " in
        *" $name "*) [[ $1 == --* ]] || usage "$1: unknown; the options are --${names// / --}" ;;
        *) usage "$1: unknown; the options are --${names// / --}" ;;
        esac
        if [[ $1 == *=* ]]; then
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

# step WHAT COMMAND…: says what is done; ends the script if it fails.
step() {
    say "$1"
    "${@:2}" || fail "failed: $1"
}

# Puts CANN on the path, if it is installed where its installer puts it.
use_cann() {
    local env=${ASCEND_TOOLKIT_HOME:-/usr/local/Ascend/ascend-toolkit}/set_env.sh
    if ! command -v atc >/dev/null && [ -f "$env" ]; then
        set +u
        # shellcheck disable=SC1090
        . "$env"
        set -u
    fi
}

# The chip's name in the table of npu-smi info, such as 310P3: the first row with a number and a name.
chip_name() {
    local name
    command -v npu-smi >/dev/null || fail "no npu-smi: give the chip with --soc_version, such as Ascend310P3"
    name=$(npu-smi info | awk -F '|' '$2 ~ /^ *[0-9]+ +[^ ]+ *$/ { split($2, f, " "); print f[2]; exit }')
    [ -n "$name" ] || fail "npu-smi info names no chip: give it with --soc_version, such as Ascend310P3"
    printf %s "$name"
}

# The environment that setup.sh made, unless another one is active.
if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -f "$root/.venv/bin/activate" ]; then
    # shellcheck disable=SC1091
    . "$root/.venv/bin/activate"
fi
export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
# glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export's time
export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
