"""Table 2, fifth row: Swin-B and twice the schedule (66.4 %)."""

_base_ = ['./apct_swin-b.py']

train_cfg = dict(max_epochs=24)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[16], gamma=0.1)]
