"""STTFormer on CMU motion capture, see sttformer.py; data and schedule of stcformer_cmu.py."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='STTFormer',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_blocks=4,
    num_heads=2,
)
