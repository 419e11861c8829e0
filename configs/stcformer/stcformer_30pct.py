"""Document, run gentle-plant-24: 30 % of the windows."""

_base_ = ['../stcformer.py']

train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
