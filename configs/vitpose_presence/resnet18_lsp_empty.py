"""No presence head, but the heatmaps of absent keypoints are trained to be empty."""

_base_ = ['./resnet18_lsp_presence.py']

model = dict(head=dict(_delete_=True, **_base_.model.head.pose_head))
target = dict(_base_.presence_target, absent_heatmaps='empty')
train_pipeline = [*_base_.train_pipeline[:-2], target, _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
