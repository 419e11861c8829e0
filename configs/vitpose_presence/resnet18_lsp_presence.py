"""A small ResNet-18 with presence on Leeds Sports Pose, from random weights, for two CPU cores."""

_base_ = ['../vitpose_presence.py']

data_root = 'data/lspet/'
codec = dict(type='MSRAHeatmap', input_size=(128, 128), heatmap_size=(32, 32), sigma=1.5)
model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=18, stem_channels=32, base_channels=32),
    head=dict(
        pose_head=dict(
            _delete_=True,
            type='HeatmapHead',
            in_channels=256,
            out_channels=14,
            deconv_out_channels=(64, 64, 64),
            loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=1.0),
            decoder=codec,
        ),
    ),
)

load = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
crop = dict(type='TopdownAffine', input_size=codec['input_size'])
pack = [_base_.presence_target, dict(type='PackPoseInputs')]
augment = [dict(type='RandomFlip'), dict(type='RandomBBoxTransform', rotate_factor=60.0)]
target = dict(type='GenerateTarget', encoder=codec)
lsp = dict(_delete_=True, type='LSPDataset', data_root=data_root, fractions=(0.7, 0.1, 0.2))
train = dict(split='train', pipeline=[*load, *augment, crop, target, *pack], **lsp)
val = dict(split='val', pipeline=[*load, crop, *pack], test_mode=True, **lsp)
train_dataloader = dict(batch_size=32, dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=dict(val, split='test'))
val_evaluator = [dict(type='KeypointPresenceMetric'), dict(type='LSPPCKAccuracy')]
test_evaluator = [dict(type='KeypointPresenceMetric', outfile=None), dict(type='LSPPCKAccuracy')]
optim_wrapper = dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
