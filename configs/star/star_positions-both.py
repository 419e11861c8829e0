"""Position embedding on grid tokens too, which the document asks for in its last question."""

_base_ = ['../star.py']

model = dict(backbone=dict(positions=('grid', 'joint')))
