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
# Existing ./mmcv and ./mmaction2 (clones at the original guide's commits, say) are kept and patched.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/test/shell.sh"
parse_options "" "$@"
cd "$(dirname "${BASH_SOURCE[0]}")"

MMCV=mmcv-full==1.7.2
MMACTION2=mmaction2==0.24.1
TESTED_PYTHON=3.11 # what constraints.txt was tested on
export MMCV_WITH_OPS=${MMCV_WITH_OPS:-0} PIP_DISABLE_PIP_VERSION_CHECK=1
# What is imported here is compiled, once and for all: where this is set, as in many containers, each later start would
# do it again, seconds long. pip would compile every file of every package, ten times as much.
unset PYTHONDONTWRITEBYTECODE

die() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}

work=$PWD/.setup.$$

# is_supported PYTHON: whether set-up works with it
is_supported() { "$1" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 15))' 2>/dev/null; }

# Makes .venv with $PYTHON, or with python3 where PYTHON is not set. A .venv that is there is kept if it has that Python
# or, where PYTHON is not set, any that is supported. The version is looked at before anything is made.
make_venv() {
    local base=${PYTHON:-python3} present='' version='import sys; print(sys.version)'
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then
        present=$(.venv/bin/python -c "$version")
    fi
    if [ -n "$present" ] && [ -z "${PYTHON:-}" ] && is_supported .venv/bin/python; then
        return
    fi
    command -v "$base" >/dev/null || die "no $base: install Python 3.8 to 3.14, or set PYTHON to one"
    is_supported "$base" || die "$base is $("$base" --version 2>&1 | tail -n 1), and Python 3.8 to 3.14 is needed:" \
        "set PYTHON to one, as in: PYTHON=python3.11 bash setup.sh"
    if [ -n "$present" ] && [ "$present" = "$("$base" -c "$version")" ]; then
        return
    fi
    say "making .venv with $("$base" --version)${present:+; it was made with Python ${present%% *}}"
    "$base" -m venv --clear .venv || die "could not make .venv: install $base's venv module" \
        "(Debian: python3-venv), or activate an environment of your own"
}

# Sets $python: that of the active environment, or of .venv.
choose_python() {
    if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        python=$(command -v python) || die "no python in the active environment"
        [ -z "${PYTHON:-}" ] || say "PYTHON=$PYTHON is not used, because an environment is active: $python"
    else
        make_venv
        python=$PWD/.venv/bin/python
    fi
    is_supported "$python" || die "$python is $("$python" --version 2>&1), and Python 3.8 to 3.14 is needed:" \
        "activate an environment with one, or none: set-up then makes .venv"
}

