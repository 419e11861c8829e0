"""Document, run earthy-snowflake-23: 10 % of the windows, rate 1e-2."""

_base_ = ['../stcformer.py']

optim_wrapper = dict(optimizer=dict(lr=1e-2))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
