"""Document, run kind-silence-112: autoregressive, 64 features, rate 1e-3, 10 % of the windows."""

_base_ = ['./stcformer_autoregressive.py']

train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
