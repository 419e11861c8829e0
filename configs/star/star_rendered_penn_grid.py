"""Rendered frames of Penn Action without their joints' tokens, from MC3's weights alone.

The joints still say where to crop.
"""

_base_ = ['star_rendered_penn.py']

load_from = None
backbone = dict(joint_tokens=None, positions=('grid',), cnn=dict(out_stages=('layer4',)))
model = dict(backbone=backbone)
