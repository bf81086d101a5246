#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# The whole documented chain with no NPU, no data set and no checkpoint at hand:
#
#     bash demo/run.sh [--clean] [folder, default work_dirs/demo]      # --clean starts over
#
# A made data set of 12 motions (demo/make_dataset.py) and a small R(2+1)D-18 trained on it (demo/train.sh) give
# a real accuracy. The full-size R(2+1)D-34 is then measured with random weights: its speed does not depend on them.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$root/work_dirs/demo clean=
for argument; do
    case $argument in
    --clean) clean=yes ;;
    -*)
        echo "run.sh: $argument: unknown; the option is --clean" >&2
        exit 2
        ;;
    *) work=$(realpath -m "$argument") ;;
    esac
done
[ -z "$clean" ] || rm -rf "$work"

bash "$root/setup.sh"
. "$root/test/common.sh"
mkdir -p "$work"
cd "$work"
config=$root/demo/r2plus1d_r18_demo.py
full=$root/r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py
tools=$root/mmaction2/tools

# once NAME WHAT COMMAND…: a step that is not done again, with its output in NAME.log.
once() {
    if [ -e "$1.done" ]; then
        say "done before: $2"
        return
    fi
    say "$2"
    local start=$SECONDS status=0
    # Not COMMAND || …: bash would go on after a failed command of a function there, whatever set -e says.
    set +e
    (
        set -e
        "${@:3}"
    ) >"$1.log" 2>&1
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        tail -n 20 "$1.log" >&2
        fail "failed: $2; see $work/$1.log"
    fi
    echo "    $((SECONDS - start)) s"
    touch "$1.done"
}

accuracy() {
    bash "$root/test/eval_acc_perf.sh" --config "$config" --reference 0.95 --tolerance 0
    rm -r predata_bts1 # 4.8 GB
}

full_size() {
    mkdir -p full_size
    python "$root/demo/random_weights.py" "$full" full_size/random.pth
    bash "$root/test/pth2om.sh" --config "$full" --checkpoint full_size/random.pth --work_dir full_size \
        --compare_videos 0
    for bs in 1 4; do # four samples each
        python "$root/r2plus1d_infer.py" --model full_size/r2plus1d_sim.onnx --batchsize $bs --loop $((4 / bs)) \
            --output full_size/performance --output_dirname "bs$bs"
    done
}

once dataset "make 252 test videos of 12 motions" python "$root/demo/make_dataset.py" --out data/ucf101 --split test
once frames "extract their frames" python "$tools/data/build_rawframes.py" data/ucf101/videos/ \
    data/ucf101/rawframes/ --task rgb --level 2 --ext avi --use-opencv --num-worker "$(nproc)"
once list "list them" python "$tools/data/build_file_list.py" ucf101 data/ucf101/rawframes/ --level 2 \
    --format rawframes --shuffle --seed 0
once model "small R(2+1)D-18: checkpoint -> ONNX -> simplified ONNX" bash "$root/test/pth2om.sh" --config "$config" \
    --checkpoint "$root/demo/r2plus1d_r18_demo.pth"
once accuracy "small R(2+1)D-18: preprocess, infer at batch sizes 1 and 16, judge" accuracy
once full_size "full-size R(2+1)D-34, random weights: ONNX, speed at batch sizes 1 and 4" full_size
once report "write the report" python "$root/r2plus1d_report.py" --config "$config" --reference 0.95 --tolerance 0 \
    --classes data/ucf101/annotations/classInd.txt --extra "R(2+1)D-34, random weights=full_size/performance"

echo
echo "The small R(2+1)D-18, trained on videos like these (demo/train.sh). The columns 310, 310P and T4 are of the full-size"
echo "model on UCF-101: what the small one's speed does not compare with."
python "$root/test/parse.py" --reference 0.95 --tolerance 0
echo
echo "The full-size R(2+1)D-34, random weights, on this machine:"
sed -n 's/.*throughput 1000\*batchsize(\([0-9]*\)).*: \(.*\)/    batch size \1: \2 samples\/s/p' full_size.log
echo
echo "report: $work/report/index.html"
