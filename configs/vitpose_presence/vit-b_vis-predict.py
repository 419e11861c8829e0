"""mmpose's VisPredictHead in place of the presence head: one linear layer on averaged features."""

_base_ = ['../vitpose_presence.py']

model = dict(
    head=dict(
        _delete_=True,
        type='VisPredictHead',
        pose_cfg=_base_.model.head.pose_head,
        # on logits, which mixed precision allows
        loss=dict(type='BCELoss', use_target_weight=False, use_sigmoid=False),
    )
)
metric = dict(
    type='KeypointPresenceMetric',
    sources=dict(vis='keypoints_visible', heatmap_max='keypoint_scores'),
)
val_evaluator = [metric, _base_.val_evaluator[1]]
test_evaluator = [dict(outfile=None, **metric), _base_.test_evaluator[1]]
