"""best.py on CMU motion capture, where actions of few windows are repeated."""

_base_ = ['./best.py']

model = dict(num_joints=25)
dataset = dict(type='CMUForecastDataset', data_root='data/cmu_mocap')
train_dataloader = dict(dataset=dict(balance=1.0, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
