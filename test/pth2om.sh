#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# checkpoint -> ONNX -> simplified ONNX -> one .om for each batch size (where ATC is installed)
#
#     bash test/pth2om.sh --checkpoint best_top1_acc_epoch_35.pth --batch_sizes "1 16"
#     bash test/pth2om.sh --model r2plus1d_sim.onnx --batch_sizes "1 16"    # from a file exported on another machine
#
# --config, --checkpoint   what is exported
# --model                  an ONNX file: nothing is exported, and PyTorch is not needed
# --batch_sizes            of the models r2plus1d_bs<N>.om
# --shape                  of a sample: views, RGB, frames, height, width; without it, what the config or the model says
# --work_dir               folder for all files. Its .om files are those of one model: what was made from another goes
# --soc_version            the chip; without it, that of this machine
# --precision_mode_v2      ATC's, such as fp16 (its default), mixed_float16 or origin
# --amct                   an int8 model as well, r2plus1d_int8_bs<N>.om, by AMCT, calibrated on --calibration_bins
# --calibration_bins       folder of r2plus1d_preprocess.py --bts=1 with training videos
# --calibration_samples    how many of them AMCT takes
# --compare_videos         how many test videos the models are compared with PyTorch on, at the end; 0: none. Without the
#                          data set, or with --model, nothing is compared
# --aoe                    AOE instead of ATC: it measures operators on the device, which takes hours
#
# An .om is kept if ONNX file, shape, chip, version of CANN and precision are those that <name>.om.json notes.
# CANN_PYTHON=/path/python3 names the Python that CANN was installed for, where it is not found.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$root/test/cann.sh"
. "$root/test/om_notes.sh"
. "$root/test/amct.sh"
umask 027 # ais_bench refuses a model that others may write

config=$root/mmaction2/configs/recognition/r2plus1d/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
checkpoint=best_top1_acc_epoch_35.pth
model=
batch_sizes="1 16"
shape=
work_dir=.
soc_version=
precision_mode_v2=
amct=
calibration_bins=
calibration_samples=32
compare_videos=5
aoe=
parse_options "config checkpoint model batch_sizes shape work_dir soc_version precision_mode_v2 amct+ calibration_bins \
calibration_samples compare_videos aoe+" "$@"

# ---- checks, before anything is touched --------------------------------------------------------------

check_arguments() {
    local name sizes
    for name in config checkpoint model work_dir calibration_bins; do
        [[ ${!name} != -* ]] || printf -v "$name" %s "./${!name}" # a file name for every command, not an option
    done
    if [ -n "$model" ]; then
        need_file --model "$model"
        check_onnx "$model"
    else
        need_file --config "$config"
        need_file --checkpoint "$checkpoint"
    fi
    [[ -z $shape || "$shape " =~ ^([1-9][0-9]*\ +)+$ ]] || usage "--shape \"$shape\": numbers with spaces"
    read -ra sizes <<<"$shape"
    shape=${sizes[*]}
    [[ $soc_version =~ ^[A-Za-z0-9_-]*$ ]] || usage "--soc_version $soc_version: expected a name such as Ascend310P3"
    case $precision_mode_v2 in
    '' | fp16 | origin | cube_fp16in_fp32out | mixed_float16 | mixed_bfloat16 | cube_hif8 | mixed_hif8) ;;
    *) usage "--precision_mode_v2 $precision_mode_v2: expected fp16, origin, cube_fp16in_fp32out, mixed_float16," \
        "mixed_bfloat16, cube_hif8 or mixed_hif8" ;;
    esac
    [[ $compare_videos =~ ^[0-9]+$ ]] || usage "--compare_videos $compare_videos: expected a number"
    if [ -n "$aoe" ] && [ -n "$precision_mode_v2" ]; then
        usage "--precision_mode_v2 is not for --aoe: AOE has no such option"
    fi
    if [ -n "$amct" ]; then
        check_calibration
    fi
}

# Sets $shape where --shape is not given.
find_shape() {
    if [ -z "$shape" ]; then
        shape=$(sample_shape "${model:-$config}") || fail "--shape is needed: views, RGB, frames, height, width"
    fi
}

