"""best.py on generated motion: minutes on two CPU cores; data as for stcformer_toy.py."""

_base_ = ['./best.py']

max_epochs = 10

dataset = dict(
    data_root='data/synthetic/h36m/dataset',
    actions=['walking', 'eating', 'greeting', 'waiting'],
)
train_dataloader = dict(num_workers=0, dataset=dict(stride=2, **dataset))
val_dataloader = dict(num_workers=0, dataset=dict(stride=10, **dataset))
test_dataloader = dict(num_workers=0, dataset=dataset)

train_cfg = dict(max_epochs=max_epochs, val_interval=2)
cosine = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=50, by_epoch=False), cosine]
