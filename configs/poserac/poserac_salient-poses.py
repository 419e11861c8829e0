"""Single salient poses of five exercises, class and state, on one of five folds.

The network and the training of the document, with a score for either salient pose of each class.
Data: a CSV of 33 BlazePose landmarks a row (README, "Data"). All five folds at once, beside what
scikit-learn makes of the same poses: tools/analysis/poserac_salient_poses.py.
"""

_base_ = ['../poserac.py']

classes = ['jumping_jacks', 'pullups', 'pushups', 'situp', 'squats']
model = dict(num_classes=len(classes), salient_states='separate')
dataset = dict(
    type='SalientPoseDataset',
    data_root='data/salient_poses',
    ann_file='salient_poses.csv',
    classes=classes,
    layout='blazepose',
    dims=3,
    fold=0,
)
pipeline = [dict(type='NormalizePoses'), dict(type='PackPoses')]
held_out = dict(_delete_=True, split='val', pipeline=pipeline, test_mode=True, **dataset)
train_dataloader = dict(dataset=dict(_delete_=True, split='train', pipeline=pipeline, **dataset))
val_dataloader = dict(dataset=held_out)
test_dataloader = dict(dataset=held_out, collate_fn=dict(type='default_collate'))
test_evaluator = dict(_delete_=True, type='SalientPoseMetric')
