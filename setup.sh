#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Makes the environment of all other scripts: packages, ./mmcv and ./mmaction2 with patches/ applied.
#
#     bash setup.sh                    # in the active venv or conda environment, else in .venv
#     MMCV_WITH_OPS=1 bash setup.sh    # with mmcv's C++ ops, which R(2+1)D does not use (minutes of compiling)
#
# A second run is quick and changes nothing; a run after one that was interrupted finishes the work.
# Existing ./mmcv and ./mmaction2 (clones at the original guide's commits, say) are kept and patched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

MMCV=mmcv-full==1.7.2
MMACTION2=mmaction2==0.24.1
TESTED_PYTHON=3.11 # what constraints.txt was tested on
export MMCV_WITH_OPS=${MMCV_WITH_OPS:-0} PIP_DISABLE_PIP_VERSION_CHECK=1
# What is imported here is compiled, once and for all: where this is set, as in many containers, each later start would
# do it again, seconds long. pip would compile every file of every package, ten times as much.
unset PYTHONDONTWRITEBYTECODE

say() { printf '[setup] %s\n' "$*"; }
die() {
    printf 'setup.sh: %s\n' "$*" >&2
    exit 1
}

work=$PWD/.setup.$$
trap 'rm -rf "$work"' EXIT
rm -rf .setup.*
mkdir "$work"

# Sets $python: that of the active environment, or of .venv, which is made where it is missing or broken.
choose_python() {
    if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
        python=$(command -v python) || die "no python in the active environment"
    else
        local base=${PYTHON:-python3}
        command -v "$base" >/dev/null || die "no $base: install Python 3.8 to 3.12, or set PYTHON to one"
        if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
            say "making .venv with $("$base" --version)"
            "$base" -m venv --clear .venv || die "could not make .venv: install $base's venv module" \
                "(Debian: python3-venv), or activate an environment of your own"
        fi
        python=$PWD/.venv/bin/python
    fi
    "$python" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 13))' ||
        die "$("$python" --version) at $python: Python 3.8 to 3.12 is needed; set PYTHON or activate an environment"
}

# The state that a finished set-up leaves: if it is the same now, there is nothing to do.
fingerprint() {
    printf '%s ' "$PWD" "$MMCV_WITH_OPS" "$("$python" --version)"
    cat setup.sh requirements.txt constraints.txt patches/*/*.patch | cksum
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
    say "installing packages into $("$python" -c 'import sys; print(sys.prefix)')"
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
    "$python" -m pip install -q --no-compile -r "$work/requirements.txt" -c "$work/constraints.txt" \
        'setuptools>=64,<80' wheel
}

# get_source DIR REQUIREMENT: unpacks and patches the source package, and gives it its name when it is complete.
get_source() {
    if [ ! -e "$1" ]; then
        say "getting the source of $2 into ./$1"
        MMCV_WITH_OPS=1 "$python" -m pip download -q --no-deps --no-binary :all: --no-build-isolation \
            -d "$work" "$2" || die "pip could not download the source package of $2"
        mkdir "$work/$1"
        tar -xzf "$work/${2%==*}-${2#*==}.tar.gz" --no-same-owner --strip-components 1 -C "$work/$1"
        if [ -d "$work/$1/mmaction/.mim/tools" ]; then # where a git clone has them
            mv "$work/$1/mmaction/.mim/tools" "$work/$1/mmaction/.mim/configs" "$work/$1"
        fi
        apply_patches "$work/$1" "patches/$1"
        mv "$work/$1" "$1"
    fi
    [ -f "$1/setup.py" ] || die "./$1 exists and is no source of ${2%==*} (it has no setup.py): move it away"
    apply_patches "$1" "patches/$1"
}

# has_patch DIR PATCH: whether the patch is in it already
has_patch() { apply "$1" -R --check "$2" 2>/dev/null; }

# has_patches DIR: whether all its patches are
has_patches() {
    local patch
    for patch in "$PWD/patches/$1"/*.patch; do
        has_patch "$1" "$patch" || return
    done
}

# apply_patches DIR PATCHES: each patch that is not applied yet, all of it or nothing.
apply_patches() {
    local patch
    for patch in "$PWD/$2"/*.patch; do
        if ! has_patch "$1" "$patch"; then
            apply "$1" --check "$patch" ||
                die "${patch#"$PWD/"} does not apply to $1; if an earlier version of this script patched it, move it away"
            apply "$1" "$patch"
            say "applied ${patch#"$PWD/"}"
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
    say "installing $*"
    "$python" -m pip install -q --no-deps --no-build-isolation "${options[@]+"${options[@]}"}" "${@/#/--editable=}"
}

main() {
    command -v git >/dev/null || die "git is needed: it applies the patches"
    choose_python
    local stamp
    stamp=$("$python" -c 'import sys; print(sys.prefix)')/.r2plus1d_setup
    if [ "$(cat "$stamp" 2>/dev/null)" = "$(fingerprint)" ] && has_patches mmcv && has_patches mmaction2 &&
        [ -e mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py ] && check find 2>/dev/null; then
        say "nothing to do"
        return
    fi
    rm -f "$stamp"
    install_packages
    get_source mmcv "$MMCV" & # the two at a time: each waits for pip and for a setup.py
    get_source mmaction2 "$MMACTION2"
    wait $!
    install_editable ./mmcv ./mmaction2
    for config in r2plus1d_r34_*.py; do
        ln -sfn "../../../../$config" "mmaction2/configs/recognition/r2plus1d/$config"
    done
    check import || die "the packages do not work together, see above; is another version of one installed?"
    fingerprint >"$stamp"
    say "done"
    [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] || say "for the README's commands: source .venv/bin/activate"
}

main
