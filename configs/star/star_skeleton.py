"""Skeletons without any video: joint map tokens of the heat maps alone."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(cnn=None, grid_tokens=None, joint_tokens=dict(in_channels=0)),
)
format_steps = [
    dict(type='FormatJoints', num_people=1),
    dict(type='PackActionInputs', collect_keys=('keypoint',), meta_keys=('name',)),
]
train_pipeline = [
    _base_.train_pipeline[0],
    *_base_.train_pipeline[2:5],
    *format_steps,
]
test_pipeline = [
    _base_.test_pipeline[0],
    *_base_.test_pipeline[2:4],
    *format_steps,
]
train_dataloader = dict(dataset=dict(frames=None, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(frames=None, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(frames=None, pipeline=test_pipeline))
