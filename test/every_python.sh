#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Set-up and the imports on each Python from 3.8 to 3.14 that is on this machine, without gigabytes of PyTorch: a
# stand-in takes the place of torch (test/stand_ins/importable_torch), and all else is resolved, installed and imported.
#
#     bash test/every_python.sh
#     bash test/every_python.sh --pythons "python3.9 python3.13"
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
pythons= # without it, those on the path and those of pyenv
parse_options "pythons" "$@"

for minor in 8 9 10 11 12 13 14; do
    for python in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$minor".*/bin/python; do
        if "$python" -c 'import venv' 2>/dev/null; then
            found+=" $python"
            break
        fi
    done
done
pythons=${pythons:-${found:-}}
[ -n "$pythons" ] || usage "no Python from 3.8 to 3.14 on this machine"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=
for python in $pythons; do
    start=$SECONDS
    rm -rf "$scratch/copy"
    mkdir -p "$scratch/copy/test"
    cp -R "$root"/{setup.sh,requirements.txt,constraints.txt,patches,r2plus1d} "$root"/r2plus1d_r34_*.py "$scratch/copy"
    cp "$root/test/shell.sh" "$scratch/copy/test"
    "$python" -m venv "$scratch/copy/env"
    cp -R "$root/test/stand_ins/importable_torch/." "$(ls -d "$scratch"/copy/env/lib/python*/site-packages)"
    if VIRTUAL_ENV=$scratch/copy/env PATH=$scratch/copy/env/bin:$PATH bash "$scratch/copy/setup.sh" >"$scratch/log" 2>&1; then
        say "$("$python" --version): set-up and imports work, $((SECONDS - start)) s"
    else
        tail -n 20 "$scratch/log" >&2
        failed+=" $python"
    fi
done
[ -z "$failed" ] || fail "set-up failed with$failed, see above"
echo success
