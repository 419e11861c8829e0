"""Document, run celestial-shadow-108: autoregressive, 32 features, 2e-3, 10 % of the windows."""

_base_ = ['./stcformer_autoregressive.py']

model = dict(channels=32)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
