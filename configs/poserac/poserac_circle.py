"""Circle instead of triplet loss, the document's best (section 4, Table 4)."""

_base_ = ['../poserac.py']

model = dict(
    metric_loss=dict(_delete_=True, type='PoseRACMetricLoss', kind='circle', m=0.4, gamma=80)
)
