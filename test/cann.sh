# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# How pth2om.sh and atc.sh run CANN's programs: in which Python, for which chip, and what their errors mean.
# Shared by those two; needs common.sh, and a folder $scratch that the script deletes at its end.
# shellcheck shell=bash disable=SC2154

# ---- environment and Python --------------------------------------------------------------------------

# in_cann COMMAND…: runs a program, a builtin or a function in CANN's environment, with $cann_python first on the PATH.
# It is a process of its own, so that PyTorch and the other steps do not see that environment.
in_cann() (
    use_cann >&2
    unset PYTHONHOME VIRTUAL_ENV # of another Python
    unset PYTHONWARNINGS MALLOC_MMAP_MAX_ MALLOC_TRIM_THRESHOLD_ # set by common.sh for PyTorch
    PATH=${cann_python_folder:+$cann_python_folder:}$PATH
    if [ -n "${libpython_folder:-}" ]; then
        export LD_LIBRARY_PATH=$libpython_folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    fi
    "$@"
)

# Looks for ATC. Sets $atc, empty where there is none, $cann_version, $cann, and what in_cann needs. Says which Python
# ATC will start and what that lacks; ends the script where no Python can do.
find_cann() {
    cann_python_folder='' libpython_folder='' cann_version=''
    atc=$(in_cann command -v atc) || true
    if [ -n "$atc" ]; then
        cann_version=$(find_cann_version "$atc")
        cann="CANN${cann_version:+ $cann_version}"
        choose_cann_python
    fi
}

