# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""A small R(2+1)D-18 for the demo's 12 motion classes, trained on a CPU.

The main config with an eighth of the channels, 18 layers and a stem that halves
the picture twice more (about 1/700 of the arithmetic). The test pipeline, and
with it the input of 1 x 3 x 3 x 8 x 256 x 256, is the main config's.
demo/train.sh trains it.
"""
_base_ = ['../r2plus1d_r34_8x8x1_180e_ucf101_rgb2.py']

# ---- model -------------------------------------------------------------------
model = dict(
    backbone=dict(
        depth=18,
        base_channels=8,
        conv1_kernel=(3, 9, 9),
        conv1_stride_s=8,
        temporal_strides=(1, 1, 2, 2),
        norm_cfg=dict(type='BN3d')),  # SyncBN does not train on a CPU
    cls_head=dict(num_classes=12, in_channels=64, dropout_ratio=0))

# ---- data --------------------------------------------------------------------
classes = [
    'MoveDown', 'MoveLeft', 'MoveRight', 'MoveUp', 'OrbitClockwise',
    'OrbitCounterclockwise', 'PanLeft', 'PanRight', 'RollClockwise',
    'RollCounterclockwise', 'ZoomIn', 'ZoomOut'
]
# Seen in a mirror, these classes are one another: MoveLeft and MoveRight,
# OrbitClockwise and -Counterclockwise, PanLeft and PanRight, RollClockwise and
# -Counterclockwise.
mirrored = {1: 2, 2: 1, 4: 5, 5: 4, 6: 7, 7: 6, 8: 9, 9: 8}
train_pipeline = [
    dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomCrop', size=224),
    dict(type='Flip', flip_ratio=0.5, flip_label_map=mirrored),
    dict(
        type='Normalize',
        mean={{_base_.img_norm_cfg.mean}},
        std={{_base_.img_norm_cfg.std}},
        to_bgr=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs', 'label'])
]
# For the last stage of the training, in r2plus1d_r18_demo_fullframe.py.
fullframe_train_pipeline = [
    step for step in train_pipeline if step['type'] != 'RandomCrop'
]
data = dict(
    videos_per_gpu=8,
    workers_per_gpu=2,
    train=dict(pipeline=train_pipeline))
evaluation = dict(interval=2, save_best=None)

# ---- training: from scratch --------------------------------------------------
optimizer = dict(_delete_=True, type='AdamW', lr=0.002, weight_decay=0.01)
lr_config = dict(by_epoch=False, warmup='linear', warmup_iters=100)
total_epochs = 20
checkpoint_config = dict(interval=1, max_keep_ckpts=1)
work_dir = './work_dirs/r2plus1d_r18_demo'
load_from = None
