"""Absent keypoints' heatmaps are left to themselves, as mmpose trains heatmaps."""

_base_ = ['./resnet18_lsp_presence.py']

train_pipeline = [
    *_base_.train_pipeline[:-2],
    _base_.presence_target,
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
