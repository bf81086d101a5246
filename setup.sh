#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Makes the environment of all other scripts: packages, ./mmcv and ./mmaction2 with patches/ applied.
#
#     bash setup.sh                      # in the active venv or conda environment, else in .venv
#     PYTHON=python3.11 bash setup.sh    # .venv with this Python; a .venv of another one is made anew
#     MMCV_WITH_OPS=1 bash setup.sh      # with mmcv's C++ ops, which R(2+1)D does not use (minutes of compiling)
#
# A second run is quick and changes nothing; a run after one that was interrupted finishes the work.
# Packages that are installed already keep their versions. Existing ./mmcv and ./mmaction2 (clones at the original
# guide's commits, say) are kept and patched.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/test/shell.sh"
parse_options "" "$@"
cd "$root"

export MMCV_WITH_OPS=${MMCV_WITH_OPS:-0} PIP_DISABLE_PIP_VERSION_CHECK=1
# What is imported here is compiled, once and for all: where this is set, as in many containers, each later start would
# do it again, seconds long. pip would compile every file of every package, ten times as much.
unset PYTHONDONTWRITEBYTECODE
work=$PWD/.setup.$$

# Sets $python: that of the active environment, or of .venv, which is made anew only where PYTHON asks for another one.
choose_python() {
    local base=${PYTHON:-python3} present='' about='import sys; print(sys.version)'
    if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        python=$(command -v python) || fail "no python in the active environment"
        is_supported "$python" || fail "$python is $("$python" --version 2>&1), and Python 3.8 to 3.14 is needed:" \
            "activate an environment with one, or none: set-up then makes .venv"
        [ -z "${PYTHON:-}" ] || say "PYTHON=$PYTHON is not used, because an environment is active: $python"
        return
    fi
    python=$PWD/.venv/bin/python
    if "$python" -m pip --version >/dev/null 2>&1; then
        present=$("$python" -c "$about")
    fi
    if [ -n "$present" ] && [ -z "${PYTHON:-}" ] && is_supported "$python"; then
        return
    fi
    command -v "$base" >/dev/null || fail "no $base: install Python 3.8 to 3.14, or set PYTHON to one"
    is_supported "$base" || fail "$base is $("$base" --version 2>&1 | tail -n 1), and Python 3.8 to 3.14 is needed:" \
        "set PYTHON to one, as in: PYTHON=python3.11 bash setup.sh"
    if [ "$present" != "$("$base" -c "$about")" ]; then
        say "making .venv with $("$base" --version)${present:+; it was made with Python ${present%% *}}"
        "$base" -m venv --clear .venv || fail "could not make .venv: install $base's venv module" \
            "(Debian: python3-venv), or activate an environment of your own"
    fi
}

is_supported() { "$1" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 15))' 2>/dev/null; }

# No package that is there is changed, unless requirements.txt refuses it. The tested versions are taken where they fit
# what is there, else others.
install_packages() {
    local start=$SECONDS log=$work/packages.log
    "$python" -m r2plus1d.installed plan "$work"
    local pip=("$python" -m pip install --no-compile --progress-bar off --prefer-binary -r "$work/requirements.txt"
        -c "$work/kept.txt")
    if ! live "$log" "${pip[@]}" -c "$work/pins.txt" 2>"$work/end"; then
        if ! grep -q ResolutionImpossible "$log"; then
            cat "$work/end" >&2
            fail "pip could not install the packages, see above"
        fi
        say "    the tested versions do not fit what is installed, or are not to be had: others are looked for"
        live "$log" "${pip[@]}" || fail "pip could not install the packages, see above; nothing was changed. If others of" \
            "this environment are in the way, use one of its own: deactivate, and run set-up again"
    fi
    say "    $((SECONDS - start)) s; new packages: $(sed -n 's/^Successfully installed //p' "$log" | wc -w)"
}

# get_source DIR PACKAGE: the source package in ./DIR, patched
get_source() {
    "$python" -m r2plus1d.sources renew "$1"
    if [ ! -e "$1" ]; then
        say "    the source of $2 into ./$1"
        live "$work/$1.log" env MMCV_WITH_OPS=1 PYTHONPATH="$PWD/patches/shim${PYTHONPATH:+:$PYTHONPATH}" \
            "$python" -m pip download --progress-bar off --no-deps --no-binary :all: --no-build-isolation -d "$work" \
            "$2" || fail "pip could not download the source package of $2, see above"
    fi
    "$python" -m r2plus1d.sources patch "$1" "$work"
}

# ./mmcv and ./mmaction2 as path entries (editable_mode=compat), which puts mmaction2's tools on the path too
install_sources() {
    local options=()
    if "$python" -m pip install --help | grep -q -- --config-settings; then
        options=(--use-pep517 --config-settings editable_mode=compat)
    fi
    live "$work/editable.log" "$python" -m pip install --no-deps --no-build-isolation ${options[@]+"${options[@]}"} \
        -e ./mmcv -e ./mmaction2 || fail "pip could not install them, see above"
}

# The state that a finished set-up leaves: if it is the same now, there is nothing to do.
fingerprint() {
    printf '%s ' "$PWD" "$MMCV_WITH_OPS" "$("$python" --version)"
    cat setup.sh requirements.txt constraints.txt patches/*/*.patch | cksum
}

command -v git >/dev/null || fail "git is needed: it applies the patches"
choose_python
prefix=$("$python" -c 'import sys; print(sys.prefix)')
stamp=$prefix/.r2plus1d_setup
if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ] && "$python" -m r2plus1d.sources check &&
    "$python" -m r2plus1d.installed check find 2>/dev/null; then
    say "nothing to do"
    exit
fi
rm -f "$stamp"
end_together
trap 'rm -rf "$work"' EXIT
rm -rf .setup.*
mkdir "$work"
say "1 of 4: installing packages into $prefix"
install_packages
say "2 of 4: the sources of mmcv and mmaction2, with patches/"
get_source mmcv mmcv-full==1.7.2
get_source mmaction2 mmaction2==0.24.1
"$python" -m r2plus1d.sources link
say "3 of 4: installing ./mmcv and ./mmaction2"
install_sources
say "4 of 4: importing them"
"$python" -W ignore -m r2plus1d.installed check import ||
    fail "the packages do not work together, see above; is another version of one installed?"
fingerprint >"$stamp"
say "done"
[ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || say "for the README's commands: source .venv/bin/activate"
