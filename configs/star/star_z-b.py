"""ZAttn in the encoder, BAttn in the decoder (document 004, cross attention modules)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(encoder=dict(attentions=('ZAttn',)), decoder=dict(attentions=('BAttn',))),
)
