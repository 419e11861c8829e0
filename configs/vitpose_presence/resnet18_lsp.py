"""The small ResNet-18 on Leeds Sports Pose without presence, as mmpose trains it."""

_base_ = ['./resnet18_lsp_presence.py']

model = dict(head=dict(_delete_=True, **_base_.model.head.pose_head))
# absent keypoints' heatmaps are left to themselves
train_pipeline = [*_base_.train_pipeline[:-2], dict(type='PackPoseInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
