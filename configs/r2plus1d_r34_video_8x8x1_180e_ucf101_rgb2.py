# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The main config with its test videos read from the .avi files: no frames on disk.

The list is made by build_file_list.py with --format videos. mmaction2's own
tools decode by these steps. The scripts of this repository decode by
r2plus1d/video_file.py instead, which gives the same pixels and refuses damage.
"""
_base_ = ['../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
data = dict(
    test=dict(
        type='VideoDataset',
        ann_file='data/ucf101/ucf101_val_split_1_videos.txt',
        data_prefix='data/ucf101/videos/',
        pipeline={{_base_.video_pipeline}}))
