"""The kinematic figure: body-axis angles, motions, and the landmarks every data set's format needs.

The figure is Human3.6M's 32-joint tree in the body axes x left, y up, z forward. What moves it
are angles with a meaning (``'left knee flexion'``); :func:`rotations_from_angles` turns them into
the exponential maps of the data set's files, and a :class:`Motion` turns those into positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from scipy.spatial.transform import Rotation

from projects.skeleton import HUMAN36M

JOINT_INDEX = {name: index for index, name in enumerate(HUMAN36M.joint_names)}
_OFFSETS = np.asarray(HUMAN36M.offsets)

# Anatomical joint -> suffix of the tree's joint that turns what hangs below it.
_SIDED = {
    'hip': 'UpLeg',
    'knee': 'Leg',
    'ankle': 'Foot',
    'ball': 'ToeBase',
    'clavicle': 'Shoulder',
    'shoulder': 'Arm',
    'elbow': 'ForeArm',
    'wrist': 'Hand',
    'thumb': 'HandThumb',
}
_CENTRAL = {'pelvis': 'Hips', 'spine': 'Spine', 'chest': 'Spine1', 'neck': 'Neck', 'head': 'Head'}
_SIDES = {'left': 1.0, 'right': -1.0}

# The stance every angle is counted from, degrees: soft knees, arms hanging, flat feet. The tree's
# foot points straight ahead from the ankle, so it is pitched down by 25 degrees onto the ground.
NEUTRAL = {
    'hip flexion': 3.0,
    'hip abduction': -2.0,
    'hip twist': 6.0,
    'knee flexion': 6.0,
    'ankle flexion': 3.0 - 25.0,
    'ankle abduction': 2.0,
    'ball flexion': 25.0,
    'shoulder abduction': 8.0,
    'shoulder twist': -15.0,
    'elbow flexion': 15.0,
    'thumb flexion': -45.0,
}

# Points of the left half fixed to a joint's frame: (joint, offset in body axes in the neutral
# stance, mm). The right half is the mirror image.
_ATTACHED_CENTRAL = {
    'nose': ('Head', (0.0, -28.0, 108.0)),
    'chin': ('Head', (0.0, -92.0, 82.0)),
    'head_center': ('Head', (0.0, 20.0, 15.0)),
    'neck_middle': ('Neck', (0.0, 60.0, 8.0)),
}
_ATTACHED_LEFT = {
    'eye_inner': ('Head', (18.0, 5.0, 92.0)),
    'eye': ('Head', (32.0, 5.0, 88.0)),
    'eye_outer': ('Head', (46.0, 5.0, 78.0)),
    'ear': ('Head', (74.0, -8.0, 5.0)),
    'mouth': ('Head', (25.0, -62.0, 90.0)),
    'heel': ('LeftFoot', (0.0, -68.8, -55.0)),
    'foot_index': ('LeftToeBase', (0.0, 0.0, 70.0)),
    'palm': ('LeftHand', (0.0, -75.0, 0.0)),
    'pinky': ('LeftHand', (0.0, -82.0, -28.0)),
    'index': ('LeftHand', (0.0, -92.0, 22.0)),
    'thumb': ('LeftHand', (-12.0, -62.0, 45.0)),
    'hand_tip': ('LeftHand', (0.0, -175.0, 0.0)),
}


def _sided(table: Mapping[str, str]) -> dict[str, str]:
    """``{'{side}_x': '{Side}Y'}`` written out for left, then right, joint by joint."""
    return {
        key.format(side=side): value.format(side=side, Side=side.title())
        for key, value in table.items()
        for side in ('left', 'right')
    }


_LIMBS = _sided(
    {
        '{side}_shoulder': '{Side}Arm',
        '{side}_elbow': '{Side}ForeArm',
        '{side}_wrist': '{Side}Hand',
        '{side}_hip': '{Side}UpLeg',
        '{side}_knee': '{Side}Leg',
        '{side}_ankle': '{Side}Foot',
    }
)
COCO_LANDMARKS = {
    'nose': 'nose',
    **_sided({'{side}_eye': '{side}_eye', '{side}_ear': '{side}_ear'}),
    **_LIMBS,
}
PENN_LANDMARKS = {'head': 'head_center', **_LIMBS}
NTU_LANDMARKS = {
    'spine_base': 'Hips',
    'spine_mid': 'Spine1',
    'neck': 'neck_middle',
    'head': 'head_center',
    'left_shoulder': 'LeftArm',
    'left_elbow': 'LeftForeArm',
    'left_wrist': 'LeftHand',
    'left_hand': 'left_palm',
    'right_shoulder': 'RightArm',
    'right_elbow': 'RightForeArm',
    'right_wrist': 'RightHand',
    'right_hand': 'right_palm',
    'left_hip': 'LeftUpLeg',
    'left_knee': 'LeftLeg',
    'left_ankle': 'LeftFoot',
    'left_foot': 'left_foot_index',
    'right_hip': 'RightUpLeg',
    'right_knee': 'RightLeg',
    'right_ankle': 'RightFoot',
    'right_foot': 'right_foot_index',
    'spine_shoulder': 'Neck',
    'left_hand_tip': 'left_hand_tip',
    'left_thumb': 'left_thumb',
    'right_hand_tip': 'right_hand_tip',
    'right_thumb': 'right_thumb',
}
BLAZEPOSE_LANDMARKS = {
    'nose': 'nose',
    **{
        f'{side}_{part}': f'{side}_{part}'
        for side in ('left', 'right')
        for part in ('eye_inner', 'eye', 'eye_outer')
    },
    'left_ear': 'left_ear',
    'right_ear': 'right_ear',
    'mouth_left': 'left_mouth',
    'mouth_right': 'right_mouth',
    **{name: _LIMBS[name] for name in list(_LIMBS)[:6]},  # shoulders, elbows, wrists
    **_sided({f'{{side}}_{part}': f'{{side}}_{part}' for part in ('pinky', 'index', 'thumb')}),
    **{name: _LIMBS[name] for name in list(_LIMBS)[6:]},  # hips, knees, ankles
    **_sided({f'{{side}}_{part}': f'{{side}}_{part}' for part in ('heel', 'foot_index')}),
}
"""Landmark lists of the target data sets, in their order: ``{their name: our landmark}``."""

CONTACTS = tuple(
    name
    for side in ('left', 'right')
    for name in (f'{side}_heel', f'{side.title()}ToeBase', f'{side.title()}ToeEnd')
)


def _channel_table() -> dict[str, tuple[tuple[int, int, float], ...]]:
    """Entries (joint, Euler slot, sign) that each angle's name drives."""
    table: dict[str, tuple[tuple[int, int, float], ...]] = {}
    for part, joint in _CENTRAL.items():
        index = JOINT_INDEX[joint]
        for slot, (movement, sign) in enumerate((('flexion', 1.0), ('bend', -1.0), ('twist', 1.0))):
            table[f'{part} {movement}'] = ((index, slot, sign),)
    for part, suffix in _SIDED.items():
        forward = 1.0 if part == 'knee' else -1.0  # only the knee bends backwards
        for slot, movement in enumerate(('flexion', 'abduction', 'twist')):
            for side, outward in _SIDES.items():
                index = JOINT_INDEX[f'{side.title()}{suffix}']
                sign = forward if slot == 0 else outward
                table[f'{side} {part} {movement}'] = ((index, slot, sign),)
            table[f'{part} {movement}'] = (
                *table[f'left {part} {movement}'],
                *table[f'right {part} {movement}'],
            )
    return table


