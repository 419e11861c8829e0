"""STCFormer on Human3.6M: 10 observed frames to 25 forecast ones, at 25 frames a second.

Document "STCFormer": run icon-sponge-27 of its appendix A (hidden 32, learning rate 8e-3, all
windows), with the decoder query of a model that has only the observed frames.
"""

_base_ = ['./_base_/default_runtime.py']
custom_imports = dict(imports=['projects.forecasting'], allow_failed_imports=False)

num_frames = 10
num_frames_out = 25
data_root = 'data/h36m/dataset'
batch_size = 256

model = dict(
    type='STCFormer',
    num_joints=22,
    num_frames=num_frames,
    num_frames_out=num_frames_out,
    channels=32,
    num_blocks=2,
    num_heads=1,
    decoder_query='last_pose',
    loss=dict(type='ForecastMPJPELoss'),
)

dataset = dict(
    type='Human36MForecastDataset',
    data_root=data_root,
    num_frames=num_frames,
    num_frames_out=num_frames_out,
)
loader = dict(
    batch_size=batch_size,
    num_workers=2,
    persistent_workers=False,  # workers seeded anew each epoch, see seed_worker
    worker_init_fn=dict(type='seed_worker'),
    collate_fn=dict(type='default_collate'),
)
train_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(split='train', stride=1, **dataset),
    **loader,
)
val_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', stride=5, test_mode=True, **dataset),
    **loader,
)
# for the literature's fixed windows set test_dataloader.dataset.samples_per_action to 256 or 8
test_dataloader = dict(
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', stride=5, test_mode=True, **dataset),
    **loader,
)
val_evaluator = dict(type='ForecastMPJPE', frame_rate=25.0)
test_evaluator = dict(type='ForecastMPJPE', frame_rate=25.0, per_action=True, outfile=None)

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=50, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=8e-3, weight_decay=1e-5, amsgrad=True),
)
param_scheduler = []  # the document uses none
auto_scale_lr = dict(enable=False, base_batch_size=batch_size)

default_hooks = dict(
    checkpoint=dict(save_best='forecast/A-MPJPE', rule='less'),
    visualization=dict(type='ForecastVisualizationHook', enable=False),
)
inferencer = dict(type='ForecastInferencer')
