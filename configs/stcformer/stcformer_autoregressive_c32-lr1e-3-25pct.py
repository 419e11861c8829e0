"""Document, run giddy-frost-110: autoregressive, 32 features, rate 1e-3, 25 % of the windows."""

_base_ = ['./stcformer_autoregressive.py']

model = dict(channels=32)
train_dataloader = dict(dataset=dict(fraction=0.25))
val_dataloader = dict(dataset=dict(fraction=0.25))
