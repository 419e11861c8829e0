"""Document, run smooth-plasma-29: 4 blocks, 30 % of the windows."""

_base_ = ['../stcformer.py']

model = dict(num_blocks=4)
train_dataloader = dict(dataset=dict(fraction=0.3))
val_dataloader = dict(dataset=dict(fraction=0.3))
