"""The figure's flesh: each limb is the convex hull of balls fixed to landmarks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from projects.synthetic.camera import Camera
from projects.synthetic.figure import LANDMARKS

Point = Mapping[str, float]


@dataclass(frozen=True)
class Limb:
    """A piece of the body drawn in one colour.

    Args:
        name: Its name.
        colour: Which of an ``Appearance``'s colours it has.
        balls: Centre, as weights of landmarks, and radius (mm) of each ball.
        nearer: How far before its centre its surface is taken to be when limbs of one person
            are put in order of depth, mm.
    """

    name: str
    colour: str
    balls: tuple[tuple[Point, float], ...]
    nearer: float = 0.0


def _mix(*terms: tuple[str, float]) -> dict[str, float]:
    """Weights of a point: ``(landmark, weight)`` terms, those of one landmark added up."""
    result: dict[str, float] = {}
    for name, weight in terms:
        result[name] = result.get(name, 0.0) + weight
    return result


def _between(start: str, end: str, part: float) -> dict[str, float]:
    return _mix((start, 1 - part), (end, part))


def _beside(height: float, sideways: float) -> dict[str, float]:
    """A point of the trunk: ``height`` of the way from hips to chest, ``sideways`` hip widths."""
    return _mix(
        *_between('Hips', 'Spine1', height).items(),
        ('LeftUpLeg', sideways),
        ('RightUpLeg', -sideways),
    )


def _in_head(forwards: float, up: float) -> dict[str, float]:
    """A point of the head, in units of the eyes' 90 mm forwards and 97 mm above the chin."""
    eyes = (('left_eye', 0.5), ('right_eye', 0.5))
    return _mix(
        ('head_center', 1 - forwards),
        *((name, weight * (forwards + up)) for name, weight in eyes),
        ('chin', -up),
    )


def _side_limbs(side: str) -> tuple[Limb, ...]:
    low, joint = side, side.title()
    return (
        Limb(
            f'{low}_upper_arm',
            'shirt',
            (({f'{joint}Arm': 1.0}, 56.0), ({f'{joint}ForeArm': 1.0}, 45.0)),
            nearer=35.0,
        ),
        Limb(
            f'{low}_forearm',
            'sleeve',
            (({f'{joint}ForeArm': 1.0}, 43.0), ({f'{joint}Hand': 1.0}, 33.0)),
            nearer=38.0,
        ),
        Limb(
            f'{low}_hand',
            'skin',
            (
                ({f'{joint}Hand': 1.0}, 31.0),
                ({f'{low}_palm': 1.0}, 44.0),
                (_between(f'{low}_palm', f'{low}_hand_tip', 0.7), 26.0),
                ({f'{low}_thumb': 1.0}, 19.0),
            ),
            nearer=45.0,
        ),
        Limb(
            f'{low}_thigh',
            'trousers',
            (({f'{joint}UpLeg': 1.0}, 84.0), ({f'{joint}Leg': 1.0}, 60.0)),
            nearer=10.0,
        ),
        Limb(
            f'{low}_shin',
            'leg',
            (({f'{joint}Leg': 1.0}, 57.0), ({f'{joint}Foot': 1.0}, 40.0)),
            nearer=10.0,
        ),
        Limb(
            f'{low}_foot',
            'shoes',
            (
                (_between(f'{low}_heel', f'{joint}Foot', 0.45), 37.0),
                (_between(f'{joint}ToeBase', f'{joint}Foot', 0.35), 37.0),
                (_between(f'{low}_foot_index', f'{joint}Foot', 0.15), 27.0),
            ),
            nearer=20.0,
        ),
    )


