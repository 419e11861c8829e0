"""Document, run faithful-glade-43: 64 features, all windows, rate 8e-4."""

_base_ = ['../stcformer.py']

model = dict(channels=64)
optim_wrapper = dict(optimizer=dict(lr=8e-4))
