"""FAttn in the encoder, FAttn in the decoder (document 004, cross attention modules)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(encoder=dict(attentions=('FAttn',)), decoder=dict(attentions=('FAttn',))),
)
