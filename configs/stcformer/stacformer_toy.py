"""STACFormer on generated motion: minutes on two CPU cores; data as for stcformer_toy.py."""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='STACFormer',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=32,
    num_encoder_blocks=1,
    num_decoder_blocks=2,
    num_heads=1,
)
