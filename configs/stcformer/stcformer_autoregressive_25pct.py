"""Document, run quiet-tree-152: autoregressive, 64 features, rate 1e-3, 25 % of the windows."""

_base_ = ['./stcformer_autoregressive.py']

train_dataloader = dict(dataset=dict(fraction=0.25))
val_dataloader = dict(dataset=dict(fraction=0.25))
