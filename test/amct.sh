# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# int8 for an NPU: pth2om.sh --amct. AMCT, CANN's tool for it, calibrates an ONNX model on samples and writes one that ATC
# converts: <save_path>_deploy_model.onnx (CANN's documents: AMCT, amct_onnx calibration).
# Used by pth2om.sh alone, with its variables and functions.
# shellcheck shell=bash disable=SC2154

check_calibration() {
    local info=$calibration_bins/info.json
    [ -n "$calibration_bins" ] || usage "--amct needs --calibration_bins, a folder that r2plus1d_preprocess.py has made" \
        "with --bts=1 from training videos"
    [ -d "$calibration_bins" ] || usage "--calibration_bins $calibration_bins: no such folder"
    [[ $calibration_samples =~ ^[1-9][0-9]*$ ]] || usage "--calibration_samples $calibration_samples: expected a number"
    [ "$precision_mode_v2" != origin ] || usage "--precision_mode_v2 origin is not for --amct: it is f32, the model int8"
    # A model that is calibrated on the test videos would be measured on what it was made from.
    if [ -f "$info" ] && grep -qE '"split": "test"|"list": "([^"]*[/_])?(val|test)(_|list)[^"/]*"' "$info"; then
        usage "--calibration_bins $calibration_bins: its info.json names the test videos; calibrate on training videos"
    fi
}

# pip puts it into ~/.local/bin, which is not on every PATH.
find_amct() { command -v amct_onnx || command -v "${HOME:-}/.local/bin/amct_onnx" || true; }

# The first $calibration_samples bins, absolute paths, in the order of their names
list_calibration_bins() {
    find "$(realpath "$calibration_bins")" -maxdepth 1 -name '*.bin' | sort -V | head -n "$calibration_samples"
}

# float32 or uint8: what the samples of a bin are, by its size
sample_type() {
    local elements=1 size bytes
    bytes=$(stat -L -c %s "$1")
    for size in $shape; do
        elements=$((elements * size))
    done
    case $bytes in
    $((elements * 4))) printf float32 ;;
    "$elements") printf uint8 ;;
    *) fail "$1: $bytes bytes are not one sample of $shape; AMCT needs bins of r2plus1d_preprocess.py --bts=1" ;;
    esac
}

# $model -> r2plus1d_amct_deploy_model.onnx, int8 for ATC. AMCT works in $scratch, on links to the bins: it takes every
# file of its folder for data (info.json is none), and writes a folder amct_log.
quantize() {
    local deploy=$work_dir/r2plus1d_amct_deploy_model.onnx bins type note i
    mapfile -t bins < <(list_calibration_bins)
    [ ${#bins[@]} -eq "$calibration_samples" ] || fail "--calibration_bins $calibration_bins: has ${#bins[@]} bins;" \
        "--calibration_samples is $calibration_samples"
    type=$(sample_type "${bins[0]}") || exit
    note=$(printf '{"source_sha256": "%s", "calibration_sha256": "%s", "calibration_samples": %s}' \
        "$source_sha256" "$(cat "${bins[@]}" | sha256sum | cut -d ' ' -f 1)" "$calibration_samples")
    if [ -f "$deploy" ] && [ "$(cat "$deploy.json" 2>/dev/null)" = "$note" ]; then
        say "kept: $deploy, made from the same model and bins"
        return
    fi
    rm -f "$work_dir"/r2plus1d_amct_*
    mkdir "$scratch/calibration"
    for i in "${!bins[@]}"; do
        ln -s "${bins[i]}" "$scratch/calibration/$(printf %06d "$i").bin"
    done
    step "calibrate int8 on ${#bins[@]} samples" in_folder "$scratch" "$(find_amct)" calibration \
        --model "$(realpath "$model")" --save_path ./r2plus1d_amct --input_shape "0:1,${shape// /,}" \
        --data_dir ./calibration --data_types "$type" --batch_num "${#bins[@]}"
    [ -f "$scratch/r2plus1d_amct_deploy_model.onnx" ] || fail "amct_onnx made no r2plus1d_amct_deploy_model.onnx"
    chmod 640 "$scratch"/r2plus1d_amct_*
    mv "$scratch"/r2plus1d_amct_* "$work_dir"
    write_note "$deploy.json" "$note"
}
