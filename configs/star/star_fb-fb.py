"""FAttn and then BAttn in the encoder, FAttn and then BAttn in the decoder (document 004)."""

_base_ = ['../star.py']

model = dict(
    backbone=dict(
        encoder=dict(attentions=('FAttn', 'BAttn')),
        decoder=dict(attentions=('FAttn', 'BAttn')),
    ),
)
