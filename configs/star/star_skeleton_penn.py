"""A small STAR-Transformer on the joints of Penn Action alone, for two CPU cores.

The published label files are enough: data/penn_action/labels/*.mat.
"""

_base_ = ['../star.py']

epochs = 60
backbone = dict(embed_dims=96, num_heads=4, feedforward_channels=192, dropout=0.0)
backbone.update(cnn=None, grid_tokens=None)
backbone['joint_tokens'] = dict(in_channels=0, join='pool', motion=True)
backbone['encoder'] = backbone['decoder'] = dict(num_layers=2)
model = dict(backbone=backbone, cls_head=dict(in_channels=96, label_smooth_eps=0.1))

format_steps = [
    dict(type='FormatJoints', num_people=1),
    dict(type='PackActionInputs', collect_keys=('keypoint',), meta_keys=('name',)),
]
train_pipeline = [
    dict(_base_.train_pipeline[0], temporal_crop=(0.8, 1.0)),
    *_base_.train_pipeline[2:5],
    dict(type='PerturbJoints', drop_in_frame=0.05),
    *format_steps,
]
test_pipeline = [dict(_base_.test_pipeline[0], num_clips=5), *_base_.test_pipeline[2:4]]
test_pipeline += [dict(type='FlipPeople', both=True), *format_steps]  # ten clips
train = dict(split='trainval', frames=None, pipeline=train_pipeline)
test = dict(split='test', frames=None, pipeline=test_pipeline)
train_dataloader = dict(batch_size=16, num_workers=0, dataset=train)
val_dataloader = dict(batch_size=64, num_workers=0, dataset=test)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=epochs, val_interval=epochs)
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
optim_wrapper = dict(optimizer=dict(_delete_=True, **adamw), clip_grad=dict(max_norm=1.0))
cosine = dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=80, by_epoch=False), cosine]
default_hooks = dict(checkpoint=dict(save_best=None))
