"""STACFormer on CMU motion capture, see stacformer.py; data and schedule of stcformer_cmu.py."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='STACFormer',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_encoder_blocks=1,
    num_decoder_blocks=2,
    num_heads=1,
    decoder_query='last_pose',
)
