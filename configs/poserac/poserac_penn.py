"""Five exercises of Penn Action, 13 joints in two dimensions: minutes on two CPU cores.

The clips hold one repetition each and their counts come from the joints, not from a person; those
tested are played several times in a row (README, "Penn Action").

python tools/datasets/penn_to_repcount.py PENN_ACTION/labels --out data/penn_repcount
"""

_base_ = ['./poserac_toy.py']

classes = ['squat', 'pull_up', 'push_up', 'situp', 'jump_jack']
dataset = dict(data_root='data/penn_repcount', classes=classes, layout='penn', dims=2)
model = dict(num_classes=len(classes), num_joints=13, dims=2, num_heads=2)  # 26 numbers a pose
pipeline = [
    dict(type='FlipPoses', layout='penn'),
    dict(type='RotatePoses', max_tilt=10),
    dict(type='NormalizePoses'),
    dict(type='PackPoses'),
]
train_dataloader = dict(dataset=dict(pipeline=pipeline, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(
    dataset=dict(ann_file='annotation/test_looped.csv', pose_dir='test_poses', **dataset)
)
