"""Presence, and the heatmaps of absent keypoints are trained to be empty."""

_base_ = ['./resnet18_lsp_presence.py']

target = dict(_base_.presence_target, absent_heatmaps='empty')
train_pipeline = [*_base_.train_pipeline[:-2], target, _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
