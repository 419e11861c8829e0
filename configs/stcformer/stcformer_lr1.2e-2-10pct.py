"""Document, run rural-silence-22: 10 % of the windows, rate 1.2e-2, diverged there."""

_base_ = ['../stcformer.py']

optim_wrapper = dict(optimizer=dict(lr=1.2e-2))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
