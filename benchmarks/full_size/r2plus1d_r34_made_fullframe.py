# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_r34_made.py with the whole frame as one view, in the place of three crops."""
_base_ = ['./r2plus1d_r34_made.py']
data = dict(
    test=dict(pipeline=[
        dict(
            type='SampleFrames',
            clip_len=8,
            frame_interval=8,
            num_clips=1,
            test_mode=True),
        dict(type='RawFrameDecode'),
        dict(type='Resize', scale=(-1, 256)),
        dict(
            type='Normalize',
            mean={{_base_.img_norm_cfg.mean}},
            std={{_base_.img_norm_cfg.std}},
            to_bgr=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
        dict(type='ToTensor', keys=['imgs'])
    ]))
frame_size = (341, 256)  # width and height of a 320 x 240 frame after Resize