# The state that a finished set-up leaves: if it is the same now, there is nothing to do.
fingerprint() {
    printf '%s ' "$PWD" "$MMCV_WITH_OPS" "$("$python" --version)"
    cat setup.sh requirements.txt constraints.txt patches/*/*.patch | cksum
}

# logged NAME COMMAND…: a command whose output goes to a log. On a terminal the log's last line is shown meanwhile; if
# the command fails, the end of the log is.
logged() {
    local log=$work/$1.log status=0
    watch_log "$log"
    run "${@:2}" >"$log" 2>&1 || status=$?
    stop_watching
    if [ "$status" -ne 0 ]; then
        tail -n 30 "$log" >&2
        return "$status"
    fi
}

# check import|find: what the scripts import, from outside this folder so that ./mmcv is not taken for it. Only to find
# the packages takes a tenth of a second, to import them seconds.
check() {
    (cd / && "$python" -W ignore - "$1") <<'EOF'
import importlib.util
import platform
import sys

names = ['torch.onnx', 'numpy', 'cv2', 'onnx.version_converter', 'onnxruntime', 'tqdm', 'jinja2', 'matplotlib.pyplot',
         'mmcv', 'mmaction.apis', 'tools.data.parse_file_list']
if platform.machine() == 'x86_64':
    names += ['onnxsim', 'openvino']
for name in names:
    try:
        if sys.argv[1] == 'import':
            importlib.import_module(name)
        elif not importlib.util.find_spec(name.split('.')[0]):
            raise ImportError(name)
    except Exception as e:
        sys.exit(f'{name} does not import: {type(e).__name__}: {e}')
EOF
}

install_packages() {
    local start=$SECONDS count
    say "1 of 4: installing packages into $("$python" -c 'import sys; print(sys.prefix)')"
    "$python" -m pip list --format=freeze | sed 's/[=@ ].*//' | tr 'A-Z_' 'a-z-' >"$work/installed"
    # A package that this environment has already is kept, if its version will do: drivers may hang on it
    # (torch_npu on torch). So is one that comes under another name: onnxruntime-cann, opencv-python.
    cp requirements.txt "$work/requirements.txt"
    for pair in cv2:opencv-python-headless onnxruntime:onnxruntime; do
        if (cd / && "$python" -c "import ${pair%:*}" 2>/dev/null); then
            sed -i "/^${pair#*:}[>=<]/d" "$work/requirements.txt"
        fi
    done
    : >"$work/constraints.txt"
    if [ "$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')" = "$TESTED_PYTHON" ]; then
        grep -v '^#' constraints.txt | awk -F== 'NR == FNR { have[$1]; next } !(tolower($1) in have)' \
            "$work/installed" - >"$work/constraints.txt"
    fi
    # mmcv's setup.py needs pkg_resources, which setuptools 82 no longer has and 80 warns about.
    logged packages "$python" -m pip install --no-compile --progress-bar off -r "$work/requirements.txt" \
        -c "$work/constraints.txt" 'setuptools>=64,<80' wheel || die "pip could not install the packages, see above"
    count=$(sed -n 's/^Successfully installed //p' "$work/packages.log" | wc -w)
    say "    $((SECONDS - start)) s; new packages: $count"
}

# pip runs the setup.py of a source package that it downloads, before any patch is in. Those of mmcv and mmaction2 find
# their version in a way that Python 3.13 has ended: what exec() defines in a function is no longer in its locals(). For
# this one command exec() works there as it did before.
write_shim() {
    mkdir "$work/shim"
    cat >"$work/shim/sitecustomize.py" <<'EOF'
import builtins
import sys

plain_exec = builtins.exec


def exec_in_caller(code, *scopes, **options):
    """exec(), which without scopes changes the local variables of the function that called it."""
    if not scopes and not options:
        caller = sys._getframe(1)
        scopes = caller.f_globals, caller.f_locals
    return plain_exec(code, *scopes, **options)


if sys.version_info >= (3, 13):
    builtins.exec = exec_in_caller
EOF
}

