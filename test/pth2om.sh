#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# checkpoint -> ONNX -> simplified ONNX -> one .om for each batch size (where ATC is installed)
#
#     bash test/pth2om.sh --checkpoint best_top1_acc_epoch_35.pth --batch_sizes "1 16"
#     bash test/pth2om.sh --model r2plus1d_sim.onnx --batch_sizes "1 16"    # from a file exported on another machine
#
# An .om is kept if ONNX file, shape, chip, version of CANN and precision are those that <name>.om.json notes.
# CANN_PYTHON=/path/python3 names the Python that CANN was installed for, where it is not found.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
use_environment
umask 027 # ais_bench refuses a model that others may write

config=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
checkpoint=best_top1_acc_epoch_35.pth
model= # an ONNX file: nothing is exported, and PyTorch is not needed
batch_sizes="1 16" # of the models r2plus1d_bs<N>.om
shape= # of a sample: views, RGB, frames, height, width; without it, what the config or the model says
work_dir=. # folder for all files. Its .om files are those of one model: what was made from another goes
soc_version= # the chip; without it, that of this machine
input_format=NCHW # ATC's; ND where an ATC refuses an input of 6 dimensions with NCHW
precision_mode_v2= # ATC's: fp16 (its default), mixed_float16, cube_fp16in_fp32out
amct= # an int8 model as well, r2plus1d_int8_bs<N>.om, by AMCT, calibrated on --calibration_bins
calibration_bins= # folder of r2plus1d_preprocess.py --bts=1 with training videos
calibration_samples=32 # how many of them AMCT takes
compare_videos=5 # test videos on which the models are compared with PyTorch at the end; 0: none
aoe= # AOE instead of ATC: it measures operators on the device, which takes hours
parse_options "config checkpoint model batch_sizes shape work_dir soc_version input_format precision_mode_v2 amct+ \
calibration_bins calibration_samples compare_videos aoe+" "$@"
end_together
soc_version=$("${convert[@]}" prepare "${options[@]}") || give_up $? # checks all; there is no chip without ATC
take_work_dir
shape=${shape:-$(python "$root/test/sample_shape.py" "${model:-$config}" --convert "$batch_sizes")} || give_up $?
read -r -a sample <<<"$shape"
shape=$(IFS=, && echo "${sample[*]}") # 3,3,8,256,256
"${convert[@]}" set_aside "$work_dir" || give_up $? # its .om files, until it is known whether the model is theirs
scratch=$(mktemp -d "$work_dir/.conversion-XXXXXX")
trap 'rm -rf "$work_dir"/.conversion-*' EXIT

onnx=$work_dir/r2plus1d.onnx sim=${model:-$work_dir/r2plus1d_sim.onnx} models=("$onnx" "$sim")
rm -f "$work_dir/compare.json"
if [ -z "$model" ]; then
    rm -f "$onnx" "$sim"
    step "export to $onnx" env PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" python \
        "$root/mmaction2/tools/deployment/pytorch2onnx.py" "$config" "$checkpoint" --verify \
        --output-file="$scratch/r2plus1d.onnx" --shape 1 "${sample[@]}"
    step "simplify to $sim" onnxsim "$scratch/r2plus1d.onnx" "$scratch/r2plus1d_sim.onnx" --test-input-shape="1,$shape"
    mv "$scratch"/*.onnx "$work_dir"
fi
"${convert[@]}" take_back "$work_dir" "$sim" || give_up $?

# compile ONNX NAME: NAME_bs<N>.om for each batch size
compile() {
    local bs program=(atc --soc_version="$soc_version" ${precision_mode_v2:+--precision_mode_v2="$precision_mode_v2"})
    [ -z "$aoe" ] || program=(aoe --job_type=2)
    for bs in $batch_sizes; do
        step "convert to $work_dir/$2_bs$bs.om for $soc_version" "${convert[@]}" om "$sim" "$soc_version" \
            "${program[@]}" --framework=5 --model="$1" --output="$work_dir/$2_bs$bs" --input_format="$input_format" \
            --input_shape="0:$bs,$shape" --log=error
        models+=("$work_dir/$2_bs$bs.om")
    done
}
[ -z "$soc_version" ] || compile "$sim" r2plus1d
if [ -n "$amct" ]; then
    step "calibrate int8 on $calibration_samples samples" "${convert[@]}" amct_onnx calibration --model="$sim" \
        --save_path="$work_dir/r2plus1d_amct" --input_shape="0:1,$shape" --data_dir="$calibration_bins" \
        --batch_num="$calibration_samples"
    compile "$work_dir/r2plus1d_amct_deploy_model.onnx" r2plus1d_int8
fi
if [ -z "$model" ] && [ "$compare_videos" -gt 0 ]; then
    leave_out_oms # where this machine cannot run them
    step_to "$work_dir/compare.json" "compare with PyTorch on $compare_videos test videos" python \
        "$root/r2plus1d_compare.py" --config "$config" --checkpoint "$checkpoint" --videos "$compare_videos" \
        --skip_without_data --models "${models[@]}"
fi
echo success
