"""STACFormer on Human3.6M: STTFormer's encoder, STCFormer's decoder.

Document, appendix C: one block of the encoder does what more do. Other sizes are those of
STCFormer.
"""

_base_ = ['../stcformer.py']

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
    decoder_query='last_pose',
)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
