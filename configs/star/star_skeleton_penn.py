"""A small STAR-Transformer on the joints of Penn Action alone, for two CPU cores.

The published label files are enough: data/penn_action/labels/*.mat.
"""

_base_ = ['star_skeleton.py']

embed_dims = 96
max_epochs = 60
model = dict(
    backbone=dict(
        embed_dims=embed_dims,
        num_heads=4,
        feedforward_channels=192,
        joint_tokens=dict(join='pool'),
        encoder=dict(num_layers=2),
        decoder=dict(num_layers=2),
        dropout=0.0,
    ),
    cls_head=dict(in_channels=embed_dims, label_smooth_eps=0.1),
)
train_pipeline = list(_base_.train_pipeline)
train_pipeline[0] = dict(_base_.train_pipeline[0], temporal_crop=(0.8, 1.0))
train_pipeline.insert(4, dict(type='PerturbJoints', drop_in_frame=0.05))
test_pipeline = list(_base_.test_pipeline)
test_pipeline[0] = dict(_base_.test_pipeline[0], num_clips=5)
test_pipeline.insert(3, dict(type='FlipPeople', both=True))  # ten clips
train = dict(split='trainval', pipeline=train_pipeline)
train_dataloader = dict(batch_size=16, num_workers=1, dataset=train)
test = dict(split='test', pipeline=test_pipeline)
val_dataloader = dict(batch_size=64, num_workers=1, dataset=test)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
optim_wrapper = dict(optimizer=dict(_delete_=True, **adamw), clip_grad=dict(max_norm=1.0))
cosine = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=80, by_epoch=False), cosine]
default_hooks = dict(checkpoint=dict(save_best=None))
