"""All official training clips, as the papers train; nothing is left to choose an epoch on."""

_base_ = ['../star.py']

train_dataloader = dict(dataset=dict(split='trainval'))
default_hooks = dict(checkpoint=dict(save_best=None))
