"""Global grid tokens alone: video without skeletons (document 004, multi-expression learning)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(cnn=dict(out_stages=('layer4',)), joint_tokens=None),
)
