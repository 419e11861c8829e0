"""Document, run fine-snowball-26: 50 % of the windows."""

_base_ = ['../stcformer.py']

train_dataloader = dict(dataset=dict(fraction=0.5))
val_dataloader = dict(dataset=dict(fraction=0.5))
