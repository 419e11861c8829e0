"""All official training clips, as the papers train; nothing is left to choose an epoch on."""

_base_ = ['../star.py']

train_dataloader = dict(dataset=dict(split='trainval'))
val_dataloader = dict(dataset=dict(split='test'))  # to look at; the last epoch counts
default_hooks = dict(checkpoint=dict(save_best=None))
