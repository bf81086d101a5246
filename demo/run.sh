#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# The whole documented chain with no NPU, no data set and no checkpoint at hand:
#
#     bash demo/run.sh           # in work_dirs/demo
#     bash demo/run.sh folder    # in another folder, a new one
#
# A made data set of 12 motions (demo/make_dataset.py) and a small R(2+1)D-18 trained on it (demo/train.sh) give
# a real accuracy. The full-size R(2+1)D-34 is then measured with random weights: its speed does not depend on them.
# Both are shown with three crops of a video and with the full frame as one view. The samples of three crops are made
# while the model runs; those of full frame are .bin files, of bytes, which are deleted after use.
#
# Each run begins anew: it deletes what an earlier one has made in the folder, and nothing else.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../test/shell.sh"
folder=$root/work_dirs/demo
parse_options ":folder" "$@"
work=$(realpath -m -- "$folder")
own_folder "$work" .r2plus1d_demo
set_up
end_together
cd "$work"
rm -rf data logs r2plus1d*.onnx* r2plus1d_bs*.om* .om_set_aside .conversion-* predata_* result_bs*.json \
    evaluation_bs*.json compare.json fullframe fullframe_out fullframe.json full_models full_size report

small=$root/demo/r2plus1d_r18_demo.py
small_frame=$root/demo/r2plus1d_r18_demo_fullframe.py
weights=$root/demo/r2plus1d_r18_demo.pth
full=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
tools=$root/mmaction2/tools
steps=$(grep -c '^step ' "$root/demo/run.sh")
count=0

# step NAME WHAT COMMAND…: says what is done and how long it took. The output goes to logs/NAME.log.
step() {
    local start=$SECONDS
    count=$((count + 1))
    say "$count of $steps: $2"
    if ! live "logs/$1.log" "${@:3}"; then
        printf 'run.sh: failed: %s; see %s\nfail!\n' "$2" "$work/logs/$1.log" >&2
        exit 1
    fi
    echo "    $((SECONDS - start)) s"
}

# to FILE COMMAND…: a command whose standard output goes to a file
to() { "${@:2}" >"$1"; }

mkdir logs full_models
say "each step's output is in a log, such as $work/logs/dataset.log"
step dataset "make 252 test videos of 12 motions" \
    python "$root/demo/make_dataset.py" --out data/ucf101 --split test
step frames "extract their frames" \
    python "$tools/data/build_rawframes.py" data/ucf101/videos/ data/ucf101/rawframes/ --task rgb --level 2 --ext avi \
    --use-opencv --num-worker "$(nproc)"
step list "list them" \
    python "$tools/data/build_file_list.py" ucf101 data/ucf101/rawframes/ --level 2 --format rawframes --shuffle --seed 0
step model "small R(2+1)D-18, three crops: checkpoint -> ONNX -> simplified ONNX" \
    bash "$root/test/pth2om.sh" --config "$small" --checkpoint "$weights"
step accuracy "small R(2+1)D-18, three crops: infer at batch sizes 1 and 16, judge" \
    bash "$root/test/eval_acc_perf.sh" --config "$small" --reference 0.95 --tolerance 0 --direct
step fullframe_model "small R(2+1)D-18, full frame: checkpoint -> ONNX -> simplified ONNX" \
    bash "$root/test/pth2om.sh" --config "$small_frame" --checkpoint "$weights" --work_dir fullframe --compare_videos 0
step uint8 "the same with bytes as its input" \
    python "$root/r2plus1d_optimize.py" --uint8_input --model fullframe/r2plus1d_sim.onnx --config "$small_frame" \
    --output fullframe/r2plus1d_uint8.onnx
step preprocess "full frame: preprocess to .bin files" \
    python "$root/r2plus1d_preprocess.py" --config "$small_frame" --bts 1 --dtype uint8 --output_path predata_fullframe
step infer "full frame: infer" \
    python "$root/r2plus1d_infer.py" --model fullframe/r2plus1d_uint8.onnx --input predata_fullframe --output fullframe_out \
    --outfmt TXT
# The data set is too small to prove a smaller drop than 0.012; see r2plus1d/metrics.py.
step compare "full frame: compare with three crops" to fullframe.json \
    python "$root/r2plus1d_compare.py" --config "$small" --runs predata_bts1_bs1_out fullframe_out --max_drop 0.02
rm -r predata_fullframe # 0.5 GB
step full_model "full-size R(2+1)D-34: random weights" \
    python "$root/demo/random_weights.py" "$full" full_models/random.pth
step three_crops_model "full-size R(2+1)D-34, three crops: checkpoint -> ONNX" \
    python "$tools/deployment/pytorch2onnx.py" "$full" full_models/random.pth --shape 1 3 3 8 256 256 \
    --output-file full_models/three_crops.onnx
step three_crops "full-size R(2+1)D-34, three crops: speed" \
    python "$root/r2plus1d_infer.py" --model full_models/three_crops.onnx --batchsize 1 --loop 3 \
    --output full_size/three_crops
step full_frame_model "full-size R(2+1)D-34, full frame: checkpoint -> ONNX" \
    python "$tools/deployment/pytorch2onnx.py" "$full" full_models/random.pth --shape 1 1 3 8 256 341 \
    --output-file full_models/full_frame.onnx
step full_frame "full-size R(2+1)D-34, full frame: speed" \
    python "$root/r2plus1d_infer.py" --model full_models/full_frame.onnx --batchsize 1 --loop 3 \
    --output full_size/full_frame
step report "write the report" \
    python "$root/r2plus1d_report.py" --dataset "generated data" --compare fullframe_out \
    --extra "R(2+1)D-34, three crops, random weights=full_size/three_crops" \
    --extra "R(2+1)D-34, full frame, random weights=full_size/full_frame"

echo
echo "The full-size R(2+1)D-34, with random weights, at batch size 1 on this machine:"
for views in three_crops full_frame; do
    LC_ALL=C printf '    %s: %.3g videos/s\n' "${views//_/ }" \
        "$(sed -n 's/.*throughput 1000\*batchsize(1).*: \(.*\)/\1/p' "logs/$views.log")"
done
echo
echo "The demo's own model, a small R(2+1)D-18 trained on videos like these by demo/train.sh:"
python "$root/test/parse.py" --reference 0.95 --tolerance 0
echo
echo "The same small model with three crops, and with full frame as one view:"
sed '1d; s/^/    /' logs/compare.log
echo
echo "report: $work/report/index.html"
