"""Present means visible: v = 2 against v = 1; what is not labelled takes no part."""

_base_ = ['../vitpose_presence.py']

target = dict(type='KeypointPresenceTarget', target='visible', unlabelled='unknown')
train_pipeline = [*_base_.train_pipeline[:-2], target, _base_.train_pipeline[-1]]
val_pipeline = [*_base_.val_pipeline[:-2], target, _base_.val_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
