"""The document's ViT-B without presence: what its heatmaps give alone."""

_base_ = ['../vitpose_presence.py']

model = dict(head=dict(_delete_=True, **_base_.model.head.pose_head))
# what stands in for a presence score is the heatmaps' maximum
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
# it is not trained for a probability
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
stop = dict(_base_.custom_hooks[2], monitor='PCK', rule='greater')
custom_hooks = [*_base_.custom_hooks[:2], stop]