# find_cann_version ATC: the version of the toolkit that ATC lies in, such as 8.0.RC2, or nothing. The file with it is
# the one of the installation guide ("Querying the Software Package Version"), else version.cfg.
find_cann_version() {
    local start folder version
    for start in "$1" "$(realpath "$1")"; do
        folder=$(dirname "$start")
        while [ "$folder" != / ] && [ "$folder" != . ]; do
            version=$(cat "$folder"/*-linux/ascend_toolkit_install.info "$folder/ascend_toolkit_install.info" \
                "$folder/version.cfg" 2>/dev/null | sed -n \
                -e 's/^version=\([A-Za-z0-9._-]*\)$/\1/p' \
                -e 's/^compiler_running_version=.*:\(CANN-\)\{0,1\}\([A-Za-z0-9._-]*\)\]$/\2/p' | head -n 1) || true
            if [ -n "$version" ]; then
                printf %s "$version"
                return
            fi
            folder=$(dirname "$folder")
        done
    done
}

# in_environment PYTHON: whether it is that of the venv or conda environment, which holds PyTorch's packages, not CANN's
in_environment() {
    local environment
    for environment in "${VIRTUAL_ENV:-}" "${CONDA_PREFIX:-}" "$root/.venv"; do
        if [ -n "$environment" ] && [ "$(dirname "$1")" -ef "$environment/bin" ]; then
            return
        fi
    done
    return 1
}

# Every python3 on the PATH, those of an active environment last: CANN may have been installed for one of them too.
list_pythons() {
    local python inside=()
    while IFS= read -r python; do
        if in_environment "$python"; then
            inside+=("$python")
        else
            printf '%s\n' "$python"
        fi
    done < <(in_cann type -ap python3)
    [ ${#inside[@]} -eq 0 ] || printf '%s\n' "${inside[@]}"
}

# ask_pythons PYTHON…: which of them lacks least of what CANN needs, the first one of equals. Sets $chosen, $says (its
# version, path and what it lacks), $lacking (0: nothing, 3: something, 4: too much) and $libpython_folder.
ask_pythons() {
    local python answer status library=''
    chosen='' says='' lacking=9
    for python; do
        status=0
        answer=$(in_cann "$python" "$root/test/cann_python.py" "$cann_version" 2>/dev/null) || status=$?
        if [[ $status == [034] ]] && [ "$status" -lt "$lacking" ]; then # any other status: it does not work at all
            chosen=$python
            lacking=$status
            says=${answer%%$'\n'*}
            library=''
            [[ $answer != *$'\n'* ]] || library=${answer#*$'\n'}
        fi
        [ "$lacking" -ne 0 ] || break
    done
    libpython_folder=$library
}

# ATC starts the first python3 on the PATH. This makes that the one that CANN was installed for: $CANN_PYTHON, else the
# one that has the packages of CANN. A lacking package is no reason to stop, because ATC does not need all of them for
# every model. No NumPy, or one that CANN cannot use, is a reason: ATC's operator compiler imports it before anything
# else. But ATC is tried all the same if $CANN_PYTHON names that Python.
choose_cann_python() {
    local candidates program chosen says lacking
    local remedy="install that there, or name the Python that CANN was installed for: CANN_PYTHON=/path/python3"
    if [ -n "${CANN_PYTHON:-}" ]; then
        program=$(command -v "$CANN_PYTHON") || fail "CANN_PYTHON=$CANN_PYTHON: no such program"
        candidates=("$(cd "$(dirname "$program")" && pwd)/$(basename "$program")")
    else
        mapfile -t candidates < <(list_pythons)
    fi
    ask_pythons ${candidates[@]+"${candidates[@]}"}
    case $lacking in
    0) say "ATC of $cann will use $says" ;;
    3) say "warning: ATC of $cann will use $says; if it fails, $remedy" ;;
    4)
        [ -n "${CANN_PYTHON:-}" ] || fail "ATC of $cann cannot use $says; $remedy"
        say "warning: ATC of $cann will use $says, as CANN_PYTHON says"
        ;;
    *) fail "ATC of $cann starts python3, and none of ${candidates[*]:-the PATH} works; $remedy" ;;
    esac
    put_python_first "$chosen"
}

# put_python_first PYTHON: sets $cann_python_folder to one in which python3 is PYTHON. That can be its own, unless PYTHON
# has another name, such as /usr/bin/python3.9 beside a /usr/bin/python3 that is Python 3.6.
put_python_first() {
    cann_python_folder=$(dirname "$1")
    if ! [ "$cann_python_folder/python3" -ef "$1" ]; then
        cann_python_folder=$scratch/python
        mkdir -p "$cann_python_folder"
        ln -sf "$1" "$cann_python_folder/python3"
        # ATC asks python3-config for the folder of libpython.
        [ ! -e "$1-config" ] || ln -sf "$1-config" "$cann_python_folder/python3-config"
    fi
}

# ---- chip --------------------------------------------------------------------------------------------

# ask_driver COMMAND…: its output, or nothing if it fails. Ends the script if it does not answer: a driver can hang.
# The tests do not wait as long as others ($NPU_SECONDS).
ask_driver() {
    local seconds=${NPU_SECONDS:-20} status=0
    in_cann timeout -k 2 "$seconds" "$@" 2>/dev/null | tr -d '\0' || status=$? # bash complains of zero bytes
    if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
        fail "$1 does not answer within $seconds s: is the NPU's driver all right? Give the chip with --soc_version, such" \
            "as Ascend310P3"
    fi
}

# The value of a field in a board's table: lines of the form "  NAME   : VALUE"
board_field() { sed -n "s/^[[:space:]]*$1[[:space:]]*:[[:space:]]*\([^[:space:]]*\).*/\1/p" | head -n 1; }

# The name of the first chip for --soc_version, such as Ascend310P3 or, of an Atlas A3, Ascend910_9392.
# pyACL knows it exactly. Else npu-smi: the column Name has it for A2 and older; later boards have a field NPU Name, and
# their name is Chip Name and NPU Name (CANN's documents of --soc_version).
find_chip() {
    local name table npu board npu_name chip_name
    name=$(ask_driver python3 -c 'import acl; print(acl.get_soc_name() or "")') || exit
    if [[ $'\n'$name$'\n' =~ $'\n'(Ascend[A-Za-z0-9_-]+)$'\n' ]]; then # it may print warnings too
        printf %s "${BASH_REMATCH[1]}"
        return
    fi
    in_cann command -v npu-smi >/dev/null || fail "no npu-smi: give the chip with --soc_version, such as Ascend310P3"
    table=$(ask_driver npu-smi info) || exit
    # The first row of a device: "| 0     310P3     | OK   |". Its second row and those of processes begin with two numbers,
    # which a name is not, unless it is one of three digits, such as 310.
    read -r npu name < <(awk -F '|' '
        $2 ~ /^ *[0-9]+ +([0-9][0-9][0-9]|[A-Za-z0-9-]*[A-Za-z][A-Za-z0-9-]*) *$/ {
            split($2, field, " "); print field[1], field[2]; exit
        }' <<<"$table") ||
        fail "npu-smi info names no chip: give it with --soc_version, such as Ascend310P3"
    board=$(ask_driver npu-smi info -t board -i "$npu" -c 0) || exit
    if [ -z "$(board_field 'Chip Name' <<<"$board")" ]; then
        board=$(ask_driver npu-smi info -t board -i "$npu") || exit # later products know no -c
    fi
    npu_name=$(board_field 'NPU Name' <<<"$board")
    chip_name=$(board_field 'Chip Name' <<<"$board")
    if [ -n "$npu_name" ] && [ "$npu_name" != NA ]; then
        name=${chip_name}_$npu_name
    elif [ "${chip_name#Ascend}" != "${name#Ascend}" ]; then
        say "warning: npu-smi info calls the chip $name, and npu-smi info -t board calls it ${chip_name:-nothing};" \
            "if ATC fails, give it with --soc_version" >&2
    fi
    printf %s "Ascend${name#Ascend}"
}

# ---- running ATC and AOE -----------------------------------------------------------------------------

# explain_errors FILE: what the error codes in the output of ATC mean and what to do
explain_errors() {
    local code text
    while IFS= read -r code; do
        case $code in
        E10001) text="an argument has a value that ATC does not take; the message names both. --soc_version: the exact name \
of a chip that this CANN knows. Paths: letters, digits and . _ - / only" ;;
        E10016) text="--input_shape names an input that the model has not. The input of this project's models is called 0" ;;
        E16002 | E19010) text="this CANN has no parser for an operator of the model: the opset is newer than it knows (9 to \
13 up to CANN 6, 9 to 18 from CANN 7 on; this project exports 11), or the operator is not for ATC. An int8 model for ATC \
is made by --amct, not by r2plus1d_optimize.py" ;;
        EZ3003) text="no kernel of an operator for this chip: --soc_version is not the chip's exact name (see \
python3 -c 'import acl; print(acl.get_soc_name())'), or the operator package of the chip is not installed (from CANN 8.5 \
on each chip has its own)" ;;
        E40001 | E40002) text="ATC found no python3 with its libpython on the PATH: name the Python that CANN was installed \
for by CANN_PYTHON=/path/python3" ;;
        E40020 | E40021) text="ATC's operator compiler, which runs in Python, failed: most often a package that CANN needs is \
missing there or too new (see above which Python that is). The Python stack is in the log" ;;
        E?9999) text="an error inside CANN: often too little memory, or a toolkit, operator package and driver \
of versions that do not fit. The log says more" ;;
        *) continue ;;
        esac
        printf '%s: %s.\n' "$code" "$text" >&2
    done < <(grep -oE '\b(E[0-9]{5}|E[A-Z][0-9]{4})\b' "$1" | sort -u)
}

