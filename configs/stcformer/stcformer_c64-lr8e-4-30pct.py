"""Document, run glamorous-hill-36: 64 features, rate 8e-4, 30 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(channels=64)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