CHANNELS = _channel_table()
"""Names of all angles; a name without a side drives both sides as mirror images."""


def _rest_frames() -> tuple[np.ndarray, np.ndarray]:
    """(32, 4) quaternions before and after a joint's angles: local = before * angles * after.

    The tree's arms point up the y axis of their frames. The clavicle is laid sideways, and the
    arm's frame is turned over so that at angle zero it hangs; between the two stand the angles.
    """
    before, after = (
        [Rotation.identity() for _ in range(32)],
        [Rotation.identity() for _ in range(32)],
    )
    hanging = Rotation.from_euler('z', 180, degrees=True)
    for side, sign in _SIDES.items():
        sideways = Rotation.from_euler('z', -90 * sign, degrees=True)
        after[JOINT_INDEX[f'{side.title()}Shoulder']] = sideways
        before[JOINT_INDEX[f'{side.title()}Arm']] = sideways.inv()
        after[JOINT_INDEX[f'{side.title()}Arm']] = hanging
        for suffix in ('ForeArm', 'Hand', 'HandThumb'):
            before[JOINT_INDEX[f'{side.title()}{suffix}']] = hanging.inv()
            after[JOINT_INDEX[f'{side.title()}{suffix}']] = hanging
    return Rotation.concatenate(before).as_quat(), Rotation.concatenate(after).as_quat()


