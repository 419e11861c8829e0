"""Salient poses II of different classes told apart, so that no class has to be searched.

The shortcut of the document's section 5, removed: 2C outputs, the class read from every frame.
"""

_base_ = ['../poserac.py']

model = dict(salient_states='separate', loss='softmax')