# get_source DIR REQUIREMENT: unpacks and patches the source package, and gives it its name when it is complete.
#
# Another version of this repository may have other patches, and a patch on top of its own earlier form is not the patch.
# So a source that set-up has unpacked holds a digest of its patches, and is made anew where that is not today's.
get_source() {
    local mark=$1/.r2plus1d_patches patches
    patches=$(cat patches/"$1"/*.patch | cksum)
    if [ -e "$mark" ] && [ "$(cat "$mark")" != "$patches" ]; then
        say "    patches/$1 has changed: ./$1 is made anew, and the earlier one is now ./$1.old"
        rm -rf "$1.old"
        mv "$1" "$1.old"
    fi
    if [ ! -e "$1" ]; then
        say "    the source of $2 into ./$1"
        logged "$1" env MMCV_WITH_OPS=1 PYTHONPATH="$work/shim${PYTHONPATH:+:$PYTHONPATH}" "$python" -m pip download \
            --progress-bar off --no-deps --no-binary :all: --no-build-isolation -d "$work" "$2" ||
            die "pip could not download the source package of $2, see above"
        mkdir "$work/$1"
        tar -xzf "$work/${2%==*}-${2#*==}.tar.gz" --no-same-owner --strip-components 1 -C "$work/$1"
        if [ -d "$work/$1/mmaction/.mim/tools" ]; then # where a git clone has them
            mv "$work/$1/mmaction/.mim/tools" "$work/$1/mmaction/.mim/configs" "$work/$1"
        fi
        apply_patches "$work/$1" "patches/$1"
        printf '%s\n' "$patches" >"$work/$mark"
        mv "$work/$1" "$1"
    fi
    [ -f "$1/setup.py" ] || die "./$1 exists and is no source of ${2%==*} (it has no setup.py): move it away"
    apply_patches "$1" "patches/$1"
}

# has_configs: whether mmaction2 has a link to each config
has_configs() {
    local config
    for config in r2plus1d_r34_*.py; do
        [ -e "mmaction2/configs/recognition/r2plus1d/$config" ] || return
    done
}

# is_for DIR PATCH: whether the patch is for the version in DIR. Most patches are for all; a header with the line
# "Only for mmcv 1.7.2." leaves an older version out, which has nothing to mend.
is_for() {
    local only
    only=$(sed -n '/^diff /q; s/^Only for [a-z0-9]* \(.*\)\.$/\1/p' "$2")
    [ -z "$only" ] || grep -qsx "__version__ = '$only'" "$1"/mm*/version.py
}

# has_patch DIR PATCH: whether the patch is in it already
has_patch() { apply "$1" -R --check "$2" 2>/dev/null; }

# has_patches DIR: whether all its patches are
has_patches() {
    local patch
    for patch in "$PWD/patches/$1"/*.patch; do
        ! is_for "$1" "$patch" || has_patch "$1" "$patch" || return
    done
}

# apply_patches DIR PATCHES: each patch that is not applied yet, all of it or nothing.
apply_patches() {
    local patch
    for patch in "$PWD/$2"/*.patch; do
        if is_for "$1" "$patch" && ! has_patch "$1" "$patch"; then
            apply "$1" --check "$patch" ||
                die "${patch#"$PWD/"} does not apply to $1; if an earlier version of this script patched it, move it away"
            apply "$1" "$patch"
            say "    applied ${patch#"$PWD/"}"
        fi
    done
}

# git, without the repository that this folder may be
apply() { GIT_CEILING_DIRECTORIES=$(dirname "$(realpath "$1")") git -C "$1" apply --whitespace=nowarn "${@:2}"; }

# install_editable DIR…: as path entries (editable_mode=compat), which puts mmaction2's tools on the path too.
install_editable() {
    local options=()
    if "$python" -m pip install --help | grep -q -- --config-settings; then
        options=(--use-pep517 --config-settings editable_mode=compat)
    fi
    say "3 of 4: installing $*"
    logged editable "$python" -m pip install --no-deps --no-build-isolation "${options[@]+"${options[@]}"}" \
        "${@/#/--editable=}" || die "pip could not install $*, see above"
}

# The sources, the two at a time, because each waits for pip and for a setup.py
get_sources() {
    local other
    say "2 of 4: the sources of mmcv and mmaction2, with patches/"
    write_shim
    get_source mmcv "$MMCV" &
    other=$!
    get_source mmaction2 "$MMACTION2"
    wait "$other"
}

main() {
    command -v git >/dev/null || die "git is needed: it applies the patches"
    choose_python
    local stamp
    stamp=$("$python" -c 'import sys; print(sys.prefix)')/.r2plus1d_setup
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ] && has_patches mmcv && has_patches mmaction2 &&
        has_configs && check find 2>/dev/null; then
        say "nothing to do"
        return
    fi
    rm -f "$stamp"
    end_together
    trap 'stop_watching; wait; rm -rf "$work"' EXIT
    rm -rf .setup.*
    mkdir "$work"
    install_packages
    get_sources
    install_editable ./mmcv ./mmaction2
    for config in r2plus1d_r34_*.py; do
        ln -sfn "../../../../$config" "mmaction2/configs/recognition/r2plus1d/$config"
    done
    say "4 of 4: importing them"
    check import || die "the packages do not work together, see above; is another version of one installed?"
    fingerprint >"$stamp"
    say "done"
    [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || say "for the README's commands: source .venv/bin/activate"
}

main
