#!/usr/bin/env bash
# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
#
# Trains the demo's model on a CPU, from nothing: set-up, dataset, frames, lists, training, tests, and the two files
# demo/r2plus1d_r18_demo.pth (weights) and .json (record). The seed is fixed.
#
#     bash demo/train.sh            # in work_dirs/demo_train, which takes about 4 GB
#     bash demo/train.sh folder     # in another folder, a new one
#
# What an earlier run has made in the folder is deleted first.
#
# First the classes that differ in the direction of a straight motion alone, then all: on all 12 at once the model
# takes several times as long to find that direction matters. These two stages see crops. The last one is short and sees
# full frames, so that the model is as accurate with the full frame as one view.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../test/shell.sh"
. "$root/demo/data.sh"
folder=$root/work_dirs/demo_train
parse_options ":folder" "$@"
work=$(realpath -m -- "$folder")
own_folder "$work" .r2plus1d_demo_train
set_up
tools=$root/mmaction2/tools
config=$root/demo/r2plus1d_r18_demo.py
frame_config=$root/demo/r2plus1d_r18_demo_fullframe.py
export OMP_NUM_THREADS=1 # the loader's workers have the other cores; PyTorch's threads would wait for one another

cd "$work"
rm -rf train train_directions train_frame test.json test_frame.json shuffled.json # of an earlier run
make_training_data
python "$root/demo/shuffle_frames.py" data/ucf101/rawframes data/ucf101/rawframes_shuffled
start=$SECONDS
python "$tools/train.py" "$config" --work-dir train_directions --seed 0 --cfg-options data.train.ann_file=directions.txt \
    total_epochs=5 optimizer.lr=0.003
python "$tools/train.py" "$config" --work-dir train --seed 0 --validate --cfg-options \
    load_from=train_directions/latest.pth
python "$tools/train.py" "$frame_config" --work-dir train_frame --seed 0 --cfg-options load_from=train/latest.pth \
    total_epochs=2 optimizer.lr=0.0003
seconds=$((SECONDS - start))
python "$tools/test.py" "$config" train_frame/latest.pth --out test.json --eval top_k_accuracy
python "$tools/test.py" "$frame_config" train_frame/latest.pth --out test_frame.json --eval top_k_accuracy
python "$tools/test.py" "$config" train_frame/latest.pth --out shuffled.json --eval top_k_accuracy \
    --cfg-options data.test.data_prefix=data/ucf101/rawframes_shuffled
python "$root/demo/record_training.py" --work_dir . --seconds "$seconds" --output "$root/demo/r2plus1d_r18_demo.pth"
