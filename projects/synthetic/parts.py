"""Body parts in a frame: their boxes, and their states, decided by the frame's geometry alone."""

from collections.abc import Callable

import numpy as np

from projects.synthetic.body import BODY_INDEX, LIMB_INDEX
from projects.synthetic.rendering import Rendering

PART_LIMBS = {
    'head': ('face', 'hair'),
    'left_arm': ('left_upper_arm', 'left_forearm'),
    'right_arm': ('right_upper_arm', 'right_forearm'),
    'left_hand': ('left_hand',),
    'right_hand': ('right_hand',),
    'hip': ('pelvis',),
    'left_leg': ('left_thigh', 'left_shin'),
    'right_leg': ('right_thigh', 'right_shin'),
    'left_foot': ('left_foot',),
    'right_foot': ('right_foot',),
}
"""The parts and the limbs they are drawn with."""
PARTS = tuple(PART_LIMBS)
STATES = (
    'none',
    'others',
    'raise',
    'lower',
    'bend',
    'unbend',
    'lift',
    'step_on',
    'stand',
    'squat',
    'spread',
    'lean',
    'look_down',
    'turn',
)

_LIMBS_OF = [[LIMB_INDEX[limb] for limb in limbs] for limbs in PART_LIMBS.values()]
# A part of which less is seen is left out. The thighs grow out of the hip and cover most of it.
_LEAST_SEEN = np.array([0.1 if part == 'hip' else 0.35 for part in PARTS])

# Thresholds lie where the actions pass quickly, so that few frames are near them.
_DOWN, _TURN = 24.0, 30.0  # degrees: the face below the horizon, and aside from the camera
_RAISED = 48.0  # degrees of the upper arm from hanging and from the trunk
_ELBOW, _KNEE, _SQUAT, _LEAN = 45.0, 32.0, 45.0, 20.0  # degrees
_THIGH, _SPREAD = 38.0, 12.0  # degrees of the thigh from hanging
_FOOT = 45.0  # mm of the sole's lowest point above the ground
_TIPTOE = 50.0  # mm of the heel above the ball


def annotate(picture: Rendering, states: np.ndarray) -> list[dict]:
    """The people of a picture with boxes and states of their parts.

    A box is the extent of what is drawn, hidden or not, clipped to the image; parts that are
    mostly hidden or outside are left out, and so are people without any part.

    Args:
        picture: The picture of P people.
        states: (P, len(PARTS)) indices into ``STATES``.

    Returns:
        As in the data set's files: boxes are whole pixels x1, y1, x2, y2, the last ones included.
    """
    fractions = picture.visible_fractions([PART_LIMBS[part] for part in PARTS])  # (P, K)
    extents, seen = picture.extents(), picture.visible_pixels() > 0
    size = np.array([picture.image.shape[1], picture.image.shape[0]])
    boxes = np.stack([_boxes(extents[:, limbs], size) for limbs in _LIMBS_OF], axis=1).tolist()
    humans = []
    for person, visible in enumerate(fractions >= _LEAST_SEEN):
        parts = {
            PARTS[index]: {
                'number': number + 1,
                'box': boxes[person][index],
                'verb': STATES[states[person, index]],
                'name': PARTS[index],
            }
            for number, index in enumerate(np.flatnonzero(visible))
        }
        if parts:
            limbs = seen[person].copy()
            for index in np.flatnonzero(visible):
                limbs[_LIMBS_OF[index]] = True  # a person's box holds those of the parts
            box = _boxes(extents[person, limbs], size).tolist()
            humans.append({'number': len(humans) + 1, 'box': box, 'parts': parts})
    return humans


