# Copyright 2026 the contributors of R(2+1)D for Ascend
# SPDX-License-Identifier: Apache-2.0
"""R(2+1)D-34 on UCF-101: data, pipelines, model and training, for mmaction2 0.x.

Self-contained, so that it works where the guide puts it
(mmaction2/configs/recognition/r2plus1d/) and at the root of this repository.
All paths are relative to the folder in which a tool is started.

The model is that of "A Closer Look at Spatiotemporal Convolutions for Action
Recognition" (Tran et al., CVPR 2018) as mmaction2 trained it on Kinetics-400.
Its head keeps the 400 classes; UCF-101 uses the labels 0 to 100.
"""
# ---- model -------------------------------------------------------------------
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='ResNet2Plus1d',
        depth=34,
        pretrained=None,
        pretrained2d=False,
        norm_eval=False,
        conv_cfg=dict(type='Conv2plus1d'),
        norm_cfg=dict(type='SyncBN', requires_grad=True, eps=1e-3),
        act_cfg=dict(type='ReLU'),
        conv1_kernel=(3, 7, 7),
        conv1_stride_t=1,
        pool1_stride_t=1,
        inflate=(1, 1, 1, 1),
        spatial_strides=(1, 2, 2, 2),
        temporal_strides=(1, 2, 2, 2),
        zero_init_residual=False),
    cls_head=dict(
        type='I3DHead',
        num_classes=400,
        in_channels=512,
        spatial_type='avg',
        dropout_ratio=0.5,
        init_std=0.01),
    train_cfg=None,
    # mmaction2's own average over the three crops; the guide averages scores,
    # see --average_clips of r2plus1d_postprocess.py
    test_cfg=dict(average_clips='prob'))

