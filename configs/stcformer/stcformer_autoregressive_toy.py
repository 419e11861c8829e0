"""STCFormer-autoregressive on generated motion: some minutes on two CPU cores.

    python tools/datasets/make_synthetic.py human36m --out data/synthetic/h36m \
        --actions walking eating greeting waiting --num-frames 1000
    python tools/train.py configs/stcformer/stcformer_autoregressive_toy.py
"""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='STCFormerAutoregressive',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    # fed with the truth alone it copies the pose before, and a rollout goes astray
    scheduled_sampling=dict(probability=1.0, num_passes=3),
)
train_cfg = dict(max_epochs=4, val_interval=2)
param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=4, by_epoch=True, convert_to_iter_based=True)
]
