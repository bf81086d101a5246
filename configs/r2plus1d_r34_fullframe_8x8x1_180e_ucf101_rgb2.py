# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The main config with the full frame as one view, in the place of three crops.

The model is the same and takes the same checkpoint; it is fully convolutional
in height and width. One pass over the frame costs 141 GFLOP where the three
crops, which overlap, cost 318. The scores are not the same numbers, because the
model sees no edges of crops: r2plus1d_compare.py says whether the accuracy is.
Where it is not, a short training by this config, on full frames, may mend it;
see benchmarks/full_size/results_full.md and results_frame.md.
"""
_base_ = ['../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
data = dict(
    train=dict(pipeline={{_base_.fullframe_train_pipeline}}),
    val=dict(pipeline={{_base_.fullframe_pipeline}}),
    test=dict(pipeline={{_base_.fullframe_pipeline}}))
# Width and height of a frame after Resize: those of a 320 x 240 video. The
# scripts of this repository refuse a video of another shape, and test/pth2om.sh
# exports the model for this one.
frame_size = (341, 256)
