"""Document, runs fragrant-rain-115 and dry-sunset-116: autoregressive, 3 blocks, 10 % of it."""

_base_ = ['./stcformer_autoregressive.py']

model = dict(num_blocks=3)
train_dataloader = dict(dataset=dict(fraction=0.1))
val_dataloader = dict(dataset=dict(fraction=0.1))
