"""What is known to work in forecasting, brought together, on Human3.6M.

Displacements from the last pose, cosine coefficients along time, motion that is mirrored, reversed
and played at other speeds, averaged weights, attention over joints alone. 10 observed frames;
best-50.py sees 50. The README tells what it is worth on CMU.
    python tools/train.py configs/stcformer/best.py --cfg-options \
        {train,val,test}_dataloader.dataset.data_root=FOLDER test_evaluator.outfile=forecasts.npz
"""

_base_ = ['../stcformer.py']

max_epochs = 20

model = dict(
    _delete_=True,
    type='DCTFormer',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    channels=128,
    num_blocks=4,
    num_heads=4,
    dropout=0.1,
)
train_pipeline = [
    dict(type='MirrorMotion', prob=0.5),
    dict(type='ReverseMotion', prob=0.5),
    dict(type='PackForecastInputs'),
]
augmented = dict(speed_range=(0.75, 1.33), pipeline=train_pipeline)
train_dataloader = dict(batch_size=64, dataset=augmented)

train_cfg = dict(max_epochs=max_epochs)
adamw = dict(type='AdamW', lr=1e-3, weight_decay=0.05)
optim_wrapper = dict(optimizer=dict(_delete_=True, **adamw))
cosine = dict(type='CosineAnnealingLR', T_max=max_epochs, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [dict(type='LinearLR', start_factor=0.01, end=200, by_epoch=False), cosine]
auto_scale_lr = dict(base_batch_size=64)
custom_hooks = [*_base_.custom_hooks, dict(type='EMAHook', momentum=1e-3)]
