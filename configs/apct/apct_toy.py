"""A small parser on generated videos, from scratch: minutes on two CPU cores.

python tools/datasets/make_synthetic.py kinetics-tps --out data/synthetic/kinetics_tps
"""

_base_ = ['../apct.py']

data_root = 'data/synthetic/kinetics_tps'
num_layers = 3
dims = 128
attention = dict(embed_dims=dims, num_heads=8, dropout=0.0, batch_first=True)
feedforward = dict(embed_dims=dims, feedforward_channels=256, num_fcs=2, ffn_drop=0.0)
load_from = None
model = dict(
    num_queries=8,
    backbone=dict(
        depth=18,
        base_channels=24,
        stem_channels=24,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(1, 2),
        frozen_stages=-1,
        norm_cfg=dict(_delete_=True, type='GN', num_groups=8),  # from scratch, in small batches
        norm_eval=False,
    ),
    neck=dict(in_channels=[96], out_channels=dims),
    encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feedforward)),
    decoder=dict(
        num_layers=num_layers,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward),
    ),
    # of 10000, most of the waves are longer than the image
    positional_encoding=dict(num_feats=dims // 2, temperature=20),
    bbox_head=dict(
        embed_dims=dims,
        num_layers=num_layers,
        num_states=14,
        refinement=dict(in_channels=48, num_layers=1, feedforward_channels=256, dropout=0.0),
        # from scratch boxes start far off: nearly L1, and more weight for what is learned last
        loss_bbox=dict(beta=0.01),
        loss_part_bbox=dict(beta=0.01),
        loss_part_state=dict(loss_weight=2.0),
        loss_refine=dict(loss_weight=2.0),
    ),
)

train_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable=True),
    dict(type='LoadPartAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPartInputs'),
]
test_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable='blank'),
    dict(type='Resize', scale=(160, 128), keep_ratio=True),
    dict(type='PackPartInputs'),
]
small = dict(batch_size=8, num_workers=0)
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline), **small)
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **small)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline), **small)

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
# a small network takes larger steps than the headline; not tuned
optim_wrapper = dict(optimizer=dict(lr=6e-4), clip_grad=dict(max_norm=1.0), paramwise_cfg=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=8)
