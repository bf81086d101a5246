#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# A quick test of the whole offline inference, in under 10 minutes, as ModelZoo asks for it: conversion, agreement of
# the models with PyTorch on a few test videos, and the speed of the model alone.
#
#     bash test/offline_inference_testcase.sh --checkpoint best_top1_acc_epoch_35.pth
#
# The last line is "Run testcase success!" with exit status 0, or "Run testcase failed!" with another one. Without an
# NPU the ONNX model is tested on the CPU. The accuracy on the whole data set is for test/eval_acc_perf.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
use_environment

config=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
checkpoint=best_top1_acc_epoch_35.pth
batch_sizes=1
shape= # views, RGB, frames, height, width; without it, what the config says
videos=10 # test videos on which the models are compared with PyTorch
loop=100 # batches for the speed of an NPU; a CPU gets 3
work_dir=.
device=0
parse_options "config checkpoint batch_sizes shape videos loop work_dir device" "$@"
file_names
check_batch_sizes
trap '[ $? -eq 0 ] && echo "Run testcase success!" || echo "Run testcase failed!"' EXIT
end_together

step "convert" bash "$root/test/pth2om.sh" --config "$config" --checkpoint "$checkpoint" --batch_sizes "$batch_sizes" \
    ${shape:+--shape "$shape"} --work_dir "$work_dir" --compare_videos 0
sim=$work_dir/r2plus1d_sim.onnx models=("$work_dir/r2plus1d.onnx" "$sim")
for bs in $batch_sizes; do
    [ ! -f "$work_dir/r2plus1d_bs$bs.om" ] || models+=("$work_dir/r2plus1d_bs$bs.om")
done
leave_out_oms # where this machine cannot run them
step_to "$work_dir/compare.json" "compare with PyTorch on $videos test videos" python "$root/r2plus1d_compare.py" \
    --config "$config" --checkpoint "$checkpoint" --models "${models[@]}" --videos "$videos" --device "$device"
for bs in $batch_sizes; do
    om=$work_dir/r2plus1d_bs$bs.om
    if [[ " ${models[*]} " == *" $om "* ]]; then
        step "speed of $om on NPU $device" python -m ais_bench --model "$om" --batchsize "$bs" --loop "$loop" \
            --device "$device"
    else
        step "speed of $sim on the CPU" python "$root/r2plus1d_infer.py" --model "$sim" --batchsize "$bs" --loop 3
    fi
done
