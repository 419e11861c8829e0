"""What carries a figure that does not stand: points that stay put, hands and feet that hold on."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from projects.skeleton import HUMAN36M
from projects.synthetic.figure import JOINT_INDEX, Motion

_OFFSETS = np.asarray(HUMAN36M.offsets)
_SIDES = {'left': 1.0, 'right': -1.0}

# Limb: joints of the left side from the one that stays to the one that is held, whether it bends
# forwards, and what turns the limb's frame over so that at angle zero it hangs (see figure.py).
_LIMBS = {
    'arm': (('Shoulder', 'Arm', 'ForeArm', 'Hand'), True, Rotation.from_euler('z', np.pi)),
    'leg': ((None, 'UpLeg', 'Leg', 'Foot'), False, Rotation.identity()),
}
# A limb is never quite straight, so that it is known in which plane it bends.
_LONGEST = 0.9995


@dataclass(frozen=True)
class Grip:
    """Both hands or both feet held at a place; elbows or knees bend as they must.

    Args:
        limb: ``arm`` or ``leg``.
        place: (3,) of the left wrist or ankle in the world, mm; the right one mirrors it.
        axes: Where the left hand's or foot's own axes point in the world while it is held: its
            x (left), y (up) and z (forward) of when the limb hangs straight, each (3,).
        pole: (3,) where the left elbow or knee points to.
    """

    limb: str
    place: tuple[float, float, float]
    axes: tuple[tuple[float, float, float], ...]
    pole: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.limb not in _LIMBS:
            raise ValueError(f'limb {self.limb!r} is not one of {sorted(_LIMBS)}')
        axes = np.array(self.axes, dtype=float)
        if axes.shape != (3, 3) or not (
            np.allclose(axes @ axes.T, np.eye(3), atol=1e-6) and np.linalg.det(axes) > 0
        ):
            raise ValueError(f'axes are {self.axes}, expected a right-handed frame')


@dataclass(frozen=True)
class Support:
    """What carries the body in an action.

    Args:
        anchors: Landmarks whose mean stays put, but for the action's ``root`` movement.
        place: (3,) of that mean in the world, mm.
        grips: Hands or feet that stay put, but for the action's ``hand`` movement.
    """

    anchors: tuple[str, ...]
    place: tuple[float, float, float]
    grips: tuple[Grip, ...] = ()


def supported(
    rotations: np.ndarray, support: Support, shifts: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Put the figure on its support.

    Args:
        rotations: (T, 32, 3) exponential maps, not changed.
        support: What carries it.
        shifts: ``{name: (T,)}`` movement of ``root x``, ``root y``, ``root z``, and of
            ``left hand x`` (outwards) and so on from their places, mm; those missing are 0.

    Returns:
        (T, 32, 3) exponential maps in which the gripping limbs hold on, and (T, 3) root
        translation, mm.
    """
    frames = len(rotations)

    def shift(name: str) -> np.ndarray:
        zeros = np.zeros(frames)
        return np.stack([shifts.get(f'{name} {axis}', zeros) for axis in 'xyz'], axis=1)  # (T, 3)

    motion = Motion(rotations.copy(), np.zeros((frames, 3)), fps=1.0)
    place = motion.landmarks(support.anchors).mean(axis=1)  # (T, 3), root at the origin
    motion = replace(motion, translation=np.array(support.place) + shift('root') - place)
    orientations, positions = motion.orientations(), motion.positions()
    for grip in support.grips:
        for side, sign in _SIDES.items():
            mirror = np.array([sign, 1.0, 1.0])
            moved = shift(f'{side} hand' if grip.limb == 'arm' else f'{side} foot')
            target = (np.array(grip.place) + moved) * mirror
            _hold(motion.rotations, orientations, positions, grip, side, target)
    return motion.rotations, motion.translation


def _hold(
    rotations: np.ndarray,
    orientations: list[Rotation],
    positions: np.ndarray,
    grip: Grip,
    side: str,
    target: np.ndarray,
) -> None:
    """Bends a limb in place so that its end is at (T, 3) ``target``, or as near as it reaches."""
    names, forwards, hanging = _LIMBS[grip.limb]
    parent, upper, lower, end = (
        0 if name is None else JOINT_INDEX[side.title() + name] for name in names
    )
    mirror = np.array([_SIDES[side], 1.0, 1.0])
    first, second = (np.linalg.norm(_OFFSETS[joint]) for joint in (lower, end))
    way = target - positions[:, upper]
    distance = np.linalg.norm(way, axis=1, keepdims=True)
    way = way / np.maximum(distance, 1e-9)
    distance = np.clip(distance, 1.001 * abs(first - second), _LONGEST * (first + second))
    pole = _unit(_across(np.array(grip.pole) * mirror, way))
    along = (distance**2 + first**2 - second**2) / (2 * distance)  # to below the bend
    bend = along * way + np.sqrt(np.maximum(first**2 - along**2, 0.0)) * pole  # (T, 3)
    upper_way, lower_way = _unit(bend), _unit(distance * way - bend)
    front = _unit(_across(-pole if forwards else pole, upper_way))
    hinge = np.cross(-upper_way, front)  # the frames' x axis, which both parts share
    upper_frame = _frame(hinge, -upper_way) * hanging
    lower_frame = _frame(hinge, -lower_way) * hanging
    # columns are the images of the axes; of the mirror image the x axis changes its sign, too
    axes = np.array(grip.axes).T * mirror[:, None] * mirror
    held = Rotation.from_matrix(np.repeat(axes[None], len(target), axis=0)) * hanging
    frames = [orientations[parent], upper_frame, lower_frame, held]
    for joint, above, frame in zip((upper, lower, end), frames, frames[1:], strict=False):
        rotations[:, joint] = -(above.inv() * frame).as_rotvec()


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _across(vectors: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The part of the vectors at right angles to the unit vectors ``axis``."""
    return vectors - (vectors * axis).sum(axis=-1, keepdims=True) * axis


def _frame(x: np.ndarray, y: np.ndarray) -> Rotation:
    """(T,) rotations to frames with these axes."""
    return Rotation.from_matrix(np.stack([x, y, np.cross(x, y)], axis=-1))
