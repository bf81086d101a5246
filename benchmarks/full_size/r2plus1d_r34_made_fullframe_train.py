# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The last stage of the training: on full frames, not on crops of them."""
_base_ = ['./r2plus1d_r34_made_train.py']
data = dict(train=dict(pipeline={{_base_.fullframe_train_pipeline}}))
