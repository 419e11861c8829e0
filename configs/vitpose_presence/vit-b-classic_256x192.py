"""ViTPose-B with its classic decoder of two deconvolutions, without presence.

mmpose's own config, validated on annotated boxes as its presence variant is.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)

val_dataloader = dict(dataset=dict(bbox_file=None))
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator]
test_dataloader = val_dataloader
test_evaluator = [dict(outfile=None, **metric), _base_.val_evaluator]

default_hooks = dict(
    visualization=dict(_delete_=True, type='KeypointPresenceVisualizationHook', enable=False)
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='PresenceThresholdHook')]
inferencer = dict(type='KeypointPresenceInferencer')
