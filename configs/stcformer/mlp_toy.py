"""MotionMLP on generated motion: minutes on two CPU cores; data as for stcformer_toy.py."""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='MotionMLP',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    num_blocks=12,
)
