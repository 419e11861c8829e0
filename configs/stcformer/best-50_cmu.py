"""best_cmu.py that observes 50 frames, two seconds; windows begin earlier and are fewer."""

_base_ = ['./best.py']

max_epochs = 8
num_frames = 50

model = dict(num_joints=25, num_frames=num_frames)
dataset = dict(type='CMUForecastDataset', data_root='data/cmu_mocap', num_frames=num_frames)
train_dataloader = dict(dataset=dict(balance=1.0, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

train_cfg = dict(max_epochs=max_epochs)
cosine = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [_base_.param_scheduler[0], cosine]
