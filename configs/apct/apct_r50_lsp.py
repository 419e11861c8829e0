"""The headline's parser on real photographs, from COCO, on one GPU."""

_base_ = ['../apct.py']

data_root = 'data/lsp_tps'
model = dict(bbox_head=dict(num_states=12))
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

# 1046 photographs for the headline's 100 thousand frames: 6.5 thousand steps, not tuned
train_cfg = dict(max_epochs=50)
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[40], gamma=0.1)]
auto_scale_lr = dict(base_batch_size=8)
