"""Results on COCO test-dev2017; ``tools/coco_submission.py`` checks them and names the file."""

_base_ = ['../vitpose_presence.py']

results = 'person_detection_results/COCO_test-dev2017_detections_AP_H_609_person.json'
images = 'annotations/image_info_test-dev2017.json'
test_pipeline = [*_base_.val_pipeline[:-2], dict(type='PackPoseInputs')]
test_dataloader = dict(
    dataset=dict(
        ann_file=images,
        data_prefix=dict(img='test2017/'),
        bbox_file=_base_.data_root + results,
        pipeline=test_pipeline,
    )
)
test_evaluator = dict(
    _delete_=True,
    type='CocoMetric',
    ann_file=_base_.data_root + images,
    format_only=True,
    outfile_prefix='work_dirs/test-dev2017',
)
