"""STAR-Transformer on NTU RGB+D 60, cross-subject: 25 joints of up to two people."""

_base_ = ['../star.py']

data_root = 'data/ntu_rgbd/'
model = dict(backbone=dict(joint_tokens=dict(num_joints=50)), cls_head=dict(num_classes=60))

decode_steps = [dict(type='DecordInit'), dict(type='DecordDecode')]
format_steps = [
    _base_.format_steps[0],
    dict(type='FormatJoints', num_people=2),
    _base_.format_steps[-1],
]
train_pipeline = [
    _base_.train_pipeline[0],
    *decode_steps,
    *_base_.train_pipeline[2:4],
    dict(type='FlipPeople', layout='ntu'),
    *format_steps,
]
test_pipeline = [
    _base_.test_pipeline[0],
    *decode_steps,
    *_base_.test_pipeline[2:4],
    *format_steps,
]
dataset = dict(_delete_=True, type='NTURGBDDataset', data_root=data_root, benchmark='xsub60')
train_dataloader = dict(dataset=dict(split='train', pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dict(split='val', pipeline=test_pipeline, test_mode=True, **dataset))
test_dataloader = dict(
    dataset=dict(split='test', pipeline=test_pipeline, test_mode=True, **dataset)
)
