"""A small ResNet with the document's decoder and presence on generated pictures, for two CPU cores.

python tools/datasets/make_synthetic.py coco --out data/synthetic/coco
"""

_base_ = ['../vitpose_presence.py']

data_root = 'data/synthetic/coco/'
batch_size = 32
codec = dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
norm_cfg = dict(type='GN', num_groups=8)  # the same however many processes share a batch

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        num_stages=3,
        strides=(1, 2, 1),
        dilations=(1, 1, 1),
        out_indices=(2,),
        norm_cfg=norm_cfg,
        norm_eval=False,
    ),
    head=dict(
        pose_head=dict(
            in_channels=128,
            scale_factor=2,
            # a heatmap's error is a thousand times smaller than cross-entropy
            loss=dict(loss_weight=500.0),
            decoder=codec,
        )
    ),
)

crop = dict(type='TopdownAffine', input_size=codec['input_size'])
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', rotate_factor=30.0),
    crop,
    dict(type='GenerateTarget', encoder=codec),
    _base_.presence_target,
    dict(type='PackPoseInputs'),
]
val_pipeline = [*_base_.val_pipeline[:2], crop, *_base_.val_pipeline[-2:]]
loader = dict(num_workers=1)
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(data_root=data_root, indices=None, pipeline=train_pipeline),
    **loader,
)
val_dataloader = dict(
    dataset=dict(data_root=data_root, indices=None, pipeline=val_pipeline), **loader
)
test_dataloader = dict(dataset=dict(data_root=data_root, pipeline=val_pipeline), **loader)
test_evaluator = [
    dict(type='KeypointPresenceMetric', outfile=None),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/person_keypoints_val2017.json'),
    dict(type='PCKAccuracy', thr=0.05, norm_item='bbox'),
]

train_cfg = dict(max_epochs=15)
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05)
)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', T_max=15, by_epoch=True, convert_to_iter_based=True),
]
custom_hooks = _base_.custom_hooks[:2]  # no early stopping
auto_scale_lr = dict(base_batch_size=batch_size)
