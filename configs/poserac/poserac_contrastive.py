"""Contrastive instead of triplet loss (document, section 4, Table 4)."""

_base_ = ['../poserac.py']

model = dict(
    metric_loss=dict(
        _delete_=True, type='PoseRACMetricLoss', kind='contrastive', pos_margin=0, neg_margin=1
    )
)
