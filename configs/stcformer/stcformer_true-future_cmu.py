"""The document's own STCFormer on CMU: a diagnostic, see stcformer_true-future.py."""

_base_ = ['./stcformer_cmu.py']

model = dict(
    decoder_query='true_future',
    residual=False,
    displacement_input=False,
)
default_hooks = dict(checkpoint=dict(save_best='teacher_forced/A-MPJPE'))
