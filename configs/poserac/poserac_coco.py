"""COCO's 17 keypoints in two dimensions, as mmpose extracts them (README, "Any skeleton")."""

_base_ = ['../poserac.py']

layout = dict(layout='coco', dims=2)
model = dict(num_joints=17, dims=2, num_heads=2)  # 34 numbers a pose
train_dataloader = dict(dataset=layout)
val_dataloader = dict(dataset=layout)
test_dataloader = dict(dataset=layout)
