"""A synthetic mover: one kinematic figure whose motions are written in the data sets' formats."""

from projects.synthetic.actions import ACTIONS
from projects.synthetic.curves import Action
from projects.synthetic.figure import CHANNELS, LANDMARKS, Motion, rotations_from_angles
from projects.synthetic.human36m import human36m_motion, write_human36m
from projects.synthetic.sampling import Layer, Style, Timeline, sample_mix, sample_motion

__all__ = [
    'ACTIONS',
    'CHANNELS',
    'LANDMARKS',
    'Action',
    'Layer',
    'Motion',
    'Style',
    'Timeline',
    'human36m_motion',
    'rotations_from_angles',
    'sample_mix',
    'sample_motion',
    'write_human36m',
]
