"""Document, run bright-forest-37: 2 heads, 30 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(num_heads=2)
train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