_BEFORE, _AFTER = _rest_frames()


def _quaternion(half_angle: np.ndarray, axis: int) -> np.ndarray:
    """(..., 4) quaternions x, y, z, w of turns about one axis of the frame."""
    result = np.zeros((*half_angle.shape, 4))
    result[..., axis] = np.sin(half_angle)
    result[..., 3] = np.cos(half_angle)
    return result


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(..., 4) products of quaternions: first ``right``, then ``left``.

    By hand, because scipy's Euler angles took two thirds of the time of writing a data set.
    """
    a, b = left[..., :3], right[..., :3]
    w, v = left[..., 3:], right[..., 3:]
    vector = w * b + v * a + np.cross(a, b)
    return np.concatenate([vector, w * v - (a * b).sum(axis=-1, keepdims=True)], axis=-1)


def rotations_from_angles(angles: Mapping[str, np.ndarray | float], num_frames: int) -> np.ndarray:
    """Exponential maps of the figure for angles counted from the neutral stance.

    With the limb hanging straight, positive *flexion* swings it forwards and up (the knee: heel
    to the seat), *abduction* outwards, *twist* turns its front outwards. For pelvis, spine, chest,
    neck and head *flexion* is forwards, *bend* and *twist* are to the left. ``heading`` turns the
    whole body to the left. Flexion turns about the parent's axis, then abduction, then twist.

    Args:
        angles: ``{name: (T,) or scalar}``, degrees; names in ``CHANNELS`` or ``'heading'``.
        num_frames: Number of frames T.

    Returns:
        (T, 32, 3) exponential maps in the files' row-vector convention, radians.

    Raises:
        ValueError: If an angle's name is unknown.
    """
    euler = np.zeros((num_frames, 32, 3))
    for table in (NEUTRAL, angles):
        for name, value in table.items():
            if name == 'heading':
                continue
            if name not in CHANNELS:
                raise ValueError(f'angle {name!r} is not one of {sorted(CHANNELS)} or heading')
            for joint, slot, sign in CHANNELS[name]:
                euler[:, joint, slot] += sign * np.asarray(value)
    half = np.radians(euler) / 2
    turn = _quaternion(half[..., 0], 0)  # (T, 32, 4)
    for slot, axis in ((1, 2), (2, 1)):
        turn = _product(turn, _quaternion(half[..., slot], axis))
    turn = _product(_product(_BEFORE, turn), _AFTER)
    maps = Rotation.from_quat(turn.reshape(-1, 4)).as_rotvec().reshape(num_frames, 32, 3)
    if 'heading' in angles:
        heading = np.zeros((num_frames, 3))
        heading[:, 1] = angles['heading']
        turned = Rotation.from_rotvec(heading, degrees=True) * Rotation.from_rotvec(maps[:, 0])
        maps[:, 0] = turned.as_rotvec()
    return -maps  # the files' matrices multiply row vectors: the transpose, so the inverse


@dataclass(frozen=True)
class Motion:
    """A motion of the figure.

    Args:
        rotations: (T, 32, 3) exponential maps local to the parent, row-vector convention of
            :mod:`projects.skeleton`, radians.
        translation: (T, 3) position of the root in the world, y up, the ground at 0, mm.
        fps: Frames per second.
        action: Name of the action.
        repetitions: (R, 2) int frames of each complete repetition, start inclusive, end
            exclusive; aborted and cut ones are left out.
        scale: Size of the body; 1 is the published skeleton (1.69 m).
    """

    rotations: np.ndarray
    translation: np.ndarray
    fps: float
    action: str = ''
    repetitions: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))
    scale: float = 1.0

    def __post_init__(self) -> None:
        frames = len(self.rotations)
        shapes = {'rotations': (frames, 32, 3), 'translation': (frames, 3)}
        for name, expected in shapes.items():
            shape = np.shape(getattr(self, name))
            if shape != expected:
                raise ValueError(f'{name} has shape {shape}, expected {expected}')
        if np.ndim(self.repetitions) != 2 or np.shape(self.repetitions)[1] != 2:
            raise ValueError(f'repetitions has shape {np.shape(self.repetitions)}, expected (R, 2)')
        for name in ('fps', 'scale'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} is {getattr(self, name)!r}, expected a positive number')

    @property
    def num_frames(self) -> int:
        """Number of frames T."""
        return len(self.rotations)

    @property
    def count(self) -> int:
        """Number of complete repetitions."""
        return len(self.repetitions)

    def orientations(self) -> list[Rotation]:
        """Orientation of each of the 32 joints in the world, a (T,) stack of rotations each."""
        result: list[Rotation] = []
        for joint, parent in enumerate(HUMAN36M.parents):
            local = Rotation.from_rotvec(-self.rotations[:, joint])  # column vectors: the inverse
            result.append(local if parent < 0 else result[parent] * local)
        return result

    def positions(self) -> np.ndarray:
        """World positions of the joints.

        Accumulated joint by joint, on purpose without ``Skeleton.forward_kinematics``, which the
        files written from a motion are there to check.

        Returns:
            (T, 32, 3), mm.
        """
        return self._positions(self.orientations())

    def _positions(self, orientations: Sequence[Rotation]) -> np.ndarray:
        positions = np.empty((self.num_frames, 32, 3))
        for joint, parent in enumerate(HUMAN36M.parents):
            if parent < 0:
                positions[:, joint] = self.translation
            else:
                bone = orientations[parent].apply(self.scale * _OFFSETS[joint])
                positions[:, joint] = positions[:, parent] + bone
        return positions

    def landmarks(self, names: Sequence[str]) -> np.ndarray:
        """World positions of named landmarks.

        Args:
            names: K landmarks: joints of the tree, or points attached to one (``LANDMARKS``).

        Returns:
            (T, K, 3), mm.

        Raises:
            ValueError: If a name is unknown.
        """
        orientations = self.orientations()
        positions = self._positions(orientations)
        attached = attached_landmarks()
        points = np.empty((self.num_frames, len(names), 3))
        for index, name in enumerate(names):
            if name in JOINT_INDEX:
                points[:, index] = positions[:, JOINT_INDEX[name]]
            elif name in attached:
                joint, offset = attached[name]
                points[:, index] = positions[:, joint] + orientations[joint].apply(
                    self.scale * offset
                )
            else:
                raise ValueError(f'landmark {name!r} is not one of {sorted(LANDMARKS)}')
        return points

    def resample(self, fps: float) -> 'Motion':
        """The motion at another frame rate, rotations interpolated on the shortest arc.

        Args:
            fps: New frames per second.

        Returns:
            A motion from the same first frame to at most the same last; repetitions rounded.
        """
        if not fps > 0:
            raise ValueError(f'fps is {fps!r}, expected a positive number')
        ratio = self.fps / fps
        times = np.arange(int((self.num_frames - 1) / ratio + 1e-9) + 1) * ratio
        lower = np.minimum(times.astype(int), max(self.num_frames - 2, 0))
        upper = np.minimum(lower + 1, self.num_frames - 1)
        part = (times - lower)[:, None]
        start = Rotation.from_rotvec(self.rotations[lower].reshape(-1, 3))
        end = Rotation.from_rotvec(self.rotations[upper].reshape(-1, 3))
        step = (start.inv() * end).as_rotvec() * np.repeat(part, 32, axis=0)
        rotations = (start * Rotation.from_rotvec(step)).as_rotvec().reshape(-1, 32, 3)
        translation = (1 - part) * self.translation[lower] + part * self.translation[upper]
        repetitions = np.rint(self.repetitions / ratio).astype(np.int64)
        return replace(
            self,
            rotations=rotations,
            translation=translation,
            fps=fps,
            repetitions=np.minimum(repetitions, len(times)),
        )

    def scaled(self, factor: float) -> 'Motion':
        """The same motion by a body ``factor`` times as big, its steps in proportion."""
        return replace(self, translation=self.translation * factor, scale=self.scale * factor)

    def turned(self, degrees: float) -> 'Motion':
        """The motion turned to the left about the world's vertical axis."""
        turn = Rotation.from_euler('y', degrees, degrees=True)
        rotations = self.rotations.copy()
        rotations[:, 0] = -(turn * Rotation.from_rotvec(-rotations[:, 0])).as_rotvec()
        return replace(self, rotations=rotations, translation=turn.apply(self.translation))


