"""A cell of Tables 2 and 3 (document, section 3): 50 epochs, the best validation loss is tested.

tools/analysis/poserac_tables.py sets layers and heads and fills both tables. Poses attend to their
batch, as in the document's code: alone, a pose has nothing that heads could share out.
"""

_base_ = ['../poserac.py']

model = dict(attention='batch')
train_cfg = dict(max_epochs=50)
