"""A small network on generated clips of nine actions, for two CPU cores.

python tools/datasets/make_synthetic.py penn-action --out data/synthetic/penn_action \
    --train-videos 30 --test-videos 10
"""

_base_ = ['../star.py']

data_root = 'data/synthetic/penn_action/'
input_size = (64, 64)
embed_dims = 64
max_epochs = 30

model = dict(
    backbone=dict(
        embed_dims=embed_dims,
        num_heads=4,
        feedforward_channels=128,
        cnn=dict(
            base_channels=8,
            norm_cfg=dict(type='GN', num_groups=4),  # the same however many processes there are
            norm_eval=False,
            init_cfg=None,
        ),
        grid_tokens=dict(in_channels=64, grid_size=(4, 4)),
        joint_tokens=dict(in_channels=16, heatmap_size=(16, 16), join='pool'),
        encoder=dict(num_layers=1),
        decoder=dict(num_layers=1),
        dropout=0.0,
    ),
    cls_head=dict(in_channels=embed_dims, dropout=0.0),
)

train_pipeline = list(_base_.train_pipeline)
train_pipeline[3] = dict(_base_.train_pipeline[3], input_size=input_size)
test_pipeline = list(_base_.test_pipeline)
test_pipeline[3] = dict(_base_.test_pipeline[3], input_size=input_size)
dataset = dict(data_root=data_root)
train_dataloader = dict(
    batch_size=8, num_workers=1, dataset=dict(split='trainval', pipeline=train_pipeline, **dataset)
)
val_dataloader = dict(num_workers=1, dataset=dict(split='test', pipeline=test_pipeline, **dataset))
test_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline, **dataset))

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=40, by_epoch=False),
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=8)
