"""STAR-Transformer on NTU RGB+D 120, cross-subject."""

_base_ = ['star_ntu60-xsub.py']

model = dict(cls_head=dict(num_classes=120))
dataset = dict(benchmark='xsub120')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
