"""The small ResNet-18 on generated pictures, without presence: where its LSP configs start from.

python tools/datasets/make_synthetic.py coco --out data/synthetic/coco_large --train-images 3000
"""

_base_ = ['./resnet18_lsp_presence.py']

data_root = 'data/synthetic/coco_large/'
pose_head = dict(_base_.model.head.pose_head, out_channels=17)
model = dict(backbone=dict(init_cfg=None), head=dict(_delete_=True, **pose_head))
coco = dict(_delete_=True, type='CocoDataset', data_root=data_root, data_mode='topdown')
val = dict(
    coco,
    ann_file='annotations/person_keypoints_val2017.json',
    data_prefix=dict(img='val2017/'),
    pipeline=_base_.val_pipeline,
    test_mode=True,
)
train = dict(
    coco,
    ann_file='annotations/person_keypoints_train2017.json',
    data_prefix=dict(img='train2017/'),
    pipeline=_base_.train_pipeline,
)
train_dataloader = dict(batch_size=64, dataset=train)
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=val)
metric = dict(type='KeypointPresenceMetric', sources=dict(heatmap_max='keypoint_scores'))
pck = dict(type='PCKAccuracy', thr=0.1, norm_item='bbox')
val_evaluator = [metric, pck]
test_evaluator = [dict(outfile=None, **metric), pck]
train_cfg = dict(max_epochs=10)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], T_max=10)]
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
