"""ViTPose-B with its classic decoder, deconvolutions: mmpose's own config on annotated boxes."""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-base_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)

# annotated boxes: whether a keypoint is there is not known of detected people
val_dataloader = dict(dataset=dict(bbox_file=None))
test_dataloader = val_dataloader
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
val_evaluator = [metric, _base_.val_evaluator]
test_evaluator = [dict(outfile=None, **metric), _base_.val_evaluator]

default_hooks = dict(visualization=dict(_delete_=True, type='KeypointPresenceVisualizationHook'))
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='EpochSeedHook'),
    dict(type='PresenceThresholdHook'),
]
inferencer = dict(type='KeypointPresenceInferencer')