# ---- data --------------------------------------------------------------------
dataset_type = 'RawframeDataset'
data_root = 'data/ucf101/rawframes/'
data_root_val = 'data/ucf101/rawframes/'
split = 1  # of the three official train/test splits
ann_file_train = f'data/ucf101/ucf101_train_split_{split}_rawframes.txt'
ann_file_val = f'data/ucf101/ucf101_val_split_{split}_rawframes.txt'
ann_file_test = f'data/ucf101/ucf101_val_split_{split}_rawframes.txt'
img_norm_cfg = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_bgr=False)
train_pipeline = [
    dict(type='SampleFrames', clip_len=8, frame_interval=8, num_clips=1),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs', 'label'])
]
val_pipeline = [
    dict(
        type='SampleFrames',
        clip_len=8,
        frame_interval=8,
        num_clips=1,
        test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])
]
# One video becomes 3 crops x RGB x 8 frames x 256 x 256.
test_pipeline = [
    dict(
        type='SampleFrames',
        clip_len=8,
        frame_interval=8,
        num_clips=1,
        test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='ThreeCrop', crop_size=256),
    dict(type='Normalize', **img_norm_cfg),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]),
    dict(type='ToTensor', keys=['imgs'])
]
# One crop in the middle as one view, for the variant with centercrop in its name.
centercrop_pipeline = [
    dict(step, type='CenterCrop') if step['type'] == 'ThreeCrop' else step
    for step in test_pipeline
]
# The full frame as one view, for the variant with fullframe in its name.
fullframe_pipeline = [
    step for step in test_pipeline if step['type'] != 'ThreeCrop'
]
fullframe_train_pipeline = [
    step for step in train_pipeline if step['type'] != 'RandomResizedCrop'
    and step.get('scale') != (224, 224)
]
# The names of labels 0 to 100, which the export writes into the ONNX file. A config
# that inherits this one for other data has its own.
classes = [
    'ApplyEyeMakeup', 'ApplyLipstick', 'Archery', 'BabyCrawling', 'BalanceBeam',
    'BandMarching', 'BaseballPitch', 'Basketball', 'BasketballDunk',
    'BenchPress', 'Biking', 'Billiards', 'BlowDryHair', 'BlowingCandles',
    'BodyWeightSquats', 'Bowling', 'BoxingPunchingBag', 'BoxingSpeedBag',
    'BreastStroke', 'BrushingTeeth', 'CleanAndJerk', 'CliffDiving',
    'CricketBowling', 'CricketShot', 'CuttingInKitchen', 'Diving', 'Drumming',
    'Fencing', 'FieldHockeyPenalty', 'FloorGymnastics', 'FrisbeeCatch',
    'FrontCrawl', 'GolfSwing', 'Haircut', 'Hammering', 'HammerThrow',
    'HandstandPushups', 'HandstandWalking', 'HeadMassage', 'HighJump',
    'HorseRace', 'HorseRiding', 'HulaHoop', 'IceDancing', 'JavelinThrow',
    'JugglingBalls', 'JumpingJack', 'JumpRope', 'Kayaking', 'Knitting',
    'LongJump', 'Lunges', 'MilitaryParade', 'Mixing', 'MoppingFloor',
    'Nunchucks', 'ParallelBars', 'PizzaTossing', 'PlayingCello', 'PlayingDaf',
    'PlayingDhol', 'PlayingFlute', 'PlayingGuitar', 'PlayingPiano',
    'PlayingSitar', 'PlayingTabla', 'PlayingViolin', 'PoleVault', 'PommelHorse',
    'PullUps', 'Punch', 'PushUps', 'Rafting', 'RockClimbingIndoor',
    'RopeClimbing', 'Rowing', 'SalsaSpin', 'ShavingBeard', 'Shotput',
    'SkateBoarding', 'Skiing', 'Skijet', 'SkyDiving', 'SoccerJuggling',
    'SoccerPenalty', 'StillRings', 'SumoWrestling', 'Surfing', 'Swing',
    'TableTennisShot', 'TaiChi', 'TennisSwing', 'ThrowDiscus',
    'TrampolineJumping', 'Typing', 'UnevenBars', 'VolleyballSpiking',
    'WalkingWithDog', 'WallPushups', 'WritingOnBoard', 'YoYo'
]
# The same from video files, for the variants with video in their names.
video_pipeline = [dict(type='PyAVInit')] + [
    dict(type='PyAVDecode') if step['type'] == 'RawFrameDecode' else step
    for step in test_pipeline
]
fullframe_video_pipeline = [
    step for step in video_pipeline if step['type'] != 'ThreeCrop'
]
data = dict(
    videos_per_gpu=8,
    workers_per_gpu=2,
    test_dataloader=dict(videos_per_gpu=1),
    train=dict(
        type=dataset_type,
        ann_file=ann_file_train,
        data_prefix=data_root,
        pipeline=train_pipeline),
    val=dict(
        type=dataset_type,
        ann_file=ann_file_val,
        data_prefix=data_root_val,
        pipeline=val_pipeline),
    test=dict(
        type=dataset_type,
        ann_file=ann_file_test,
        data_prefix=data_root_val,
        pipeline=test_pipeline))
evaluation = dict(
    interval=5,
    metrics=['top_k_accuracy', 'mean_class_accuracy'],
    save_best='top1_acc')

# ---- training: fine-tuning from Kinetics-400 ------------------------------------
optimizer = dict(
    type='SGD', lr=0.0025, momentum=0.9,
    weight_decay=0.0001)  # the learning rate is for 8 devices
optimizer_config = dict(grad_clip=dict(max_norm=40, norm_type=2))
lr_config = dict(policy='CosineAnnealing', min_lr=0)
total_epochs = 40

# ---- run time ------------------------------------------------------------------
checkpoint_config = dict(interval=5)
log_config = dict(interval=20, hooks=[dict(type='TextLoggerHook')])
dist_params = dict(backend='nccl')
log_level = 'INFO'
work_dir = './work_dirs/r2plus1d_r34_8x8x1_180e_ucf101_rgb2'
# mmaction2's checkpoint for Kinetics-400; the README says where to get it
load_from = 'checkpoints/r2plus1d_r34_256p_8x8x1_180e_kinetics400_rgb_20200729-aa94765e.pth'
resume_from = None
workflow = [('train', 1)]
find_unused_parameters = False
# On one device, or on none, mmaction2's tools ask for this. Launchers set their own.
gpu_ids = [0]
