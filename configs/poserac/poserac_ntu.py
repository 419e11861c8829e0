"""The 25 joints of a Kinect, as in NTU RGB+D (README, "Any skeleton")."""

_base_ = ['../poserac.py']

layout = dict(layout='ntu', dims=3)
model = dict(num_joints=25, dims=3, num_heads=5)  # 75 numbers a pose
train_dataloader = dict(dataset=layout)
val_dataloader = dict(dataset=layout)
test_dataloader = dict(dataset=layout)
