"""ConvSTGAT on generated motion: minutes on two CPU cores; data as for stcformer_toy.py."""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='ConvSTGAT',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_blocks=3,
    num_heads=4,
    graph='human36m',
    time_expansion=(10, 15, 20, 25),
)
