"""STCFormer on your own motion, of any skeleton; here the 17 joints of most 3D pose estimators.

    data/motion/train/<action>/<name>.npy      (T, 17, 3), or (T, P, 17, 3) for P people
    data/motion/val/<action>/<name>.npy        as train; an action is the folder's name
    data/motion/test/<action>/<name>.npy

Arrays are in ``unit``, at ``frame_rate`` or ``frame_step`` times it, NaN where a joint is missing.
A centred joint is drawn, but not forecast; without ``center`` num_joints is 17. For another
skeleton change joint_names, parents and num_joints, for another rate the metrics' horizons too.
"""

_base_ = ['../stcformer.py']

frame_rate = 25.0
num_joints = 16

dataset = dict(
    type='ArrayForecastDataset',
    data_root='data/motion',
    joint_names=[
        *['hips', 'right_hip', 'right_knee', 'right_foot', 'left_hip', 'left_knee', 'left_foot'],
        *['spine', 'thorax', 'neck', 'head', 'left_shoulder', 'left_elbow', 'left_wrist'],
        *['right_shoulder', 'right_elbow', 'right_wrist'],
    ],
    parents=[-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15],
    left_joints=[4, 5, 6, 11, 12, 13],
    unit='mm',
    center='hips',
    up='y',
    frame_step=1,
)
model = dict(num_joints=num_joints)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
val_evaluator = dict(frame_rate=frame_rate)
test_evaluator = dict(frame_rate=frame_rate)
default_hooks = dict(visualization=dict(frame_rate=frame_rate))
