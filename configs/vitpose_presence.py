"""ViT-B with the document's decoder and keypoint presence, on COCO.

Document 002, sections 3 and 4: 224 x 224, both losses weighted equally, dropout 0.4, learning rate
5e-4, 8 epochs over 6,000 people, 500 to validate on. It names no optimizer, augmentation, batch
size or width of the heatmaps' peaks: these are ViTPose's.
"""

_base_ = ['./_base_/default_runtime.py']
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)
default_scope = 'mmpose'

data_root = 'data/coco/'
batch_size = 64
# as many pixels as the heatmaps have; 7 of 224 is ViTPose's share, 2 of 64
codec = dict(type='MSRAHeatmap', input_size=(224, 224), heatmap_size=(224, 224), sigma=7)

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='PoseDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
    ),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch='base',
        img_size=224,
        patch_size=16,
        drop_path_rate=0.3,
        out_type='featmap',
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmclassification/v0/vit/pretrain/'
            'vit-base-p16_3rdparty_pt-64xb64_in1k-224_20210928-02284250.pth',
            prefix='backbone.',
        ),
    ),
    head=dict(
        type='KeypointPresenceHead',
        pose_head=dict(
            type='BilinearHeatmapHead',
            in_channels=768,
            out_channels=17,
            scale_factor=16,
            loss=dict(type='KeypointMSELoss', use_target_weight=True, loss_weight=1.0),
            decoder=codec,
        ),
        pool=4,
        hidden_channels=128,
        dropout=0.4,
        detach_heatmaps=False,
        loss=dict(type='KeypointPresenceLoss', loss_weight=1.0),
        keypoint_scores='heatmap',
    ),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False),
)

presence_target = dict(type='KeypointPresenceTarget', target='labelled')
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomHalfBody'),
    dict(type='RandomBBoxTransform'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    presence_target,
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    presence_target,
    dict(type='PackPoseInputs'),
]
dataset = dict(type='CocoDataset', data_root=data_root, data_mode='topdown')
loader = dict(
    num_workers=4,
    persistent_workers=False,  # workers seeded anew each epoch, see seed_worker
    worker_init_fn=dict(type='seed_worker'),
)
train_dataloader = dict(
    batch_size=batch_size,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        indices=6000,
        pipeline=train_pipeline,
        **dataset,
    ),
    **loader,
)
# annotated boxes: whether a keypoint is there is known of annotated people only
val_dataloader = dict(
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        indices=500,
        test_mode=True,
        pipeline=val_pipeline,
        **dataset,
    ),
    **loader,
)
test_dataloader = dict(
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline,
        **dataset,
    ),
    **loader,
)
# COCO's AP asks for all people of all images, so that of 500 people is not told by it
val_evaluator = [
    dict(type='KeypointPresenceMetric'),
    dict(type='PCKAccuracy', thr=0.05, norm_item='bbox'),
]
test_evaluator = [
    dict(type='KeypointPresenceMetric', outfile=None),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/person_keypoints_val2017.json'),
]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(num_layers=12, layer_decay_rate=0.75),
    constructor='LayerDecayOptimWrapperConstructor',
    clip_grad=dict(max_norm=1.0, norm_type=2),
)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.001, by_epoch=False),
]
auto_scale_lr = dict(enable=False, base_batch_size=batch_size)

default_hooks = dict(
    checkpoint=dict(save_best=['presence/cross_entropy', 'PCK'], rule=['less', 'greater']),
    visualization=dict(type='KeypointPresenceVisualizationHook', enable=False),
)
# section 5 of the document: the validation loss rises from the fourth epoch on
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='PresenceThresholdHook'),
    dict(
        type='EarlyStoppingHook',
        monitor='presence/cross_entropy',
        rule='less',
        min_delta=1e-3,
        patience=3,
    ),
]
inferencer = dict(type='KeypointPresenceInferencer')
