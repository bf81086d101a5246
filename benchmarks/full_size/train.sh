#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Trains R(2+1)D-34 in full size on the demo's made data set, on a CPU, from nothing: set-up, data set, frames, lists and
# five stages of training by mmaction2's tools/train.py. The weights are then in train_frame/latest.pth of the folder, and
# in train_full/latest.pth those of the stage before, which has seen crops alone.
#
#     bash benchmarks/full_size/train.sh            # in work_dirs/full_size_train, which takes about 6 GB
#     bash benchmarks/full_size/train.sh folder     # in another folder, a new one
#
# A run that was interrupted is continued by the same command, from the last epoch that was complete.
#
# The stages go from small pictures to large ones, since most of what is to be learned is the same at all sizes and an
# epoch of small ones takes a twelfth of the time. First come the classes that differ in the direction of a straight
# motion alone: on all 12 at once the model takes several times as long to find that direction matters. The last stage is
# short and sees full frames. A model that has seen crops alone loses accuracy on full frames; see results_full.md.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../test/shell.sh"
. "$root/demo/data.sh"
folder=$root/work_dirs/full_size_train
parse_options ":folder" "$@"
work=$(realpath -m -- "$folder")
own_folder "$work" .r2plus1d_full_size_train
set_up
configs=$root/benchmarks/full_size
export PYTHONPATH=$root/benchmarks/full_size
OMP_NUM_THREADS=$(nproc)
# Threads that wait for one another must not keep others from working.
export OMP_NUM_THREADS OMP_WAIT_POLICY=passive
cd "$work"

# train NAME BEFORE CONFIG OPTION…: a stage, in train_NAME, that begins with the weights of the stage BEFORE it.
train() {
    local name=train_$1 options=("${@:4}") resume=()
    [ ! -e "$name.done" ] || return 0
    [ -z "$2" ] || options+=("load_from=train_$2/latest.pth")
    [ ! -e "$name/latest.pth" ] || resume=(--resume-from "$name/latest.pth")
    say "$name"
    python "$root/mmaction2/tools/train.py" "$configs/$3" --work-dir "$name" --seed 0 "${resume[@]}" \
        --cfg-options "${options[@]}"
    : >"$name.done"
}

# train_crops NAME BEFORE SHORT CROP OPTION…: a stage on crops. The frames are resized to SHORT pixels on their shorter
# side, and a square of CROP pixels is cut from them at random.
train_crops() {
    train "$1" "$2" r2plus1d_r34_made_train.py "data.train.pipeline.2.scale=(-1,$3)" "data.train.pipeline.3.size=$4" \
        "${@:5}"
}

if [ ! -e data.done ]; then
    make_training_data
    awk 'NR % 4 == 0' data/ucf101/ucf101_train_split_1_rawframes.txt >quarter.txt
    : >data.done
fi
train_crops directions "" 72 64 data.train.ann_file=directions.txt total_epochs=4
train_crops small directions 72 64 total_epochs=8
train_crops medium small 128 112 total_epochs=1 optimizer.lr=0.0002
train_crops full medium 256 224 data.train.ann_file=quarter.txt data.videos_per_gpu=8 total_epochs=2 optimizer.lr=0.0001
train frame full r2plus1d_r34_made_fullframe_train.py data.train.ann_file=quarter.txt data.videos_per_gpu=8 \
    total_epochs=1 optimizer.lr=0.00005
