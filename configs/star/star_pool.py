"""Joint map tokens by pooling F with the heat maps instead of concatenating the two."""

_base_ = ['../star.py']

model = dict(backbone=dict(joint_tokens=dict(join='pool')))
