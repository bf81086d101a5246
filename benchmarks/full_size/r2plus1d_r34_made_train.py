# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""The training of r2plus1d_r34_made.py on a CPU; train.sh gives what differs between its stages.

MixedPrecisionRecognizer3D computes in bf16, more than twice as fast on a CPU
with AVX-512 BF16. mixed_precision.py must be on PYTHONPATH.
"""
_base_ = ['./r2plus1d_r34_made.py']
custom_imports = dict(imports=['mixed_precision'], allow_failed_imports=False)
model = dict(
    type='MixedPrecisionRecognizer3D', backbone=dict(zero_init_residual=True))

# ---- data --------------------------------------------------------------------
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
# For the last stage of the training, in r2plus1d_r34_made_fullframe_train.py.
fullframe_train_pipeline = [
    step for step in train_pipeline if step['type'] != 'RandomCrop'
]
data = dict(
    videos_per_gpu=16,
    workers_per_gpu=1,
    train=dict(pipeline=train_pipeline))

# ---- training ------------------------------------------------------------------
optimizer = dict(_delete_=True, type='AdamW', lr=0.0005, weight_decay=0.02, fused=True)
lr_config = dict(by_epoch=False, warmup='linear', warmup_iters=30)
checkpoint_config = dict(interval=1, max_keep_ckpts=1)
log_config = dict(interval=5)
work_dir = './work_dirs/r2plus1d_r34_made'
