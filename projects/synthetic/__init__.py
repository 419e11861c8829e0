"""A synthetic mover: one kinematic figure whose motions are written in the data sets' formats."""

from projects.synthetic.actions import ACTIONS
from projects.synthetic.camera import Camera
from projects.synthetic.coco import coco_picture, write_coco
from projects.synthetic.curves import Action
from projects.synthetic.figure import CHANNELS, LANDMARKS, Motion, rotations_from_angles
from projects.synthetic.human36m import human36m_motion, write_human36m
from projects.synthetic.kinetics_tps import kinetics_tps_video, write_kinetics_tps
from projects.synthetic.rendering import Rendering, render
from projects.synthetic.repcount import repcount_video, write_repcount
from projects.synthetic.sampling import Layer, Style, Timeline, sample_mix, sample_motion
from projects.synthetic.scene import Scene, sample_scene
from projects.synthetic.scenery import Appearance

__all__ = [
    'ACTIONS',
    'CHANNELS',
    'LANDMARKS',
    'Action',
    'Appearance',
    'Camera',
    'Layer',
    'Motion',
    'Rendering',
    'Scene',
    'Style',
    'Timeline',
    'coco_picture',
    'human36m_motion',
    'kinetics_tps_video',
    'render',
    'repcount_video',
    'rotations_from_angles',
    'sample_mix',
    'sample_motion',
    'sample_scene',
    'write_coco',
    'write_human36m',
    'write_kinetics_tps',
    'write_repcount',
]
