"""Rendered frames of Penn Action without their joints' tokens, from scratch.

The joints still say where to crop.
"""

_base_ = ['star_rendered_penn.py']

load_from = None
epochs = 10
backbone = dict(joint_tokens=None, positions=('grid',), cnn=dict(out_stages=('layer4',)))
model = dict(backbone=backbone)
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], T_max=epochs)]
