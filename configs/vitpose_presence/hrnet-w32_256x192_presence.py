"""HRNet-W32, the first baseline of document 002, and keypoint presence."""

_base_ = ['./hrnet-w32_256x192.py']

model = dict(head=dict(_delete_=True, type='KeypointPresenceHead', pose_head=_base_.model.head))
val_evaluator = [dict(type='KeypointPresenceMetric'), _base_.val_evaluator[1]]
test_evaluator = [dict(type='KeypointPresenceMetric', outfile=None), _base_.val_evaluator[1]]
