"""1 layer in encoder and decoder each (document 004, number of transformer layers)."""

_base_ = ['../star.py']

model = dict(backbone=dict(encoder=dict(num_layers=1), decoder=dict(num_layers=1)))
