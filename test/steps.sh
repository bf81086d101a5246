# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by setup.sh and by the scripts that run it first: the demo, the trainings, the tests. Not run by itself.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/test/shell.sh"

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
    width=$(stty size </dev/tty 2>/dev/null | cut -d ' ' -f 2) || true
    while kill -0 $$ 2>/dev/null; do
        line=$(tail -c 1000 "$1" | tr '\r' '\n' | sed $'s/\e\\[[0-9;]*[A-Za-z]//g; /^ *$/d' | tail -n 1)
        line="    $((SECONDS - start)) s  $line"
        printf '\r\e[K%s' "${line:0:${width:-80}-1}"
        sleep 1
    done
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

# set_up: makes the environment, and uses it unless another one is active.
set_up() {
    bash "$root/setup.sh"
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        # shellcheck disable=SC1091
        . "$root/.venv/bin/activate"
    fi
    export PYTHONWARNINGS=ignore # of mmcv and torch, about their next versions
    # glibc gives the memory of each layer's output back, and the system clears it for the next: a quarter of an export
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
}
