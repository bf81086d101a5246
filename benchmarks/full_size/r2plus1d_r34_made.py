# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""R(2+1)D-34 in full size for the 12 classes of demo/make_dataset.py.

The main config's model, with 12 classes instead of 400 and ordinary batch
normalization instead of SyncBN, which does not train on a CPU.
"""
_base_ = ['../../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']
model = dict(
    backbone=dict(norm_cfg=dict(type='BN3d')),
    cls_head=dict(num_classes=12, dropout_ratio=0))
load_from = None
