"""FAttn and then ZAttn in the encoder, FAttn and then ZAttn in the decoder (document 004)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(
        encoder=dict(attentions=('FAttn', 'ZAttn')),
        decoder=dict(attentions=('FAttn', 'ZAttn')),
    ),
)
