# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The demo's model with the full frame as one view.

See configs/r2plus1d_r34_fullframe_8x8x1_180e_ucf101_rgb2.py.
"""
_base_ = ['./r2plus1d_r18_demo.py']
data = dict(
    train=dict(pipeline={{_base_.fullframe_train_pipeline}}),
    test=dict(pipeline={{_base_.fullframe_pipeline}}))
frame_size = (341, 256)  # width, height
