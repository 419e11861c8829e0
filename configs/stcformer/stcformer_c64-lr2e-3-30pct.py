"""Document, run comfy-cosmos-32: 64 features, rate 2e-3, 30 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(channels=64)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
