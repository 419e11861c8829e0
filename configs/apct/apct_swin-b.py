"""Table 2, fourth row: Swin-B for ResNet-50 (64.5 %).

No DETR with a Swin-B was published for COCO. The backbone's COCO weights are those of mmdet's
Mask2Former; encoder and decoder start from the DETR with a ResNet-50, as in the headline.
"""

_base_ = ['../apct.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='SwinTransformer',
        pretrain_img_size=384,
        embed_dims=128,
        depths=[2, 2, 18, 2],
        num_heads=[4, 8, 16, 32],
        window_size=12,
        drop_path_rate=0.3,
        patch_norm=True,
        out_indices=(1, 3),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmdetection/v3.0/mask2former/'
            'mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic/'
            'mask2former_swin-b-p4-w12-384-in21k_8xb2-lsj-50e_coco-panoptic_'
            '20220329_230021-05ec7315.pth',
        ),
    ),
    neck=dict(in_channels=[1024]),
    bbox_head=dict(refinement=dict(in_channels=256)),
)
