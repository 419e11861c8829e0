"""Document, run scarlet-fire-111: autoregressive, 32 features, rate 1e-3, all windows."""

_base_ = ['./stcformer_autoregressive.py']

model = dict(channels=32)