@lru_cache(maxsize=1)
def attached_landmarks() -> dict[str, tuple[int, np.ndarray]]:
    """Landmarks fixed to a joint: ``{name: (joint index, (3,) offset in its frame, mm)}``."""
    rest = Motion(rotations_from_angles({}, 1), np.zeros((1, 3)), fps=1.0).orientations()
    in_body = dict(_ATTACHED_CENTRAL)
    for side, sign in _SIDES.items():
        for name, (joint, (x, y, z)) in _ATTACHED_LEFT.items():
            in_body[f'{side}_{name}'] = (joint.replace('Left', side.title()), (sign * x, y, z))
    return {
        name: (JOINT_INDEX[joint], rest[JOINT_INDEX[joint]].inv().apply(offset)[0])
        for name, (joint, offset) in in_body.items()
    }


LANDMARKS = (*HUMAN36M.joint_names, *attached_landmarks())
"""Names of all landmarks: the tree's joints and the points attached to them."""


def ground_translation(
    rotations: np.ndarray, lift: np.ndarray | float = 0.0, *, carry: bool = False
) -> np.ndarray:
    """Root positions that put the feet on the ground and keep the standing foot where it is.

    The lowest point of the feet (softened over a few mm, so that weight passes smoothly from
    foot to foot) is put at height ``lift``; sideways the root moves so that the low points stand
    still, in the air too: who jumps lands on the spot.

    Args:
        rotations: (T, 32, 3) exponential maps.
        lift: (T,) or scalar height of the lowest point above the ground, 0 in contact, mm.
        carry: In the air the sideways speed goes over from take-off to landing instead, as in
            running.

    Returns:
        (T, 3) root translation, starting above the origin, mm.
    """
    frames = len(rotations)
    motion = Motion(rotations, np.zeros((frames, 3)), fps=1.0)
    contacts = motion.landmarks(CONTACTS)  # (T, 6, 3), root at the origin
    height = contacts[..., 1]
    lowest = height.min(axis=1, keepdims=True)
    weight = np.exp(-(height - lowest) / 6.0)
    weight /= weight.sum(axis=1, keepdims=True)
    lift = np.broadcast_to(lift, (frames,))
    translation = np.zeros((frames, 3))
    translation[:, 1] = lift - (weight * height).sum(axis=1)
    if frames > 1:
        step = np.diff(contacts[..., (0, 2)], axis=0)  # (T - 1, 6, 2)
        middle = (weight[1:] + weight[:-1]) / 2
        step = -(step * middle[..., None]).sum(axis=1)  # (T - 1, 2)
        standing = np.flatnonzero(np.maximum(lift[1:], lift[:-1]) <= 0)
        if carry and len(standing):
            all_steps = np.arange(frames - 1)
            step = np.stack(
                [np.interp(all_steps, standing, step[standing, axis]) for axis in range(2)], axis=1
            )
        translation[1:, (0, 2)] = np.cumsum(step, axis=0)
    return translation