# show_log_since FILE: the last errors in the log that CANN has written since FILE was made
show_log_since() {
    local folder=${ASCEND_PROCESS_LOG_PATH:-${HOME:-}/ascend/log}/debug/plog log
    log=$(find "$folder" -name 'plog-*.log' -newer "$1" 2>/dev/null | sort | tail -n 1) || true
    if [ -n "$log" ]; then
        printf 'the last errors in %s:\n' "$log" >&2
        grep -F '[ERROR]' "$log" | tail -n 15 >&2 || true
    fi
}

# run_compiler PROGRAM ARGUMENT…: runs ATC or AOE. If it fails: the end of its log, what the error means, status 1.
run_compiler() {
    local output=$scratch/output start=$scratch/start
    : >"$start"
    if in_cann "$@" 2>&1 | tee "$output"; then
        return
    fi
    show_log_since "$start"
    explain_errors "$output"
    return 1
}

# made_om OUTPUT: the file that ATC has made for --output=OUTPUT: OUTPUT.om, or OUTPUT_linux_<machine>.om, as CANN 7 and
# later call a model that holds libraries of the host. Nothing and status 1 if there is none.
made_om() {
    local om
    for om in "$1.om" "$1"_linux_*.om; do
        if [ -f "$om" ]; then
            printf %s "$om"
            return
        fi
    done
    return 1
}
