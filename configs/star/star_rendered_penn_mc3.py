"""MC3 alone on four frames of a clip, whose weights star_rendered_penn.py starts from.

Without layers, the tokens of the grid go to the head as they are.
"""

_base_ = ['star_rendered_penn.py']

load_from = None
epochs = 40
clip_len = 4

backbone = dict(num_frames=clip_len, embed_dims=128, joint_tokens=None, class_tokens=False)
backbone['cnn'] = dict(out_stages=('layer4',), init_cfg=None)
backbone['encoder'] = backbone['decoder'] = dict(num_layers=0)
model = dict(backbone=backbone, cls_head=dict(in_channels=128))

train_pipeline = [dict(_base_.train_pipeline[0], clip_len=clip_len), *_base_.train_pipeline[1:]]
test_pipeline = [dict(_base_.test_pipeline[0], clip_len=clip_len), *_base_.test_pipeline[1:]]
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = test_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], T_max=epochs)]
