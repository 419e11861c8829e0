"""The toy parser on real photographs, from scratch: a quarter of an hour of one CPU core.

    python tools/datasets/lsp_to_kinetics_tps.py LSPET_DIR --out data/lsp_tps

To start from what was learned on generated videos: --cfg-options load_from=TOY_CHECKPOINT.
"""

_base_ = ['./apct_toy.py']

data_root = 'data/lsp_tps'
model = dict(bbox_head=dict(num_states=12))

size = dict(type='Resize', scale=(192, 192), keep_ratio=True)
train_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable=True),
    dict(type='LoadPartAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCrop', crop_type='relative_range', crop_size=(0.7, 0.7)),
    size,
    dict(type='PhotoMetricDistortion'),
    dict(type='PackPartInputs'),
]
test_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable='blank'),
    size,
    dict(type='PackPartInputs'),
]
train_dataloader = dict(dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))

max_epochs = 16
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
