"""Joint map tokens alone: what the video shows at the joints (document 004)."""

_base_ = ['../star.py']

model = dict(backbone=dict(cnn=dict(out_stages=('layer2',)), grid_tokens=None))
