"""STTFormer on Human3.6M: the encoder that the document's course provided.

The document names no sizes of it; learning rate of a short trial on CMU.
"""

_base_ = ['../stcformer.py']

model = dict(
    _delete_=True,
    type='STTFormer',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_blocks=4,
    num_heads=2,
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
