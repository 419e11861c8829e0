"""Twelve layers that train: normalised before attention, each pose on its own (README, "Depth")."""

_base_ = ['../poserac.py']

model = dict(num_layers=12, norm_first=True)
train_cfg = dict(max_epochs=50)
