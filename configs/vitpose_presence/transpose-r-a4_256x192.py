"""TransPose-R-A4, the second baseline of document 002, without presence.

The rest is mmpose's config of HRNet-W32, with TransPose's schedule (Yang et al. 2021: one GPU, 20
people a batch), validated on annotated boxes.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)

heatmap_head = dict(_base_.model.head, in_channels=256, deconv_out_channels=[256])
heatmap_head.update(deconv_kernel_sizes=[4])
pretrained = dict(type='Pretrained', checkpoint='torchvision://resnet50')
model = dict(
    backbone=dict(
        **dict(_delete_=True, type='ResNet', depth=50, num_stages=2, out_indices=[1]),
        **dict(strides=[1, 2], dilations=[1, 1], init_cfg=pretrained),
    ),
    neck=dict(type='TransPoseEncoder', in_channels=512, embed_dims=256, num_layers=4, num_heads=8),
    head=dict(_delete_=True, **heatmap_head),
)
train_dataloader = dict(batch_size=20)
val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator]
test_evaluator = [dict(outfile=None, **metric), _base_.val_evaluator]
train_cfg = dict(max_epochs=230)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
decay = dict(type='MultiStepLR', end=230, milestones=[100, 150, 200, 220], gamma=0.25)
param_scheduler = [_base_.param_scheduler[0], decay]
auto_scale_lr = dict(base_batch_size=20)

visualization = dict(_delete_=True, type='KeypointPresenceVisualizationHook', enable=False)
default_hooks = dict(visualization=visualization)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='PresenceThresholdHook')]
inferencer = dict(type='KeypointPresenceInferencer')
