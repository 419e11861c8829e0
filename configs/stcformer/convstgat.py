"""ConvSTGAT on Human3.6M: graph attention over the bones, convolutions from 10 to 25 frames.

The document (appendix C) names no sizes; learning rate of a short trial on CMU.
"""

_base_ = ['../stcformer.py']

model = dict(
    _delete_=True,
    type='ConvSTGAT',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=64,
    num_blocks=3,
    num_heads=4,
    graph='human36m',
    time_expansion=(10, 15, 20, 25),
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
