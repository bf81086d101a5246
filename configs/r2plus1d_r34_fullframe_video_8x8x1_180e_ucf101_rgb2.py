# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The full frame as one view, with test videos read from the .avi files.

See the config with fullframe alone in its name, and the one with video alone.
"""
_base_ = ['./r2plus1d_r34_video_8x8x1_180e_ucf101_rgb2.py']
data = dict(test=dict(pipeline={{_base_.fullframe_video_pipeline}}))
frame_size = (341, 256)  # width, height
