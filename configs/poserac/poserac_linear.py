"""Without the transformer: a linear layer reads the coordinates (document, section 2, Table 1)."""

_base_ = ['../poserac.py']

# the metric loss has nothing to learn on coordinates as they are
model = dict(num_layers=0, metric_loss=None)
