"""Document, run chocolate-pine-107: autoregressive, 32 features, rate 1e-3, 10 % of the windows."""

_base_ = ['./stcformer_autoregressive.py']

model = dict(channels=32)
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
