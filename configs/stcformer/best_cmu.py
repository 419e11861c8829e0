"""best.py on CMU motion capture, where actions of few windows are repeated: longer epochs."""

_base_ = ['./best.py']

max_epochs = 8

model = dict(num_joints=25)
dataset = dict(type='CMUForecastDataset', data_root='data/cmu_mocap')
train_dataloader = dict(dataset=dict(balance=1.0, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

train_cfg = dict(max_epochs=max_epochs)
cosine = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [_base_.param_scheduler[0], cosine]
