"""MotionMLP on Human3.6M: the baseline of siMLPe from 10 observed frames instead of 50.

The paper's 48 blocks and 66 channels, in the document's schedule and with its loss. Beside the
paper's positions it sees displacements from the last pose, as all models here.
"""

_base_ = ['../stcformer.py']

model = dict(
    _delete_=True,
    type='MotionMLP',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    num_blocks=48,
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [  # the paper's rate falls as well
    dict(type='CosineAnnealingLR', T_max=50, by_epoch=True, convert_to_iter_based=True)
]
