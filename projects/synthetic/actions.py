"""The actions: gaits as curves, everything else as key poses; see also ``exercises.py``."""

from collections.abc import Callable

import numpy as np

from projects.synthetic.curves import Action, Angles, Pose, cycle
from projects.synthetic.exercises import EXERCISES

# --- gaits; phase 0 is the left heel's strike -------------------------------------------------


def _swing(phase: np.ndarray, legs: Callable[[np.ndarray], Angles], arms: float) -> Angles:
    """Both legs half a cycle apart, the arms and the trunk swinging against them."""
    angles: Angles = {}
    for side, shift in (('left', 0.0), ('right', 0.5)):
        for name, value in legs(phase + shift).items():
            angles[f'{side} {name}'] = value
        swing = np.cos(2 * np.pi * (phase + shift + 0.5))
        angles[f'{side} shoulder flexion'] = arms * swing
        angles[f'{side} elbow flexion'] = 0.4 * arms * (1 + swing)
    angles['pelvis twist'] = -5 * np.cos(2 * np.pi * phase)
    angles['chest twist'] = 9 * np.cos(2 * np.pi * phase)
    angles['head twist'] = -4 * np.cos(2 * np.pi * phase)
    angles['pelvis bend'] = 3 * np.sin(2 * np.pi * phase)
    angles['spine bend'] = -3 * np.sin(2 * np.pi * phase)
    return angles


def _walking(phase: np.ndarray) -> Angles:
    def legs(phase: np.ndarray) -> Angles:
        return {
            'hip flexion': cycle(phase, (0, 24), (0.12, 20), (0.5, -14), (0.62, 0), (0.85, 27)),
            'knee flexion': cycle(
                phase, (0, 0), (0.13, 13), (0.4, 0), (0.6, 34), (0.72, 56), (0.97, -1)
            ),
            'ankle flexion': cycle(phase, (0, 2), (0.09, -5), (0.45, 8), (0.63, -16), (0.8, 2)),
            'ball flexion': cycle(phase, (0, 6), (0.1, 0), (0.4, 0), (0.56, 24), (0.7, 4)),
        }

    return {**_swing(phase, legs, arms=22.0), 'spine flexion': np.full(len(phase), 3.0)}


def _running(phase: np.ndarray) -> Angles:
    def legs(phase: np.ndarray) -> Angles:
        return {
            'hip flexion': cycle(phase, (0, 32), (0.33, -16), (0.45, -12), (0.78, 55)),
            'knee flexion': cycle(phase, (0, 18), (0.15, 36), (0.32, 14), (0.6, 105), (0.9, 20)),
            'ankle flexion': cycle(phase, (0, 4), (0.16, 18), (0.36, -22), (0.7, 0)),
            'ball flexion': cycle(phase, (0, 0), (0.18, 0), (0.32, 24), (0.5, 0)),
        }

    angles = _swing(phase, legs, arms=38.0)
    for side in ('left', 'right'):
        angles[f'{side} elbow flexion'] = angles[f'{side} elbow flexion'] * 0.4 + 65
    angles['pelvis flexion'] = np.full(len(phase), 6.0)
    angles['spine flexion'] = np.full(len(phase), 6.0)
    flight = np.sin(2 * np.pi * (2 * phase - 0.72))  # in the air before each foot's strike
    angles['lift'] = 45 * np.maximum(flight - 0.2, 0.0) ** 1.5
    return angles


def _marching(phase: np.ndarray) -> Angles:
    def legs(phase: np.ndarray) -> Angles:
        return {
            'hip flexion': cycle(phase, (0, 0), (0.5, 0), (0.75, 75)),
            'knee flexion': cycle(phase, (0, 0), (0.5, 0), (0.75, 82)),
            'ankle flexion': cycle(phase, (0, 0), (0.5, 0), (0.75, -10)),
        }

    angles = _swing(phase, legs, arms=0.0)
    for side, shift in (('left', 0.5), ('right', 0.0)):
        angles[f'{side} shoulder flexion'] = cycle(phase + shift, (0, -8), (0.5, -8), (0.75, 50))
        angles[f'{side} elbow flexion'] = cycle(phase + shift, (0, 20), (0.5, 20), (0.75, 60))
    return angles


