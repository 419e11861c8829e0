"""STCFormer-autoregressive on CMU motion capture, trained on its own rollout."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    _delete_=True,
    type='STCFormerAutoregressive',
    num_joints=25,
    num_frames=10,
    num_frames_out=25,
    channels=64,
    train_rollout=True,
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
