#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# What the full-size model that train.sh has trained loses by one view of the full frame, by bf16 and by int8: makes the
# models and writes benchmarks/full_size/results_STAGE.json and .md.
#
#     bash benchmarks/full_size/evaluate.sh            # in work_dirs/full_size_train
#     bash benchmarks/full_size/evaluate.sh folder     # in the folder that train.sh worked in
#
# --stage     whose weights are evaluated: frame, or an earlier stage of train.sh, such as full
# --videos    how many of the 252 test videos; a number that divides 252 leaves as many of each class
# --output    the files to write, without .json and .md
#
# A run that was interrupted is continued by the same command. New weights are evaluated from the beginning.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../test/shell.sh"
folder=$root/work_dirs/full_size_train
stage=frame
videos=252
output=
parse_options ":folder stage videos output" "$@"
here=$root/benchmarks/full_size
output=$(realpath -m -- "${output:-$here/results_$stage}")
[ -f "$folder/train_$stage/latest.pth" ] || usage "--stage $stage: no $folder/train_$stage/latest.pth"
set_up
cd "$folder"

# make_models CONFIG FOLDER: the ONNX model of the trained weights for the samples of this config, and its int8 variant.
# The variant is kept whatever it loses: what that is, is measured here.
make_models() {
    [ -e "$2/r2plus1d_sim.onnx" ] || bash "$root/test/pth2om.sh" --config "$1" --checkpoint weights.pth \
        --work_dir "$2" --compare_videos 0
    [ -e "$2/r2plus1d_int8.onnx" ] || python "$root/r2plus1d_optimize.py" --int8 --model "$2/r2plus1d_sim.onnx" \
        --config "$1" --max_drop 1 --allow_unproven --eval_videos 1 --output "$2/r2plus1d_int8.onnx"
}

# The weights alone: the checkpoint of a training has what the optimizer keeps as well, three times as much.
digest=$(sha256sum <"train_$stage/latest.pth")
if [ "$(cat weights.done 2>/dev/null)" != "$digest" ]; then
    rm -rf weights.pth three_crops full_frame scores
    python -c '
import sys, torch
weights = torch.load(sys.argv[1], map_location="cpu", weights_only=False)["state_dict"]
torch.save({"state_dict": weights}, "weights.pth")' "train_$stage/latest.pth"
    printf '%s\n' "$digest" >weights.done
fi
make_models "$here/r2plus1d_r34_made.py" three_crops
make_models "$here/r2plus1d_r34_made_fullframe.py" full_frame
PYTHONPATH=$root/benchmarks:$root/demo python "$here/evaluate.py" --stage "$stage" --videos "$videos" --output "$output"
