# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
# Shared by the two trainings; not run by itself.
# shellcheck shell=bash

# make_training_data: the made videos of both splits in data/ucf101, their frames and lists, and the list directions.txt of
# the classes that differ in the direction of a straight motion alone.
make_training_data() {
    # shellcheck disable=SC2154 # of shell.sh
    local tools=$root/mmaction2/tools/data
    rm -rf data
    mkdir -p data/ucf101
    python "$root/demo/make_dataset.py" --out data/ucf101 --split test
    python "$root/demo/make_dataset.py" --out data/ucf101 --split train --clips 12
    python "$tools/build_rawframes.py" data/ucf101/videos/ data/ucf101/rawframes/ --task rgb --level 2 --ext avi \
        --use-opencv --num-worker "$(nproc)" >rawframes.log
    python "$tools/build_file_list.py" ucf101 data/ucf101/rawframes/ --level 2 --format rawframes
    grep -E '^(Move|Pan)' data/ucf101/ucf101_train_split_1_rawframes.txt >directions.txt
}
