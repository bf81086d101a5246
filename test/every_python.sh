#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Set-up and the imports on each Python from 3.8 to 3.14 that is on this machine, without gigabytes of PyTorch: a
# stand-in takes the place of torch (test/stand_ins/importable_torch), and all else is resolved, installed and imported.
#
#     bash test/every_python.sh
#     bash test/every_python.sh --pythons "python3.9 python3.13"
#
# --pythons    the Pythons; without it, those on the path and those of pyenv
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pythons=
parse_options "pythons" "$@"

# Prints one Python of each version that works.
find_pythons() {
    local minor python
    for minor in 8 9 10 11 12 13 14; do
        for python in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python; do
            if "$python" -c 'import venv' 2>/dev/null; then
                printf '%s\n' "$python"
                break
            fi
        done
    done
}

# try_python PYTHON: a copy of what set-up needs, and set-up in a venv where the stand-in is installed
try_python() {
    local folder=$scratch/copy
    rm -rf "$folder"
    mkdir -p "$folder/test"
    cp -R "$root"/{setup.sh,requirements.txt,constraints.txt,patches} "$root"/r2plus1d_r34_*.py "$folder"
    cp "$root/test/shell.sh" "$folder/test"
    "$1" -m venv "$folder/environment"
    cp -R "$root/test/stand_ins/importable_torch/." \
        "$("$folder/environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    (
        # shellcheck disable=SC1091
        . "$folder/environment/bin/activate"
        bash "$folder/setup.sh"
    ) >"$scratch/log" 2>&1
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
[ -n "$pythons" ] || pythons=$(find_pythons)
[ -n "$pythons" ] || usage "no Python from 3.8 to 3.14 on this machine"
failed=
for python in $pythons; do
    start=$SECONDS
    if try_python "$python"; then
        say "$("$python" --version): set-up and imports work, $((SECONDS - start)) s"
    else
        tail -n 20 "$scratch/log" >&2
        say "$("$python" --version): failed, see above"
        failed=yes
    fi
done
if [ -n "$failed" ]; then
    echo 'fail!' >&2
    exit 1
fi
echo success
