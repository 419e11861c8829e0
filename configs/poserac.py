"""PoseRAC on RepCount-pose: repetitions of eight exercises, counted from BlazePose poses.

Document "PoseRAC", sections 1 and 2: 6 layers, 9 heads, triplet loss, learning rate 2.5e-4, 20
epochs; the rest as in the original code.
"""

_base_ = ['./_base_/default_runtime.py']
custom_imports = dict(imports=['projects.poserac'], allow_failed_imports=False)

data_root = 'data/RepCount_pose'
# in the order of the published checkpoint's outputs (all_action.csv)
classes = [
    'front_raise',
    'pull_up',
    'squat',
    'bench_pressing',
    'jump_jack',
    'situp',
    'push_up',
    'pommelhorse',
]
batch_size = 16

model = dict(
    type='PoseRAC',
    num_classes=len(classes),
    num_joints=33,
    dims=3,
    num_layers=6,
    num_heads=9,
    salient_states='shared',
    metric_loss=dict(type='PoseRACMetricLoss', kind='triplet'),
    alpha=0.01,
    enter_threshold=0.78,
    exit_threshold=0.4,
    momentum=0.4,
)

pipeline = [dict(type='NormalizePoses'), dict(type='PackPoses')]
# the original validates on the poses it trains on; here a tenth of the videos is held out
salient_poses = dict(
    type='SalientPoseDataset',
    data_root=data_root,
    ann_file='annotation_pose/train.csv',
    classes=classes,
    layout='blazepose',
    dims=3,
    val_fraction=0.1,
)
loader = dict(
    num_workers=2,
    persistent_workers=False,  # workers seeded anew each epoch, see seed_worker
    worker_init_fn=dict(type='seed_worker'),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=pipeline, **salient_poses),
    collate_fn=dict(type='default_collate'),
    **loader,
)
val_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline=pipeline, test_mode=True, **salient_poses),
    collate_fn=dict(type='default_collate'),
    **loader,
)
test_dataloader = dict(
    batch_size=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='RepCountDataset',
        data_root=data_root,
        ann_file='annotation/test.csv',
        pose_dir='test_poses',
        classes=classes,
        layout='blazepose',
        dims=3,
        pipeline=pipeline,
        test_mode=True,
    ),
    collate_fn=dict(type='poserac_collate'),
    **loader,
)
val_evaluator = dict(type='SalientPoseMetric')
test_evaluator = dict(type='PoseRACMetric', outfile=None)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2.5e-4))
param_scheduler = dict(
    type='ReduceOnPlateauLR',
    monitor='salient/loss',
    rule='less',
    factor=0.75,
    patience=6,
    min_value=1e-6,
)
auto_scale_lr = dict(enable=False, base_batch_size=batch_size)

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(save_best='salient/loss', rule='less'),
    visualization=dict(type='PoseRACVisualizationHook', enable=False),
)
inferencer = dict(type='PoseRACInferencer')
