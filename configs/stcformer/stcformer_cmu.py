"""STCFormer on CMU motion capture."""

_base_ = ['../stcformer.py']

dataset = dict(type='CMUForecastDataset', data_root='data/cmu_mocap')

model = dict(num_joints=25)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