LIMBS = (
    Limb(
        'torso',
        'shirt',
        (
            (_between('LeftArm', 'Neck', 0.15), 60.0),
            (_between('RightArm', 'Neck', 0.15), 60.0),
            (_beside(1.0, 0.17), 102.0),
            (_beside(1.0, -0.17), 102.0),
            (_beside(0.55, 0.14), 96.0),
            (_beside(0.55, -0.14), 96.0),
        ),
    ),
    Limb(
        'pelvis',
        'trousers',
        (
            (_beside(0.3, 0.14), 98.0),
            (_beside(0.3, -0.14), 98.0),
            (_between('LeftUpLeg', 'Hips', 0.3), 90.0),
            (_between('RightUpLeg', 'Hips', 0.3), 90.0),
        ),
        nearer=5.0,
    ),
    Limb('neck', 'skin', (({'Neck': 1.0}, 55.0), ({'Head': 1.0}, 50.0))),
    Limb('face', 'skin', ((_in_head(0.35, -0.1), 84.0), (_in_head(0.72, -0.93), 42.0)), 10.0),
    Limb('hair', 'hair', ((_in_head(-0.2, 0.28), 96.0), (_in_head(-0.35, -0.35), 76.0)), 10.0),
    *_side_limbs('left'),
    *_side_limbs('right'),
)
LIMB_INDEX = {limb.name: index for index, limb in enumerate(LIMBS)}
_CORNERS = 16  # of the polygon around a ball; 1 % of its radius is cut off

BODY_LANDMARKS = tuple(
    name
    for name in LANDMARKS
    if any(name in point for limb in LIMBS for point, _ in limb.balls)
    or name in ('nose', 'left_mouth', 'right_mouth')
)
"""Landmarks that a figure is drawn from, in the order of the arrays that this module takes."""
BODY_INDEX = {name: index for index, name in enumerate(BODY_LANDMARKS)}


def _ball_table() -> tuple[np.ndarray, np.ndarray, tuple[slice, ...]]:
    """(balls, landmarks) weights, (balls,) radii, and which balls each limb has."""
    weights, radii, slices = [], [], []
    for limb in LIMBS:
        slices.append(slice(len(radii), len(radii) + len(limb.balls)))
        for point, radius in limb.balls:
            weights.append([point.get(name, 0.0) for name in BODY_LANDMARKS])
            radii.append(radius)
    return np.array(weights), np.array(radii), tuple(slices)


_WEIGHTS, _RADII, BALLS = _ball_table()
_FIRST = np.array([part.start for part in BALLS])
_COUNT = np.array([part.stop - part.start for part in BALLS])
_NEARER = np.array([limb.nearer for limb in LIMBS])
_ANGLES = np.arange(_CORNERS) * 2 * np.pi / _CORNERS
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=-1)


def limb_points(
    landmarks: np.ndarray, camera: Camera, girth: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Points around the balls of the limbs as a camera sees them.

    A ball is drawn as a circle of its radius over its depth; the slight stretch of balls far off
    the optical axis is left out.

    Args:
        landmarks: (..., len(BODY_LANDMARKS), 3) in the world, mm.
        camera: The camera.
        girth: Factor on the radii, broadcast against the leading axes.

    Returns:
        (..., balls, corners, 2) pixels; the balls of limb ``i`` are ``[BALLS[i]]``, and the limb
        is the convex hull of their points. (..., limbs) depths of the limbs' surfaces, mm.
    """
    centres = _WEIGHTS @ landmarks  # (..., balls, 3)
    pixels, depth = camera.project(centres)
    radii = _RADII * np.asarray(girth)[..., None]
    radii = radii * camera.focal / np.maximum(depth, 1.0)  # (..., balls) px
    points = pixels[..., None, :] + radii[..., None, None] * _CIRCLE
    limb_depth = np.add.reduceat(depth, _FIRST, axis=-1) / _COUNT - _NEARER
    return points, limb_depth


def limb_extents(points: np.ndarray) -> np.ndarray:
    """Extents of the limbs, not clipped to the image.

    Args:
        points: (..., balls, corners, 2) of :func:`limb_points`.

    Returns:
        (..., limbs, 4) x1, y1, x2, y2.
    """
    low = np.minimum.reduceat(points.min(axis=-2), _FIRST, axis=-2)
    high = np.maximum.reduceat(points.max(axis=-2), _FIRST, axis=-2)
    return np.concatenate([low, high], axis=-1)
