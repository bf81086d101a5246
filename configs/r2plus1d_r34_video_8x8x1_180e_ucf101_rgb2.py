# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The main config with its test videos read from the .avi files: no frames on disk.

The list is made by build_file_list.py with --format videos. mmaction2's own
tools decode by these steps. The scripts of this repository decode by
r2plus1d/video_file.py instead, which gives the same pixels and refuses damage.
"""
_base_ = ['../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
test_pipeline = [
    dict(type='PyAVInit'),
    dict(
        type='SampleFrames',
        clip_len=8,
        frame_interval=8,
        num_clips=1,
        test_mode=True),
    dict(type='PyAVDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='ThreeCrop', crop_size=256),
    dict(
        type='Normalize',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])
]
fullframe_pipeline = [
    step for step in test_pipeline if step['type'] != 'ThreeCrop'
]
data = dict(
    test=dict(
        type='VideoDataset',
        ann_file='data/ucf101/ucf101_val_split_1_videos.txt',
        data_prefix='data/ucf101/videos/',
        pipeline=test_pipeline))
