# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The main config with one crop in the middle as one view, in the place of three crops.

For videos of any shape. The view costs 106 GFLOP where three crops cost 318 and
the full frame of 4:3 costs 141. What lies at the edges of a frame is not seen;
r2plus1d_compare.py says whether that changes the accuracy.
"""
_base_ = ['../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
data = dict(test=dict(pipeline={{_base_.centercrop_pipeline}}))
