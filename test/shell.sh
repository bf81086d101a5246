# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by all shell scripts, setup.sh among them; not run by itself. Reading it changes nothing but functions.
# shellcheck shell=bash

say() { printf '[%s] %s\n' "$(basename "$0")" "$*"; }

usage() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 2
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

# ---- the end of a script, and of what it has started -------------------------------------------------

child=     # the process that `run` waits for
last_line= # what a script prints last when a signal has ended it

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
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null || true
        for ((i = 0; i < 30; i++)); do
            kill -0 -- "-$child" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$child" 2>/dev/null || true
    fi
    printf '%s: stopped by a signal; the same command goes on, or begins again\n' "$(basename "$0")" >&2
    [ -z "$last_line" ] || printf '%s\n' "$last_line" >&2
    exit $((128 + $1))
}
