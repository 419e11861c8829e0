r"""A small ir-CSN on generated videos, from scratch: minutes on one CPU core.

python tools/datasets/make_synthetic.py kinetics-tps --out data/synthetic/kinetics_tps_1200 \
    --train-videos 200
"""

_base_ = ['./classifier.py']

# five times the videos that the parser's toy trains on, because a video has one label; the same
# test videos
data = dict(data_root='data/synthetic/kinetics_tps_1200')
small = dict(base_channels=16, stage_blocks=(1, 2, 2, 1), pretrained=None)
model = dict(
    backbone=dict(depth=50, norm_eval=False, bn_frozen=False, zero_init_residual=True, **small),
    cls_head=dict(num_classes=6, in_channels=512, dropout_ratio=0.0),
    data_preprocessor=dict(mean=[0, 0, 0], std=[30, 30, 30]),
)
find_unused_parameters = False

clip = dict(type='SampleFrames', clip_len=6, frame_interval=3, num_clips=1)
scaled = dict(type='Resize', scale=(80, 64), keep_ratio=False)
pack = [
    dict(type='SubtractMeanFrame'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'video')),
]
read = [dict(type='DecordInit'), clip, dict(type='DecordDecode')]
varied = [dict(type='RandomResizedCrop', area_range=(0.6, 1.0)), dict(type='Flip', flip_ratio=0.5)]
loader = dict(batch_size=8, num_workers=1)
train_dataloader = dict(dataset=dict(pipeline=[*read, *varied, scaled, *pack], **data), **loader)
read_middle = [read[0], dict(clip, test_mode=True), read[2]]
test = dict(dataset=dict(pipeline=[*read_middle, scaled, *pack], **data), **loader)
val_dataloader = test_dataloader = test

max_epochs = 18
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', T_max=16, begin=2, end=max_epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=8)
