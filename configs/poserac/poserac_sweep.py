"""A cell of Tables 2 and 3 (document, section 3): 50 epochs, the best validation loss is tested.

tools/analysis/poserac_tables.py sets layers and heads and fills both tables.
"""

_base_ = ['../poserac.py']

train_cfg = dict(max_epochs=50)
