"""Focal loss (Lin et al. 2017) for presence: easy keypoints count less."""

_base_ = ['../vitpose_presence.py']

model = dict(head=dict(loss=dict(gamma=2.0, loss_weight=4.0)))
