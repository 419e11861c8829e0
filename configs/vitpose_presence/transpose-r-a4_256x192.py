"""TransPose-R-A4, the second baseline of document 002.

mmpose's config of HRNet-W32 with TransPose's network, codec and schedule (Yang et al. 2021), on
annotated boxes. The warm-up and the wider augmentation are mmpose's.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)

# peaks between pixels, and a Taylor step to decode them
codec = dict(_base_.codec, unbiased=True, blur_kernel_size=11)
stages = dict(num_stages=2, strides=[1, 2], dilations=[1, 1], out_indices=[1])
stages.update(init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'))
deconv = dict(deconv_out_channels=[256], deconv_kernel_sizes=[4])
model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=50, **stages),
    neck=dict(type='TransPoseEncoder', in_channels=512, embed_dims=256, num_layers=4, num_heads=8),
    head=dict(in_channels=256, decoder=codec, **deconv),
)
target = dict(type='GenerateTarget', encoder=codec)
train_pipeline = [*_base_.train_pipeline[:-2], target, _base_.train_pipeline[-1]]
train_dataloader = dict(batch_size=20, dataset=dict(pipeline=train_pipeline))
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

default_hooks = dict(visualization=dict(_delete_=True, type='KeypointPresenceVisualizationHook'))
ours = [dict(type='EpochSeedHook'), dict(type='PresenceThresholdHook')]
custom_hooks = [*_base_.custom_hooks, *ours]
inferencer = dict(type='KeypointPresenceInferencer')
