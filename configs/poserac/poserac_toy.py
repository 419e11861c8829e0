"""PoseRAC on generated videos: a minute on two CPU cores.

python tools/datasets/make_synthetic.py repcount --out data/synthetic/repcount
"""

_base_ = ['../poserac.py']

data_root = 'data/synthetic/repcount'
# a single layer, trained longer and on turned and mirrored poses, knows unseen cameras best
model = dict(
    num_layers=1,
    feedforward_channels=400,
    norm_first=True,
    salient_states='separate',
    loss='softmax',
)

train_pipeline = [
    dict(type='FlipPoses', layout='blazepose'),
    dict(type='RotatePoses', max_angle=20, max_tilt=5),
    dict(type='NormalizePoses'),
    dict(type='PackPoses'),
]
train_dataloader = dict(
    batch_size=32, num_workers=0, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=0, dataset=dict(data_root=data_root))
test_dataloader = dict(num_workers=0, dataset=dict(data_root=data_root))

max_epochs = 60
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=32)
