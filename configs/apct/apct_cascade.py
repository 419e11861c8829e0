"""Table 2, second row: the cascaded decoder, no refinement (59.5 %)."""

_base_ = ['../apct.py']

model = dict(
    backbone=dict(out_indices=(3,)),
    roi_level=None,
    bbox_head=dict(refinement=None),
)
