"""Document, run winter-durian-41: 64 features, 50 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(channels=64)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_dataloader = dict(dataset=dict(fraction=0.5))
val_dataloader = dict(dataset=dict(fraction=0.5))
