"""STAR-Transformer on NTU RGB+D 60, cross-view."""

_base_ = ['star_ntu60-xsub.py']

dataset = dict(benchmark='xview60')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
