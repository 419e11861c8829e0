"""The headline model on all of COCO train2017, with ViTPose's schedule of 210 epochs."""

_base_ = ['../vitpose_presence.py']

train_dataloader = dict(dataset=dict(indices=None))
val_dataloader = dict(dataset=dict(indices=None))
val_evaluator = _base_.test_evaluator
train_cfg = dict(max_epochs=210, val_interval=10)
decay = dict(type='MultiStepLR', begin=0, end=210, milestones=[170, 200], gamma=0.1)
param_scheduler = [dict(_base_.param_scheduler[0], end=500), decay]
auto_scale_lr = dict(base_batch_size=512)
checkpoint = dict(save_best=['presence/cross_entropy', 'coco/AP'], rule=['less', 'greater'])
default_hooks = dict(checkpoint=checkpoint)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='PresenceThresholdHook')]
