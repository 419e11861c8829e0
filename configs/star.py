"""STAR-Transformer on Penn Action, video and skeleton.

Document 004, Implementation details: ResNet-MC18 with weights from Kinetics-400, 16 frames, SGD,
learning rate 2e-4, momentum 0.9, 300 epochs, batches of 4 on each of 4 GPUs. It names no
augmentation, no schedule, no size of the transformer and no number of layers: these are ours.
"""

_base_ = ['./_base_/default_runtime.py']
custom_imports = dict(imports=['projects.star'], allow_failed_imports=False)
default_scope = 'mmaction'

data_root = 'data/penn_action/'
num_frames = 16
input_size = (112, 112)
embed_dims = 512  # the channels of the last feature map
layout = 'penn'

model = dict(
    type='MMRecognizer3D',
    data_preprocessor=dict(
        type='MultiModalDataPreprocessor',
        preprocessors=dict(
            # torchvision's of mc3_18
            imgs=dict(
                type='ActionDataPreprocessor',
                mean=[110.201, 100.64, 95.995],
                std=[58.148, 56.47, 55.332],
                format_shape='NCTHW',
            ),
            keypoint=dict(type='ActionDataPreprocessor'),
        ),
    ),
    backbone=dict(
        type='STARTransformer',
        num_frames=num_frames,
        embed_dims=embed_dims,
        num_heads=8,
        feedforward_channels=2048,
        cnn=dict(
            type='MC3',
            out_stages=('layer2', 'layer4'),
            norm_eval=True,  # the statistics of 4 clips would be poor ones
            init_cfg=dict(
                type='Pretrained',
                checkpoint='https://download.pytorch.org/models/mc3_18-a90a0ba3.pth',
            ),
        ),
        grid_tokens=dict(in_channels=512, grid_size=(7, 7)),
        joint_tokens=dict(
            num_joints=13, in_channels=128, heatmap_size=(28, 28), sigma=1.0, join='concatenate'
        ),
        class_tokens=True,
        positions=None,  # of the joint map tokens, as in the document
        encoder=dict(num_layers=3, attentions=('FAttn', 'ZAttn')),
        decoder=dict(num_layers=3, attentions=('FAttn', 'BAttn')),
        dropout=0.1,
    ),
    cls_head=dict(
        type='STARHead', num_classes=15, in_channels=embed_dims, dropout=0.1, average_clips='prob'
    ),
)

format_steps = [
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='FormatJoints', num_people=1),
    dict(type='PackActionInputs', collect_keys=('imgs', 'keypoint'), meta_keys=('name',)),
]
train_pipeline = [
    dict(type='SampleSegments', clip_len=num_frames),
    dict(type='RawFrameDecode'),
    dict(type='PickJoints'),
    dict(
        type='CropPeople',
        input_size=input_size,
        shift_factor=0.1,
        scale_factor=(0.8, 1.2),
        rotate_factor=15.0,
    ),
    dict(type='FlipPeople', layout=layout),
    *format_steps,
]
test_pipeline = [
    dict(type='SampleSegments', clip_len=num_frames, test_mode=True),
    dict(type='RawFrameDecode'),
    dict(type='PickJoints'),
    dict(type='CropPeople', input_size=input_size),
    *format_steps,
]
dataset = dict(type='PennActionDataset', data_root=data_root)
loader = dict(
    num_workers=4,
    persistent_workers=False,  # workers seeded anew each epoch, see seed_worker
    worker_init_fn=dict(type='seed_worker'),
)
train_dataloader = dict(
    batch_size=4,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', pipeline=train_pipeline, **dataset),
    **loader,
)
# a tenth of the training clips: the best epoch is not chosen on the test clips
val_dataloader = dict(
    batch_size=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', pipeline=test_pipeline, test_mode=True, **dataset),
    **loader,
)
test_dataloader = dict(
    batch_size=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True, **dataset),
    **loader,
)
val_evaluator = dict(type='ActionAccuracy')
test_evaluator = dict(type='ActionAccuracy', outfile=None)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=300, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=2e-4, momentum=0.9),
    clip_grad=dict(max_norm=40, norm_type=2),
)
auto_scale_lr = dict(enable=False, base_batch_size=16)

default_hooks = dict(
    checkpoint=dict(save_best='acc/top1', rule='greater'),
    visualization=dict(type='STARVisualizationHook', enable=False),
)
inferencer = dict(type='STARInferencer')
