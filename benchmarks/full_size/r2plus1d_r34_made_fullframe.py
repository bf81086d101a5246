# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""r2plus1d_r34_made.py with the full frame as one view, in the place of three crops."""
_base_ = ['./r2plus1d_r34_made.py']
data = dict(test=dict(pipeline={{_base_.fullframe_pipeline}}))
frame_size = (341, 256)  # width and height of a 320 x 240 frame after Resize
