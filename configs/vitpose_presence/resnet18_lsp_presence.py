"""A small ResNet-18 with presence on Leeds Sports Pose, for two CPU cores.

Its backbone comes from ``resnet18_synthetic.py``, trained on generated pictures.
"""

_base_ = ['../vitpose_presence.py']

codec = dict(type='MSRAHeatmap', input_size=(96, 96), heatmap_size=(24, 24), sigma=1.2)
start = dict(checkpoint='work_dirs/resnet18_synthetic/epoch_10.pth', prefix='backbone.')
backbone = dict(type='ResNet', depth=18, stem_channels=32, base_channels=32, strides=(1, 2, 2, 1))
backbone.update(_delete_=True, init_cfg=dict(type='Pretrained', **start))
pose_head = dict(in_channels=256, out_channels=14, scale_factor=4, decoder=codec)
# a heatmap's error is a thousand times smaller than cross-entropy
pose_head.update(loss=dict(loss_weight=500.0))
model = dict(backbone=backbone, head=dict(pose_head=pose_head))

load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
crop = dict(type='TopdownAffine', input_size=codec['input_size'])
augment = [dict(type='RandomFlip'), dict(type='RandomBBoxTransform', rotate_factor=30.0)]
end = [_base_.presence_target, dict(type='PackPoseInputs')]
train_pipeline = [*load, *augment, crop, dict(type='GenerateTarget', encoder=codec), *end]
val_pipeline = [*load, crop, *end]
lsp = dict(type='LSPDataset', data_root='data/lspet/', fractions=(0.7, 0.1, 0.2), _delete_=True)
val = dict(lsp, split='val', pipeline=val_pipeline, test_mode=True)
train = dict(lsp, split='train', pipeline=train_pipeline)
train_dataloader = dict(batch_size=32, num_workers=1, dataset=train)
val_dataloader = dict(num_workers=1, dataset=val)
test_dataloader = dict(num_workers=1, dataset=dict(val, split='test'))
val_evaluator = [dict(type='KeypointPresenceMetric'), dict(type='LSPPCKAccuracy')]
test_evaluator = [dict(type='KeypointPresenceMetric', outfile=None), dict(type='LSPPCKAccuracy')]

train_cfg = dict(max_epochs=20, val_interval=10)
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=adamw)
cosine = dict(type='CosineAnnealingLR', by_epoch=True, T_max=20, convert_to_iter_based=True)
param_scheduler = [_base_.param_scheduler[0], cosine]
custom_hooks = [dict(type='SyncBuffersHook'), *_base_.custom_hooks[:2]]  # no early stopping