# What the conversion needs, looked for before the export, which takes minutes. Sets $soc_version.
check_cann() {
    local chip
    find_cann
    if [ -z "$atc" ]; then
        [ -z "$model$amct$aoe" ] || fail "no atc on this machine: run this where CANN's toolkit is installed"
        return
    fi
    [ -z "$amct" ] || [ -n "$(find_amct)" ] || fail "no amct_onnx: --amct needs CANN's AMCT for ONNX"
    [ -z "$aoe" ] || in_cann command -v aoe >/dev/null || fail "no aoe: --aoe needs all of CANN's toolkit"
    if [ -z "$soc_version" ] || [ -n "$aoe" ]; then
        chip=$(find_chip) || exit
        if [ -n "$soc_version" ] && [ "Ascend${soc_version#Ascend}" != "$chip" ]; then
            fail "--soc_version $soc_version: --aoe tunes for the chip of this machine, $chip"
        fi
        soc_version=$chip
    fi
    soc_version=Ascend${soc_version#Ascend}
}

# ---- steps -------------------------------------------------------------------------------------------

# Makes $scratch in $work_dir.
make_scratch() {
    rm -rf "$work_dir"/.conversion-* # of a run that was killed
    scratch=$(realpath "$(mktemp -d "$work_dir/.conversion-XXXXXX")")
    trap 'rm -rf "$scratch"' EXIT
}

# checkpoint -> r2plus1d.onnx -> r2plus1d_sim.onnx; sets $model
export_model() {
    local onnx=$work_dir/r2plus1d.onnx sim=$work_dir/r2plus1d_sim.onnx
    rm -f "$onnx" "$sim"
    # A config may import modules of this repository.
    # shellcheck disable=SC2086 # $shape is a list
    step "export to $onnx" env PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" python "$root/mmaction2/tools/deployment/pytorch2onnx.py" "$config" "$checkpoint" \
        --verify --output-file="$scratch/r2plus1d.onnx" --shape 1 $shape
    chmod 640 "$scratch/r2plus1d.onnx"
    mv "$scratch/r2plus1d.onnx" "$onnx"
    if python -c 'import onnxsim' 2>/dev/null; then
        # Its table of operators would be shown, in which a model with a dynamic batch has formulas for numbers.
        step "simplify to $sim" show_if_failed python -m onnxsim --test-input-shape="1,${shape// /,}" "$onnx" \
            "$scratch/sim.onnx"
    else
        say "onnxsim is not installed (no wheel for this Python and machine): $sim is a copy of $onnx"
        cp "$onnx" "$scratch/sim.onnx"
    fi
    chmod 640 "$scratch/sim.onnx"
    mv "$scratch/sim.onnx" "$sim"
    model=$sim
    exported=("$onnx" "$sim")
}

in_folder() (
    cd "$1" || exit
    "${@:2}"
)

# convert ONNX NAME BATCH_SIZE: $work_dir/NAME.om, unless it is there already. ATC works in $scratch, where it leaves
# kernel_meta and other files, and is given a relative --output: it looks for ".om" in the whole path.
convert() {
    local om=$work_dir/$2.om input_shape="0:$3,${shape// /,}" made arguments
    if is_fresh "$om" "$1" "$input_shape"; then
        say "kept: $om for $soc_version, made from the same model by the same CANN"
        return
    fi
    rm -f "$om.json" "$om"
    arguments=(--framework=5 --model="$(realpath "$1")" --output="$2" --input_format=NCHW --input_shape="$input_shape"
        --log=error)
    if [ -n "$aoe" ]; then
        arguments=(aoe "${arguments[@]}" --job_type=2)
    else
        arguments=(atc "${arguments[@]}" --soc_version="$soc_version"
            ${precision_mode_v2:+--precision_mode_v2="$precision_mode_v2"})
    fi
    step "convert to $om for $soc_version" in_folder "$scratch" run_compiler "${arguments[@]}"
    made=$(made_om "$scratch/$2") || fail "${arguments[0]} made no $2.om"
    chmod 640 "$made"
    mv "$made" "$om"
    write_note "$om.json" "$(om_note "$om" "$1" "$input_shape")"
}

# The gate: how far the exported models and the .om files MODEL… are from the checkpoint; compare.json is for the report.
check_models() {
    rm -f "$work_dir/compare.json"
    if [ "$compare_videos" -eq 0 ] || [ ${#exported[@]} -eq 0 ]; then
        return
    fi
    if [ $# -gt 0 ]; then
        use_cann
        missing=$(missing_packages)
        if [ -n "$missing" ]; then
            say "the .om files are not compared with PyTorch: that needs $missing"
            set --
        fi
    fi
    say "compare with PyTorch on $compare_videos test videos"
    run python "$root/r2plus1d_compare.py" --config "$config" --checkpoint "$checkpoint" --models "${exported[@]}" "$@" \
        --videos "$compare_videos" --skip_without_data >"$scratch/compare.json" ||
        fail "failed: the models are too far from the checkpoint, see above"
    if [ -s "$scratch/compare.json" ]; then
        mv "$scratch/compare.json" "$work_dir/compare.json"
    fi
}

# ---- the script --------------------------------------------------------------------------------------

check_arguments
need_folder --work_dir "$work_dir"
take_work_dir
make_scratch
end_together
check_cann
find_shape
set_oms_aside
exported=()
if [ -z "$model" ]; then
    export_model
fi
take_oms_back
if [ -z "$atc" ]; then
    say "no atc on this machine: $model is the model to run here; convert it where CANN is installed"
    check_models
    echo success
    exit
fi
models=()
for bs in $batch_sizes; do
    convert "$model" "r2plus1d_bs$bs" "$bs"
    models+=("$work_dir/r2plus1d_bs$bs.om")
done
if [ -n "$amct" ]; then
    quantize
    for bs in $batch_sizes; do
        convert "$work_dir/r2plus1d_amct_deploy_model.onnx" "r2plus1d_int8_bs$bs" "$bs"
        models+=("$work_dir/r2plus1d_int8_bs$bs.om")
    done
fi
check_models "${models[@]}"
echo success
