"""Document, run crisp-sky-40: 64 features, 2 heads, 30 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(channels=64, num_heads=2)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
