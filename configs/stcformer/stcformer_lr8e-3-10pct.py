"""Document, run resilient-fire-20: 10 % of the windows, rate 8e-3 (the best of them)."""

_base_ = ['../stcformer.py']

train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
