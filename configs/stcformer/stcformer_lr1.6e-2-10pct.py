"""Document, run genial-tree-21: 10 % of the windows, rate 1.6e-2, diverged there."""

_base_ = ['../stcformer.py']

optim_wrapper = dict(optimizer=dict(lr=1.6e-2))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
