"""MotionMLP on CMU motion capture, see mlp.py; data and schedule of stcformer_cmu.py."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='MotionMLP',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    num_blocks=48,
)
