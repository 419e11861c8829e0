"""Poses that mmpose found, in mmaction2's pickle layout: HMDB51, first split, skeletons alone.

https://download.openmmlab.com/mmaction/v1.0/skeleton/data/hmdb51_2d.pkl
"""

_base_ = ['star_skeleton.py']

model = dict(
    backbone=dict(joint_tokens=dict(num_joints=34)),  # COCO's 17 of two people
    cls_head=dict(num_classes=51),
)
format_steps = [dict(type='FormatJoints', num_people=2), _base_.format_steps[-1]]
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='FlipPeople', layout='coco'),
    *format_steps,
]
test_pipeline = [*_base_.test_pipeline[:3], *format_steps]
dataset = dict(_delete_=True, type='PosePickleDataset', ann_file='data/skeleton/hmdb51_2d.pkl')
test = dict(split='test1', pipeline=test_pipeline, test_mode=True, **dataset)
train_dataloader = dict(dataset=dict(split='train1', pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=test)  # it has no validation part
test_dataloader = dict(dataset=test)
default_hooks = dict(checkpoint=dict(save_best=None))
