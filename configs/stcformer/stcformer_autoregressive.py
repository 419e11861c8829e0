"""STCFormer-autoregressive: the document's best, run generous-frog-153 of its appendix B.

Hidden 64, learning rate 1e-3, all windows. Fed with the truth in training, with its own forecast in
validation and test. The document has positions instead of displacements: `--cfg-options
model.residual=False model.displacement_input=False`.
"""

_base_ = ['../stcformer.py']

model = dict(
    _delete_=True,
    type='STCFormerAutoregressive',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=64,
    num_blocks=2,
    num_heads=1,
    loss=dict(type='ForecastMPJPELoss', loss_weight=1.0),
    token_loss_weight=1.0,
)
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
