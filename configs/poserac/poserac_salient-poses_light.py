"""Single salient poses, our best: one layer, cross entropy, turned and mirrored poses."""

_base_ = ['./poserac_salient-poses.py']

model = dict(
    num_layers=1,
    norm_first=True,
    loss='softmax',
    label_smoothing=0.1,
    metric_loss=None,
)
pipeline = [
    dict(type='FlipPoses', layout='blazepose'),
    dict(type='RotatePoses', max_angle=10, max_tilt=5),
    dict(type='NormalizePoses'),
    dict(type='PackPoses'),
]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=pipeline))
max_epochs = 100
train_cfg = dict(max_epochs=max_epochs, val_interval=10)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=250),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=32)
