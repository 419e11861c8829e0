"""STCFormer on CMU motion capture, data/cmu_mocap/{train,test}/<action>/<action>_<i>.txt."""

_base_ = ['../stcformer.py']

max_epochs = 30
batch_size = 64  # 12 thousand windows, a fifteenth of Human3.6M's: more and smaller steps

model = dict(num_joints=25)
dataset = dict(type='CMUForecastDataset', data_root='data/cmu_mocap')
train_dataloader = dict(batch_size=batch_size, dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)

train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=batch_size)
