"""Document, run polished-deluge-18: 10 % of the windows, rate 2e-3."""

_base_ = ['../stcformer.py']

optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
