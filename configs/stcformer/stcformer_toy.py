"""STCFormer on generated motion: minutes on two CPU cores.

    python tools/datasets/make_synthetic.py human36m --out data/synthetic/h36m \
        --actions walking eating greeting waiting --num-frames 1000
    python tools/train.py configs/stcformer/stcformer_toy.py
"""

_base_ = ['../stcformer.py']

dataset = dict(
    data_root='data/synthetic/h36m/dataset',
    actions=['walking', 'eating', 'greeting', 'waiting'],
)
train_dataloader = dict(batch_size=64, num_workers=0, dataset=dict(stride=2, **dataset))
val_dataloader = dict(num_workers=0, dataset=dict(stride=10, **dataset))
test_dataloader = dict(num_workers=0, dataset=dataset)

train_cfg = dict(max_epochs=8, val_interval=2)
# the few steps of a short run are spent best on a falling rate
optim_wrapper = dict(optimizer=dict(lr=4e-3))
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=8, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=64)