# --- key poses; one-sided ones are the right side's -------------------------------------------

_CROUCH = {'pelvis flexion': 38, 'hip flexion': 100, 'knee flexion': 98, 'neck flexion': -22}
_SEATED = {'hip flexion': 82, 'knee flexion': 84, 'shoulder flexion': 22, 'elbow flexion': 25}
_ARMS_READY = {
    'right shoulder flexion': 32,
    'right shoulder abduction': 4,
    'right elbow flexion': 105,
    'left shoulder flexion': 40,
    'left shoulder abduction': 4,
    'left elbow flexion': 105,
    'shoulder twist': -15,
}
_TO_MOUTH = {
    'right shoulder flexion': 41,
    'right shoulder abduction': 17,
    'right shoulder twist': -30,
    'right elbow flexion': 134,
}
_TO_EAR = {
    'right shoulder flexion': 68,
    'right shoulder abduction': 19,
    'right elbow flexion': 146,
    'head bend': -6,
}
_HANDS_BEFORE_EYES = {
    'shoulder flexion': 50,
    'shoulder abduction': 20,
    'shoulder twist': -9,
    'elbow flexion': 112,
}
_HAND_UP = {
    'right shoulder abduction': 78,
    'right shoulder flexion': 10,
    'right shoulder twist': 105,
    'right elbow flexion': 62,
}
_TALKING = (
    {},
    {'right shoulder flexion': 30, 'right elbow flexion': 75, 'right shoulder twist': -5},
    {'left shoulder flexion': 30, 'left elbow flexion': 75, 'left shoulder twist': -5},
    {'shoulder flexion': 28, 'elbow flexion': 70, 'shoulder twist': 20, 'head flexion': 5},
    {'shoulder flexion': 24, 'elbow flexion': 90, 'shoulder twist': -35},
    {'right shoulder abduction': 40, 'right elbow flexion': 60, 'right shoulder twist': 30},
)
_POINTING = {
    'right shoulder flexion': 82,
    'right shoulder abduction': 5,
    'right elbow flexion': -8,
    'head twist': -8,
}


def _with(pose: Pose, **changes: float) -> dict[str, float]:
    """The pose plus changes, ``right_hip_flexion=10`` standing for ``'right hip flexion'``."""
    return {**pose, **{name.replace('_', ' '): value for name, value in changes.items()}}


def _action(name: str, kind: str, seconds: float, *keys: object, **options: object) -> Action:
    return Action(name, kind, seconds, keys=tuple(keys), **options)


