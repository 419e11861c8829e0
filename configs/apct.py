"""APCT on Kinetics-TPS: ResNet-50, cascaded decoder, refinement, 12 epochs on 8 GPUs.

Document "End-to-End Part-level Action Parsing with Cascaded Transformer", table 2, third row. The
challenge forbids weights trained on Kinetics-400/600/700; these start from COCO, as the document's.
"""

_base_ = ['./_base_/default_runtime.py']
custom_imports = dict(imports=['projects.apct'], allow_failed_imports=False)
default_scope = 'mmdet'

data_root = 'data/kinetics_tps'
num_parts = 10  # lines of list/body_part.txt
num_states = 74  # lines of list/part_stat.txt
num_layers = 6
batch_size = 2  # a GPU, 8 of them

# mmdet's DETR; its weights for COCO fit backbone, encoder, decoder and the first layer's boxes
load_from = (
    'https://download.openmmlab.com/mmdetection/v3.0/detr/detr_r50_8xb2-150e_coco/'
    'detr_r50_8xb2-150e_coco_20221023_153551-436d03e8.pth'
)

attention = dict(embed_dims=256, num_heads=8, dropout=0.1, batch_first=True)
feedforward = dict(
    embed_dims=256,
    feedforward_channels=2048,
    num_fcs=2,
    ffn_drop=0.1,
    act_cfg=dict(type='ReLU', inplace=True),
)
model = dict(
    type='APCT',
    num_queries=100,
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(1, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
    ),
    neck=dict(
        type='ChannelMapper',
        in_channels=[2048],
        kernel_size=1,
        out_channels=256,
        act_cfg=None,
        norm_cfg=None,
        num_outs=1,
    ),
    encoder=dict(num_layers=6, layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=feedforward)),
    decoder=dict(
        condition='region',
        num_layers=num_layers,
        layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward),
        return_intermediate=True,
    ),
    positional_encoding=dict(num_feats=128, normalize=True),
    roi_level=0,  # the refinement's regions: stride 8, where a part is more than one cell
    bbox_head=dict(
        type='APCTHead',
        num_classes=1,
        embed_dims=256,
        num_layers=num_layers,
        num_parts=num_parts,
        num_states=num_states,
        cascade=True,
        sync_cls_avg_factor=True,  # several GPUs train as one with a larger batch
        refinement=dict(in_channels=512),
        # equation 1; not in the document are the weights (DETR's, and 1 for states) and where
        # SmoothL1 turns linear: at 5 % of the image, about the size of a part
        loss_cls=dict(type='CrossEntropyLoss', bg_cls_weight=0.1, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=0.05, loss_weight=5.0),
        loss_part_bbox=dict(type='SmoothL1Loss', beta=0.05, loss_weight=5.0),
        loss_part_state=dict(type='PartStateFocalLoss', loss_weight=1.0),
        loss_refine=dict(type='PartStateFocalLoss', loss_weight=1.0),
    ),
    train_cfg=dict(
        assigner=dict(
            type='HungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=1.0),
                dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
                dict(type='IoUCost', iou_mode='giou', weight=2.0),
            ],
        )
    ),
    test_cfg=dict(max_per_img=10),  # the challenge takes 10 people a frame
)

# DETR's augmentation
scales = [(short, 1333) for short in range(480, 801, 32)]
train_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable=True),
    dict(type='LoadPartAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='RandomChoiceResize', scales=scales, keep_ratio=True)],
            [
                dict(
                    type='RandomChoiceResize',
                    scales=[(400, 1333), (500, 1333), (600, 1333)],
                    keep_ratio=True,
                ),
                dict(
                    type='RandomCrop',
                    crop_type='absolute_range',
                    crop_size=(384, 600),
                    allow_negative_crop=True,
                ),
                dict(type='RandomChoiceResize', scales=scales, keep_ratio=True),
            ],
        ],
    ),
    dict(type='PackPartInputs'),
]
test_pipeline = [
    dict(type='LoadKineticsTPSFrame', skip_unreadable='blank'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackPartInputs'),
]
loader = dict(
    batch_size=batch_size,
    num_workers=4,
    persistent_workers=False,  # workers seeded anew each epoch, see seed_worker
    worker_init_fn=dict(type='seed_worker'),
)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='KineticsTPSDataset', data_root=data_root, split='train', pipeline=train_pipeline
    ),
    **loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='KineticsTPSDataset',
        data_root=data_root,
        split='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    **loader,
)
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='KineticsTPSDataset',
        data_root=data_root,
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    **loader,
)
val_evaluator = dict(type='KineticsTPSMetric')
test_evaluator = dict(type='KineticsTPSMetric', outfile=None)

max_epochs = 12
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=0.1, norm_type=2),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)}),
)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, milestones=[max_epochs * 2 // 3], gamma=0.1)
]
auto_scale_lr = dict(enable=False, base_batch_size=8 * batch_size)

custom_hooks = [dict(type='EpochSeedHook'), dict(type='BackgroundCollapseHook')]
default_hooks = dict(
    checkpoint=dict(save_best='kinetics_tps/mean_psc', rule='greater'),
    visualization=dict(type='PartParsingVisualizationHook', enable=False),
)
inferencer = dict(type='PartParsingInferencer')
