"""Document, run eager-dawn-25: 20 % of the windows."""

_base_ = ['../stcformer.py']

train_dataloader = dict(dataset=dict(fraction=0.2))
val_dataloader = dict(dataset=dict(fraction=0.2))
