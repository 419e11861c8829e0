"""The small ResNet-18 on Leeds Sports Pose without presence."""

_base_ = ['./resnet18_lsp_presence.py']

model = dict(head=dict(_delete_=True, **_base_.model.head.pose_head))
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
