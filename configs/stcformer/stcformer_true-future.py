"""The document's own STCFormer: its decoder is fed with the frames it is to forecast.

For the record only: its score (77.7 mm in the document) is no forecast's, see the method's README.
No position embedding, positions instead of displacements in and out, as the document describes.
"""

_base_ = ['../stcformer.py']

model = dict(
    decoder_query='true_future',
    residual=False,
    displacement_input=False,
)
default_hooks = dict(checkpoint=dict(save_best='teacher_forced/A-MPJPE'))
