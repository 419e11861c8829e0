"""best.py that observes 50 frames, two seconds."""

_base_ = ['./best.py']

num_frames = 50
model = dict(num_frames=num_frames)
train_dataloader = dict(dataset=dict(num_frames=num_frames))
val_dataloader = dict(dataset=dict(num_frames=num_frames))
test_dataloader = dict(dataset=dict(num_frames=num_frames))
