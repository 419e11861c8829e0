"""The loss of presence leaves heatmaps and backbone alone; they are as without presence."""

_base_ = ['../vitpose_presence.py']

model = dict(head=dict(detach_heatmaps=True))
