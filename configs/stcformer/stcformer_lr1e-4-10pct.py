"""Document, run classic-moon-16: 10 % of the windows, rate 1e-4 (the first run)."""

_base_ = ['../stcformer.py']

optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
