"""The document's ViT-B without presence: what its heatmaps give alone."""

_base_ = ['../vitpose_presence.py']

model = dict(head=dict(_delete_=True, **_base_.model.head.pose_head))
# what stands in for a presence score is the heatmaps' maximum
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
