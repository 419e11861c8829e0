"""ConvSTGAT on CMU motion capture, see convstgat.py; data and schedule of stcformer_cmu.py."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='ConvSTGAT',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    channels=64,
    num_blocks=3,
    num_heads=4,
    graph='cmu',
    time_expansion=(10, 15, 20, 25),
)
