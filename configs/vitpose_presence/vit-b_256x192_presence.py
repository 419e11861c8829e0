"""The document's decoder at ViTPose's 256 x 192."""

_base_ = ['../vitpose_presence.py']

codec = dict(type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(192, 256), sigma=8)
model = dict(backbone=dict(img_size=(256, 192)), head=dict(pose_head=dict(decoder=codec)))
crop = dict(type='TopdownAffine', input_size=codec['input_size'])
train_pipeline = [
    *_base_.train_pipeline[:5],
    crop,
    dict(type='GenerateTarget', encoder=codec),
    *_base_.train_pipeline[-2:],
]
val_pipeline = [*_base_.val_pipeline[:2], crop, *_base_.val_pipeline[-2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
