"""Both kinds of tokens without class tokens: the head takes the mean of all (document 004)."""

_base_ = ['../star.py']

model = dict(backbone=dict(class_tokens=False))
