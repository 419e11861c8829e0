"""STTFormer on generated motion: minutes on two CPU cores; data as for stcformer_toy.py."""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='STTFormer',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_blocks=2,
    num_heads=2,
)
