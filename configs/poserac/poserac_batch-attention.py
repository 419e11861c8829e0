"""As the original code runs: poses attend to their batch, and a score depends on its company.

To test the published checkpoint, whose layout this is, and to compare with published numbers.
"""

_base_ = ['../poserac.py']

model = dict(attention='batch')
