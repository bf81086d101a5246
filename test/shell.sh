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

# show_help NAMES: the comment at the top of the script, then its options with their defaults.
show_help() {
    local name
    sed -n '/SPDX-License-Identifier/,/^[^#]/s/^# \{0,1\}//p' "$0" | tail -n +3
    printf '\noptions and defaults:\n'
    for name in $1; do
        case $name in
        :*)
            name=${name#:}
            printf '  %s "%s"\n' "$name" "${!name}"
            ;;
        *+) printf '  --%s\n' "${name%+}" ;;
        *) printf '  --%s "%s"\n' "$name" "${!name}" ;;
        esac
    done
    printf '  --help\n'
}

# distance WORD WORD: prints how many letters must be inserted, deleted or replaced to get from one to the other.
distance() {
    local i j least row=() above
    for ((j = 0; j <= ${#2}; j++)); do
        row[j]=$j
    done
    for ((i = 1; i <= ${#1}; i++)); do
        above=("${row[@]}")
        row[0]=$i
        for ((j = 1; j <= ${#2}; j++)); do
            least=${above[j - 1]}
            if [ "${1:i-1:1}" != "${2:j-1:1}" ]; then
                least=$((least < above[j] ? least : above[j]))
                least=$((least < row[j - 1] ? least + 1 : row[j - 1] + 1))
            fi
            row[j]=$least
        done
    done
    printf %s "${row[${#2}]}"
}

# nearest WORD NAMES: prints the name that WORD is probably a slip for: one that begins with it, or one from which about
# a third of its letters differ at most.
nearest() {
    local word=$1 name letters found='' least=$(((${#1} + 1) / 3 + 1))
    for name in $2; do
        if [ ${#word} -ge 3 ] && [[ $name == "$word"* ]]; then
            printf %s "$name"
            return
        fi
        letters=$(distance "$word" "$name")
        if [ "$letters" -lt "$least" ]; then
            least=$letters
            found=$name
        fi
    done
    printf %s "$found"
}

# refuse_option ARGUMENT NAMES: says that the argument is unknown, what it may be a slip for, and what there is.
refuse_option() {
    local word=${1%%=*} hint
    while [[ $word == -* ]]; do
        word=${word#-}
    done
    hint=$(nearest "$word" "$2 help")
    # shellcheck disable=SC2086 # $2 is a list
    usage "$1: unknown.${hint:+ Did you mean --$hint?} The options are$(printf ' --%s' $2 help)"
}

# parse_options "NAME FLAG+ :ARGUMENT …" "$@": sets $NAME from --NAME VALUE or --NAME=VALUE, $FLAG to yes from --FLAG,
# and $ARGUMENT from a word that is no option. The defaults are set before. --help and -h end the script with show_help.
parse_options() {
    local names=$1 known='' word name value
    shift
    for word in $names; do
        [[ $word == :* ]] || known+=" ${word%+}"
    done
    known=${known# }
    while [ $# -gt 0 ]; do
        if [ "$1" = --help ] || [ "$1" = -h ]; then
            show_help "$names"
            exit 0
        fi
        if [ -n "$1" ] && [[ $1 != -* && $names == *:* ]]; then
            name=${names#*:}
            name=${name%% *}
            names=${names/:$name/}
            printf -v "$name" %s "$1"
            shift
            continue
        fi
        name=${1#--}
        name=${name%%=*}
        if [[ $1 != --* || -z $name || " $known " != *" $name "* ]]; then
            refuse_option "$1" "$known"
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
    if [[ " $known " == *" batch_sizes "* ]]; then
        # shellcheck disable=SC2154 # set by the caller
        [[ " $batch_sizes" =~ ^(\ +[1-9][0-9]*)+\ *$ ]] || usage "--batch_sizes \"$batch_sizes\": numbers with spaces"
    fi
}

# ---- folders that a script makes and may delete ------------------------------------------------------

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

# ---- the end of a script, and of all that it has started ---------------------------------------------

child=     # the process that `run` waits for
last_line= # what a script prints last when a signal has ended it

# From here on a signal that ends the script ends all that it has started with `run`, too. So does SIGKILL, within two
# seconds: a process beside the script looks for its end. Each process knows by the variable R2PLUS1D_RUN whose it is.
end_together() {
    export R2PLUS1D_RUN=$$-$RANDOM-
    trap 'stop 1' HUP
    trap 'stop 2' INT
    trap 'stop 15' TERM
    guard </dev/null >/dev/null 2>&1 9>&- & # 9: the lock of pth2om.sh
    disown
}

# run COMMAND…: a command, or a function, that ends when the script is told to end. Without it bash would look at SIGTERM
# only after the command, or end alone.
run() {
    local status=0
    "$@" &
    child=$!
    wait "$child" || status=$?
    child=
    return "$status"
}

# until_failure COMMAND…: a function for `run` that ends at its first failed command, as a script does.
until_failure() {
    set -e
    "$@"
}

# Prints the process ids of all that this script has started and of what that has started.
list_started() {
    local mark=R2PLUS1D_RUN=$R2PLUS1D_RUN
    env -u R2PLUS1D_RUN grep -lsF "$mark" /proc/[0-9]*/environ | cut -d / -f 3
}

# end_started SIGNAL: sends it to all of them.
end_started() {
    local pid
    for pid in $(list_started); do
        kill "-$1" "$pid" 2>/dev/null || true
    done
}

# stop NUMBER: what the signal with this number does.
stop() {
    local i
    trap '' HUP INT TERM
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true # its own processes are its own to end, as far as it can
        for ((i = 0; i < 30; i++)); do
            kill -0 "$child" 2>/dev/null || break
            sleep 0.1
        done
    fi
    end_all_started
    stop_watching
    printf '%s: stopped by a signal; the same command goes on, or begins again\n' "$(basename "$0")" >&2
    [ -z "$last_line" ] || printf '%s\n' "$last_line" >&2
    exit $((128 + $1))
}

# Ends them by SIGTERM, and what has not ended after three seconds by SIGKILL.
end_all_started() {
    local i signal=TERM
    for ((i = 0; i < 40; i++)); do
        [ -n "$(list_started)" ] || return 0
        [ "$i" -lt 30 ] || signal=KILL
        end_started "$signal"
        sleep 0.1
    done
}

# The process beside the script. A process that has lost its parent is given another one.
guard() {
    local parent rest
    trap '' HUP INT TERM
    while read -r rest rest rest parent rest <"/proc/$BASHPID/stat" && [ "$parent" = $$ ]; do
        sleep 1
    done
    end_all_started
}

# ---- progress ----------------------------------------------------------------------------------------

watcher=

# watch_log LOG: on a terminal, shows how long it takes and the last line of the log, each second until stop_watching.
watch_log() {
    if [ -t 1 ]; then
        show_last_line "$1" &
        watcher=$!
    fi
}

show_last_line() {
    local start=$SECONDS width line
    exec 3<&1 # the terminal; in a command substitution, 1 is a pipe
    width=$(stty size <&3 2>/dev/null | cut -d' ' -f2) || width=0
    [ "${width:-0}" -gt 0 ] || width=80
    while kill -0 $$ 2>/dev/null; do
        # Before the step begins there is no log, and a failed command would end this loop.
        line=$({ tail -c 1000 "$1" 2>/dev/null || true; } | tr '\r' '\n' |
            sed $'s/\e\\[[0-9;]*[A-Za-z]//g; /^ *$/d' | tail -n 1)
        line="    $((SECONDS - start)) s  $line"
        printf '\r\e[K%s' "${line:0:width-1}"
        sleep 1
    done
}

stop_watching() {
    if [ -n "$watcher" ]; then
        kill "$watcher" 2>/dev/null || true
        wait "$watcher" 2>/dev/null || true
        printf '\r\e[K'
        watcher=
    fi
}