_LIST = (
    Action('walking', 'gait', 1.15, curves=_walking),
    Action('running', 'gait', 0.8, curves=_running),
    Action('marching', 'gait', 1.3, curves=_marching),
    _action(
        'squat',
        'stroke',
        2.2,
        (0.45, _with(_CROUCH, shoulder_flexion=75, shoulder_twist=15)),
        (0.52, _with(_CROUCH, shoulder_flexion=75, shoulder_twist=15)),
    ),
    _action(
        'jump',
        'stroke',
        2.0,
        (
            0.32,
            {
                'pelvis flexion': 32,
                'hip flexion': 78,
                'knee flexion': 82,
                'shoulder flexion': -25,
                'neck flexion': -20,
            },
        ),
        (
            0.5,
            {
                'ankle flexion': -30,
                'knee flexion': -3,
                'shoulder flexion': 95,
                'elbow flexion': 10,
                'lift': 20,
            },
        ),
        (0.6, {'ankle flexion': -22, 'shoulder flexion': 105, 'hip flexion': 12, 'lift': 250}),
        (0.7, {'ankle flexion': -12, 'shoulder flexion': 80, 'hip flexion': 16, 'lift': 15}),
        (0.8, {'pelvis flexion': 20, 'hip flexion': 55, 'knee flexion': 60}),
    ),
    _action(
        'jumping_jack',
        'stroke',
        1.2,
        (0.12, {'hip flexion': 14, 'knee flexion': 26, 'shoulder abduction': 20}),
        (0.27, {'hip abduction': 12, 'shoulder abduction': 85, 'lift': 90}),
        (0.46, {'hip abduction': 23, 'shoulder abduction': 150, 'knee flexion': 6}),
        (
            0.56,
            {
                'hip abduction': 23,
                'hip flexion': 12,
                'shoulder abduction': 145,
                'knee flexion': 22,
            },
        ),
        (0.73, {'hip abduction': 10, 'shoulder abduction': 75, 'lift': 80}),
        (0.9, {'hip flexion': 10, 'knee flexion': 18, 'shoulder abduction': 6}),
    ),
    _action(
        'arm_raise',
        'stroke',
        2.0,
        (0.45, {'shoulder abduction': 155, 'shoulder twist': 30, 'clavicle abduction': 8}),
        (0.55, {'shoulder abduction': 155, 'shoulder twist': 30, 'clavicle abduction': 8}),
    ),
    _action(
        'front_raise',
        'stroke',
        2.0,
        (0.45, {'shoulder flexion': 92, 'elbow flexion': -8}),
        (0.53, {'shoulder flexion': 92, 'elbow flexion': -8}),
    ),
    _action(
        'wave',
        'stroke',
        2.6,
        (0.22, _HAND_UP),
        (0.34, _with(_HAND_UP, right_shoulder_twist=80, right_elbow_flexion=35)),
        (0.46, _with(_HAND_UP, right_elbow_flexion=85)),
        (0.58, _with(_HAND_UP, right_shoulder_twist=80, right_elbow_flexion=35)),
        (0.7, _with(_HAND_UP, right_elbow_flexion=80)),
    ),
    _action(
        'bow',
        'stroke',
        2.6,
        (0.42, {'pelvis flexion': 38, 'hip flexion': 33, 'spine flexion': 22, 'neck flexion': 18}),
        (0.56, {'pelvis flexion': 38, 'hip flexion': 33, 'spine flexion': 22, 'neck flexion': 18}),
    ),
    _action(
        'kick',
        'stroke',
        1.8,
        (
            0.25,
            {
                'right hip flexion': -24,
                'right knee flexion': 62,
                'spine flexion': 8,
                'left shoulder flexion': 25,
            },
        ),
        (
            0.45,
            {
                'right hip flexion': 68,
                'right knee flexion': 6,
                'pelvis flexion': -8,
                'left shoulder flexion': 45,
                'right shoulder flexion': -25,
                'right shoulder abduction': 15,
                'left knee flexion': 8,
                'left hip flexion': 2,
            },
        ),
        (0.68, {'right hip flexion': 38, 'right knee flexion': 62}),
        alternate=True,
    ),
    _action(
        'punch',
        'stroke',
        1.3,
        (0.22, _ARMS_READY),
        (0.34, _with(_ARMS_READY, chest_twist=-12)),
        (
            0.5,
            _with(
                _ARMS_READY,
                right_shoulder_flexion=82,
                right_elbow_flexion=0,
                chest_twist=22,
                pelvis_twist=8,
                spine_flexion=5,
            ),
        ),
        (0.7, _ARMS_READY),
        alternate=True,
    ),
    _action('eat', 'stroke', 3.2, (0.35, _TO_MOUTH), (0.52, _with(_TO_MOUTH, head_flexion=8))),
    _action(
        'smoke',
        'stroke',
        4.5,
        (0.22, _TO_MOUTH),
        (0.42, _with(_TO_MOUTH, head_flexion=-6)),
        (0.62, {'right elbow flexion': 70, 'right shoulder twist': -20, 'head flexion': -8}),
    ),
    _action(
        'pick_up',
        'stroke',
        3.0,
        *(
            (
                at,
                _with(
                    _CROUCH,
                    pelvis_flexion=52,
                    hip_flexion=112,
                    knee_flexion=95,
                    spine_flexion=22,
                    right_shoulder_flexion=68,
                    right_elbow_flexion=5,
                    left_shoulder_flexion=20,
                ),
            )
            for at in (0.43, 0.52)
        ),
    ),
    _action(
        'sit_down',
        'stroke',
        4.0,
        (0.2, {'pelvis flexion': 38, 'hip flexion': 82, 'knee flexion': 62, 'spine flexion': 8}),
        (0.36, _SEATED),
        (0.66, _SEATED),
        (0.8, {'pelvis flexion': 38, 'hip flexion': 82, 'knee flexion': 62, 'spine flexion': 8}),
    ),
    _action(
        'twist',
        'stroke',
        2.4,
        *(
            (
                at,
                {
                    'pelvis twist': sign * 8,
                    'spine twist': sign * 20,
                    'chest twist': sign * 25,
                    'head twist': sign * 12,
                    'shoulder abduction': 38,
                    'shoulder flexion': 18,
                    'elbow flexion': 80,
                    'shoulder twist': -45,
                },
            )
            for at, sign in ((0.27, 1.0), (0.73, -1.0))
        ),
    ),
    _action(
        'side_bend',
        'stroke',
        2.2,
        (
            0.5,
            {
                'spine bend': 18,
                'chest bend': 14,
                'neck bend': 8,
                'right shoulder abduction': 145,
                'right elbow flexion': 25,
            },
        ),
        alternate=True,
    ),
    _action(
        'lunge',
        'stroke',
        2.4,
        *(
            (
                at,
                {
                    'right hip flexion': 76,
                    'right knee flexion': 76,
                    'left hip flexion': -18,
                    'left knee flexion': 62,
                    'left ankle flexion': 4,
                    'left ball flexion': 36,
                    'pelvis flexion': 4,
                    'elbow flexion': 40,
                    'shoulder abduction': 10,
                },
            )
            for at in (0.45, 0.53)
        ),
        alternate=True,
    ),
    _action(
        'clap',
        'stroke',
        1.0,
        (0.3, {'shoulder flexion': 42, 'shoulder twist': 18, 'elbow flexion': 62}),
        (0.5, {'shoulder flexion': 42, 'shoulder twist': -34, 'elbow flexion': 58}),
    ),
    _action(
        'point',
        'stroke',
        3.0,
        (0.3, _POINTING),
        (0.65, _with(_POINTING, right_shoulder_flexion=78)),
    ),
    _action('phone', 'hold', 4.0, (0.5, _TO_EAR)),
    _action(
        'leash',
        'hold',
        4.0,
        (0.5, {'right shoulder flexion': 22, 'right elbow flexion': 35, 'right shoulder twist': 5}),
    ),
    _action('seated', 'hold', 4.0, (0.5, _SEATED)),
    _action(
        'photo',
        'hold',
        4.0,
        (
            0.5,
            {
                **_HANDS_BEFORE_EYES,
                'pelvis flexion': 8,
                'hip flexion': 22,
                'knee flexion': 28,
                'spine flexion': 6,
                'neck flexion': 6,
            },
        ),
    ),
    _action(
        'idle',
        'wander',
        2.2,
        (0.0, {}),
        (
            0.0,
            {'pelvis bend': -4, 'spine bend': 4, 'right knee flexion': 18, 'right hip flexion': 9},
        ),
        (0.0, {'pelvis bend': 4, 'spine bend': -4, 'left knee flexion': 18, 'left hip flexion': 9}),
        (0.0, {'head twist': 25, 'chest twist': 5}),
        (0.0, {'head twist': -25, 'chest twist': -5}),
        (0.0, {'head flexion': 12, 'shoulder flexion': 4, 'elbow flexion': 8}),
    ),
    _action('talk', 'wander', 1.3, *((0.0, pose) for pose in _TALKING)),
    _action(
        'pose',
        'wander',
        2.4,
        (0.0, {'shoulder abduction': 36, 'shoulder twist': -50, 'elbow flexion': 88}),
        (0.0, {'right shoulder abduction': 120, 'right elbow flexion': 30, 'spine bend': 8}),
        (0.0, {'chest twist': 25, 'pelvis twist': 10, 'head twist': 15, 'elbow flexion': 45}),
        (0.0, {'shoulder flexion': 30, 'shoulder twist': -45, 'elbow flexion': 82}),
        (0.0, {'shoulder abduction': 80, 'shoulder twist': 70, 'elbow flexion': 60}),
        (0.0, {'left hip flexion': 20, 'left knee flexion': 38, 'shoulder flexion': 10}),
    ),
)
ACTIONS = {action.name: action for action in (*_LIST, *EXERCISES)}
"""All actions by name."""
