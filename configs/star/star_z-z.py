"""ZAttn in the encoder, ZAttn in the decoder (document 004, cross attention modules)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(encoder=dict(attentions=('ZAttn',)), decoder=dict(attentions=('ZAttn',))),
)
