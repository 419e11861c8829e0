"""Joints and frames of Penn Action, drawn anew from its labels, for who has nothing else.

Joints from star_skeleton_penn.py, pictures from star_rendered_penn_mc3.py; hands hold things.
python tools/datasets/make_synthetic.py penn-skeletons --labels data/penn_action/labels \
    --short-side 96 --implements --out data/penn_rendered
"""

_base_ = ['../star.py']

load_from = 'work_dirs/star_skeleton_penn/epoch_60.pth'
epochs = 12
backbone = dict(embed_dims=96, num_heads=4, feedforward_channels=192, dropout=0.0)
cnn = dict(checkpoint='work_dirs/star_rendered_penn_mc3/epoch_40.pth', prefix='backbone.cnn')
backbone['cnn'] = dict(base_channels=16, norm_eval=False, init_cfg=cnn)
backbone['grid_tokens'] = dict(in_channels=128, grid_size=(4, 4))
backbone['joint_tokens'] = dict(in_channels=32, heatmap_size=(16, 16), drop_joints=0.3)
backbone['joint_tokens'].update(join='pool', motion=True)
backbone['encoder'] = backbone['decoder'] = dict(num_layers=2)
model = dict(backbone=backbone, cls_head=dict(in_channels=96, label_smooth_eps=0.1))

train_pipeline, test_pipeline = list(_base_.train_pipeline), list(_base_.test_pipeline)
train_pipeline[0] = dict(_base_.train_pipeline[0], temporal_crop=(0.8, 1.0))
train_pipeline[3] = dict(_base_.train_pipeline[3], input_size=(64, 64))
train_pipeline.insert(5, dict(type='PerturbJoints', drop_in_frame=0.05))
test_pipeline[0] = dict(_base_.test_pipeline[0], num_clips=5)
test_pipeline[3] = dict(_base_.test_pipeline[3], input_size=(64, 64))
test_pipeline.insert(4, dict(type='FlipPeople', both=True))  # ten clips
train = dict(split='trainval', pipeline=train_pipeline, data_root='data/penn_rendered/')
test = dict(split='test', pipeline=test_pipeline, data_root='data/penn_rendered/')
train_dataloader = dict(batch_size=16, num_workers=1, dataset=train)
val_dataloader = test_dataloader = dict(batch_size=16, num_workers=1, dataset=test)

train_cfg = dict(max_epochs=epochs, val_interval=epochs)
adamw = dict(_delete_=True, type='AdamW', lr=5e-4, weight_decay=0.05)
optim_wrapper = dict(optimizer=adamw, clip_grad=dict(max_norm=1.0))
cosine = dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=80, by_epoch=False), cosine]
default_hooks = dict(checkpoint=dict(save_best=None))
ema = dict(type='EMAHook', momentum=2e-3)
custom_hooks = [dict(type='SyncBuffersHook'), *_base_.custom_hooks, ema]
