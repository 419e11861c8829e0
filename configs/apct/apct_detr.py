"""Table 2, first row: DETR with part boxes and part states; no cascade, no refinement (53.2 %)."""

_base_ = ['../apct.py']

model = dict(
    backbone=dict(out_indices=(3,)),
    roi_level=None,
    decoder=dict(condition=None),
    bbox_head=dict(cascade=False, refinement=None),
)