def _boxes(extents: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(..., 4) boxes around (..., limbs, 4) extents, in whole pixels of the image."""
    low, high = extents[..., :2].min(axis=-2), extents[..., 2:].max(axis=-2)
    corners = np.concatenate([low, high], axis=-1)
    limit = np.concatenate([size, size]) - 1
    return np.minimum(np.maximum(np.rint(corners), 0), limit).astype(int)


def part_states(landmarks: np.ndarray, camera_position: np.ndarray) -> np.ndarray:
    """State of each part of people.

    Args:
        landmarks: (..., len(BODY_LANDMARKS), 3) in the world, mm.
        camera_position: (3,) in the world, mm.

    Returns:
        (..., len(PARTS)) indices into ``STATES``.
    """

    def at(name: str) -> np.ndarray:
        return landmarks[..., BODY_INDEX[name], :]

    columns = {'head': _head(at, camera_position), 'hip': _hip(at, camera_position)}
    for side in ('left', 'right'):
        columns[f'{side}_arm'] = _arm(at, side.title())
        columns[f'{side}_hand'] = _hand(at, side)
        columns[f'{side}_leg'] = _leg(at, side.title())
        columns[f'{side}_foot'] = _foot(at, side)
    return np.stack([columns[part] for part in PARTS], axis=-1)


_At = Callable[[str], np.ndarray]


def _pick(first: tuple[np.ndarray, str], *more: tuple[np.ndarray, str], default: str) -> np.ndarray:
    """Index of the state of the first condition that holds."""
    conditions, names = zip(first, *more, strict=True)
    return np.select(conditions, [STATES.index(name) for name in names], STATES.index(default))


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle between (..., 3) vectors, degrees."""
    product = np.einsum('...i,...i->...', first, second)
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    return np.degrees(np.arccos(np.clip(product / lengths, -1.0, 1.0)))


def _level_angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle between the horizontal parts of (..., 3) vectors, degrees."""
    return _angle(first[..., (0, 2)], second[..., (0, 2)])


_LOW = np.array([0.0, -1.0, 0.0])


def _head(at: _At, camera_position: np.ndarray) -> np.ndarray:
    gaze = (at('left_eye') + at('right_eye')) / 2 - at('head_center')
    aside = _level_angle(gaze, camera_position - at('head_center'))
    down = _angle(gaze, _LOW) < 90 - _DOWN - _CENTRE_TO_EYES
    return _pick((down, 'look_down'), (aside > _TURN, 'turn'), default='none')


_CENTRE_TO_EYES = np.degrees(np.arctan2(15.0, 75.0))  # below the head's centre, looking ahead


def _bent(at: _At, upper: str, middle: str, lower: str) -> np.ndarray:
    """Degrees by which a joint is bent out of the straight line."""
    return _angle(at(middle) - at(upper), at(lower) - at(middle))


def _arm(at: _At, side: str) -> np.ndarray:
    upper, trunk = at(f'{side}ForeArm') - at(f'{side}Arm'), at('Hips') - at('Neck')
    # both: who bows does not raise the arms that stay along the trunk, nor who lets them hang
    raised = np.minimum(_angle(upper, _LOW), _angle(upper, trunk)) > _RAISED
    elbow = _bent(at, f'{side}Arm', f'{side}ForeArm', f'{side}Hand')
    return _pick((raised, 'raise'), (elbow > _ELBOW, 'bend'), default='unbend')


def _hand(at: _At, side: str) -> np.ndarray:
    height = at(f'{side}_palm')[..., 1]
    shoulder, hip = at(f'{side.title()}Arm')[..., 1], at(f'{side.title()}UpLeg')[..., 1]
    return _pick((height > shoulder, 'raise'), (height < hip, 'lower'), default='none')


def _hip(at: _At, camera_position: np.ndarray) -> np.ndarray:
    knees = [_bent(at, f'{side}UpLeg', f'{side}Leg', f'{side}Foot') for side in ('Left', 'Right')]
    lean = _angle(at('Neck') - at('Hips'), -_LOW)
    across = at('LeftUpLeg') - at('RightUpLeg')
    facing = np.stack([-across[..., 2], np.zeros(lean.shape), across[..., 0]], axis=-1)
    aside = _level_angle(facing, camera_position - at('Hips'))
    return _pick(
        (np.minimum(*knees) > _SQUAT, 'squat'),
        (lean > _LEAN, 'lean'),
        (aside > _TURN, 'turn'),
        default='stand',
    )


def _leg(at: _At, side: str) -> np.ndarray:
    hip, knee, ankle = (at(f'{side}{joint}') for joint in ('UpLeg', 'Leg', 'Foot'))
    other = at(f'{"Right" if side == "Left" else "Left"}Foot')
    raised = (_angle(knee - hip, _LOW) > _THIGH) & (ankle[..., 1] - other[..., 1] > 80.0)
    bent = _angle(knee - hip, ankle - knee) > _KNEE
    across = at(f'{side}UpLeg') - at('Hips')
    outward = 90.0 - _angle(ankle - hip, across)
    return _pick((raised, 'lift'), (bent, 'bend'), (outward > _SPREAD, 'spread'), default='unbend')


def _foot(at: _At, side: str) -> np.ndarray:
    heel, ball, tip = (
        at(name)[..., 1]
        for name in (f'{side}_heel', f'{side.title()}ToeBase', f'{side}_foot_index')
    )
    lifted = np.minimum(np.minimum(heel, ball), tip) > _FOOT
    return _pick((lifted, 'lift'), (heel - ball > _TIPTOE, 'others'), default='step_on')
