"""COCO's AP with the boxes of a detector (56.4 AP on people), as the published tables have it.

Only for testing: whether a keypoint is there is not known of detected people.
"""

_base_ = ['../vitpose_presence.py']

results = 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json'
test_pipeline = [*_base_.val_pipeline[:-2], dict(type='PackPoseInputs')]
test_dataloader = dict(dataset=dict(bbox_file=_base_.data_root + results, pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, **_base_.test_evaluator[1])
