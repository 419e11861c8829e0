"""HRNet-W32, the first baseline of document 002, and keypoint presence.

mmpose's own config with its head inside of the presence head, validated on annotated boxes.
"""

_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['projects.presence'], allow_failed_imports=False)

model = dict(head=dict(_delete_=True, type='KeypointPresenceHead', pose_head=_base_.model.head))
# whether a keypoint is there is known of annotated people, not of detected boxes
val_dataloader = dict(dataset=dict(bbox_file=None))
val_evaluator = [dict(type='KeypointPresenceMetric'), _base_.val_evaluator]
test_dataloader = val_dataloader
test_evaluator = [dict(type='KeypointPresenceMetric', outfile=None), _base_.val_evaluator]

default_hooks = dict(
    visualization=dict(_delete_=True, type='KeypointPresenceVisualizationHook', enable=False)
)
custom_hooks = [dict(type='EpochSeedHook'), dict(type='PresenceThresholdHook')]
inferencer = dict(type='KeypointPresenceInferencer')
