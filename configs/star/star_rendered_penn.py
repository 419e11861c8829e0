"""Joints and frames of Penn Action, drawn anew from its labels, for who has nothing else.

From star_skeleton_penn.py, whose network this is with a narrow MC3. Pictures show what is in hands:
python tools/datasets/make_synthetic.py penn-skeletons --labels data/penn_action/labels \
    --short-side 96 --implements --out data/penn_rendered
"""

_base_ = ['../star.py']

load_from = 'work_dirs/star_skeleton_penn/epoch_60.pth'
epochs = 20
backbone = dict(embed_dims=96, num_heads=4, feedforward_channels=192, dropout=0.0)
backbone['cnn'] = dict(base_channels=8, norm_eval=False, init_cfg=None)
backbone['grid_tokens'] = dict(in_channels=64, grid_size=(4, 4))
backbone['joint_tokens'] = dict(in_channels=16, heatmap_size=(16, 16), join='pool', drop_joints=0.5)
backbone['encoder'] = backbone['decoder'] = dict(num_layers=2)
model = dict(backbone=backbone, cls_head=dict(in_channels=96, label_smooth_eps=0.1))

train_pipeline, test_pipeline = list(_base_.train_pipeline), list(_base_.test_pipeline)
train_pipeline[0] = dict(_base_.train_pipeline[0], temporal_crop=(0.8, 1.0))
train_pipeline[3] = dict(_base_.train_pipeline[3], input_size=(64, 64))
train_pipeline.insert(5, dict(type='PerturbJoints', drop_in_frame=0.05))
test_pipeline[0] = dict(_base_.test_pipeline[0], num_clips=5)
test_pipeline[3] = dict(_base_.test_pipeline[3], input_size=(64, 64))
test_pipeline.insert(4, dict(type='FlipPeople', both=True))  # ten clips
rendered = dict(data_root='data/penn_rendered/')
train = dict(split='trainval', pipeline=train_pipeline, **rendered)
test = dict(split='test', pipeline=test_pipeline, **rendered)
train_dataloader = dict(batch_size=16, num_workers=1, dataset=train)
val_dataloader = dict(batch_size=16, num_workers=1, dataset=test)
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=epochs, val_interval=epochs)
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
optim_wrapper = dict(optimizer=dict(_delete_=True, **adamw), clip_grad=dict(max_norm=1.0))
cosine = dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=80, by_epoch=False), cosine]
default_hooks = dict(checkpoint=dict(save_best=None))
custom_hooks = [dict(type='SyncBuffersHook'), *_base_.custom_hooks]
custom_hooks += [dict(type='EMAHook', momentum=2e-3)]
