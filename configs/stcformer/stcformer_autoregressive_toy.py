"""STCFormer-autoregressive on generated motion: minutes on two CPU cores.

    python tools/datasets/make_synthetic.py human36m --out data/synthetic/h36m \
        --actions walking eating greeting waiting --num-frames 1000
    python tools/train.py configs/stcformer/stcformer_autoregressive_toy.py

Trained on its own rollout: a model that was fed with the truth alone copies the pose before.
"""

_base_ = ['./stcformer_toy.py']

model = dict(
    _delete_=True,
    type='STCFormerAutoregressive',
    num_joints=22,
    num_frames=10,
    num_frames_out=25,
    train_rollout=True,
)
