"""STCFormer-autoregressive on CMU motion capture, fed with its own forecasts in training.

The document feeds the truth: `--cfg-options model.scheduled_sampling=None`.
"""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='STCFormerAutoregressive',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    channels=64,
    scheduled_sampling=dict(probability=1.0, num_passes=3),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
