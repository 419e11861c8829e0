"""Exercises in which not only the feet carry the body: on the floor, a bench, a bar, pommels."""

import numpy as np

from projects.synthetic.curves import Action, Angles
from projects.synthetic.supports import Grip, Support

# Axes of a left hand that is laid on something, fingers forward, and of one that holds a bar
# which runs from left to right, palm forward.
_LAID_DOWN = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 0.0, 0.0))
_ON_BAR = ((0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))
# The foot is pitched so that its sole is level; see NEUTRAL in figure.py.
_COS, _SIN = float(np.cos(np.radians(25))), float(np.sin(np.radians(25)))
_SOLE_DOWN = ((1.0, 0.0, 0.0), (0.0, _COS, _SIN), (0.0, -_SIN, _COS))
_STRAIGHT_LEGS = {'hip flexion': -3.0, 'knee flexion': -6.0, 'hip twist': -6.0}

_PUSH_UP = Action(
    'push_up',
    'stroke',
    1.9,
    keys=(
        (0.45, {'pelvis flexion': 11.5, 'ball flexion': 11.5, 'neck flexion': -8.0}),
        (0.55, {'pelvis flexion': 11.5, 'ball flexion': 11.5, 'neck flexion': -8.0}),
    ),
    rest={
        **_STRAIGHT_LEGS,
        'pelvis flexion': 76.5,
        'ankle flexion': 22.0,
        'ball flexion': 51.5,
        'neck flexion': -18.0,
        'head flexion': -14.0,
    },
    support=Support(
        anchors=('LeftToeBase', 'RightToeBase'),
        place=(0.0, 8.0, 0.0),
        grips=(Grip('arm', (235.0, 35.0, 1400.0), _LAID_DOWN, (0.75, 0.0, -0.65)),),
    ),
)
_SIT_UP = Action(
    'sit_up',
    'stroke',
    2.6,
    keys=(
        (0.45, {'pelvis flexion': 60.0, 'spine flexion': 24.0, 'neck flexion': 4.0}),
        (0.53, {'pelvis flexion': 60.0, 'spine flexion': 24.0, 'neck flexion': 4.0}),
    ),
    rest={
        'pelvis flexion': -84.0,
        'neck flexion': 12.0,
        'head flexion': 4.0,
        'shoulder flexion': 106.0,  # the hands at the ears
        'shoulder abduction': 40.0,
        'shoulder twist': 2.0,
        'elbow flexion': 122.0,
    },
    support=Support(
        anchors=('Hips',),
        place=(0.0, 100.0, 0.0),
        grips=(Grip('leg', (130.0, 68.8, 610.0), _SOLE_DOWN, (0.05, 1.0, 0.2)),),
    ),
)
_PULL_UP = Action(
    'pull_up',
    'stroke',
    2.4,
    keys=(
        (0.45, {'root y': 420.0, 'root z': -40.0, 'pelvis flexion': -6.0, 'neck flexion': -12.0}),
        (0.54, {'root y': 420.0, 'root z': -40.0, 'pelvis flexion': -6.0, 'neck flexion': -12.0}),
    ),
    rest={
        'hip flexion': 2.0,
        'knee flexion': 14.0,
        'clavicle abduction': 16.0,
        'ankle flexion': -4.0,
        'neck flexion': -8.0,
    },
    support=Support(
        anchors=('Hips',),
        place=(0.0, 1340.0, 0.0),
        grips=(Grip('arm', (310.0, 2345.0, 0.0), _ON_BAR, (0.45, -0.85, 0.1)),),
    ),
)
_BENCH_PRESS = Action(
    'bench_press',
    'stroke',
    2.3,
    keys=(
        (0.45, {'hand y': -350.0, 'hand z': 60.0}),
        (0.55, {'hand y': -350.0, 'hand z': 60.0}),
    ),
    rest={'pelvis flexion': -90.0, 'neck flexion': 6.0, 'head flexion': 2.0},
    support=Support(
        anchors=('Hips',),
        place=(0.0, 500.0, 0.0),
        grips=(
            Grip('leg', (230.0, 68.8, 430.0), _SOLE_DOWN, (0.25, 1.0, 0.6)),
            Grip('arm', (330.0, 970.0, -440.0), _ON_BAR, (0.85, -0.45, 0.3)),
        ),
    ),
)


def _circling(phase: np.ndarray) -> Angles:
    """Legs together around the hands; phase 0 is with the legs before the body."""
    front, left = np.cos(2 * np.pi * phase), np.sin(2 * np.pi * phase)
    angles: Angles = {
        'root x': 190 * left,
        'root y': 30 * front,
        'root z': 50 + 170 * front,
        'pelvis flexion': -42 * front,
        'pelvis bend': -42 * left,
        'neck flexion': 14 * front,
        'neck bend': 14 * left,
    }
    for side, sign in (('left', 1.0), ('right', -1.0)):  # a hand lets the legs pass
        up = 260 * np.maximum(sign * left - 0.35, 0.0) ** 2
        angles[f'{side} hand y'] = up
        angles[f'{side} hand x'] = up
    return angles


_POMMEL_HORSE = Action(
    'pommel_horse',
    'gait',
    1.3,
    curves=_circling,
    rest={**_STRAIGHT_LEGS, 'hip flexion': 8.0, 'ankle flexion': -18.0, 'hip abduction': 1.0},
    support=Support(
        anchors=('Hips',),
        place=(0.0, 1270.0, 0.0),
        grips=(Grip('arm', (230.0, 1250.0, 0.0), _LAID_DOWN, (0.3, 0.0, -1.0)),),
    ),
)
EXERCISES = (_PUSH_UP, _SIT_UP, _PULL_UP, _BENCH_PRESS, _POMMEL_HORSE)
"""The actions that have a ``support``."""
