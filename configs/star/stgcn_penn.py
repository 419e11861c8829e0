"""mmaction2's ST-GCN on the same joints, frames, augmentation and epochs, to compare with."""

_base_ = ['star_skeleton_penn.py']

# the graph of layout 'penn': limbs towards the middle of the shoulders
graph = dict(
    num_node=13,
    inward=[
        *[(0, 1), (0, 2), (3, 1), (5, 3), (4, 2), (6, 4), (7, 1), (8, 2)],
        *[(9, 7), (11, 9), (10, 8), (12, 10), (1, 2), (7, 8)],
    ],
    center=1,
)
model = dict(
    _delete_=True,
    type='RecognizerGCN',
    backbone=dict(type='STGCN', graph_cfg=dict(layout=graph, mode='stgcn_spatial')),
    cls_head=dict(
        type='GCNHead',
        num_classes=15,
        in_channels=256,
        label_smooth_eps=0.1,
        average_clips='prob',
    ),
)
format_steps = [
    dict(type='PreNormalize2D'),
    dict(type='FormatGCNInput', num_person=1),
    dict(type='PackActionInputs', meta_keys=('name',)),
]
train_pipeline = [*_base_.train_pipeline[:5], *format_steps]
test_pipeline = [*_base_.test_pipeline[:4], *format_steps]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# mmaction2's own optimizer, for batches of 16
sgd = dict(type='SGD', lr=0.0125, momentum=0.9, weight_decay=5e-4, nesterov=True)
optim_wrapper = dict(optimizer=dict(_delete_=True, **sgd), clip_grad=None)
custom_hooks = [dict(type='SyncBuffersHook'), *_base_.custom_hooks]
