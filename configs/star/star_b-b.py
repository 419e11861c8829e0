"""BAttn in the encoder, BAttn in the decoder (document 004, cross attention modules)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(encoder=dict(attentions=('BAttn',)), decoder=dict(attentions=('BAttn',))),
)
