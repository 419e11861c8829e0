"""Motion-capture skeletons and their forward kinematics.

The joint trees and bone offsets of Human3.6M's 32 joints and of CMU's 38 joints are constants
published with the pose forecasting literature (Mao et al., "Learning Trajectory Dependencies for
Human Motion Prediction", ICCV 2019).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

_OTHER_SIDE = {'left': 'right', 'right': 'left', 'Left': 'Right', 'Right': 'Left'}


def flip_indices(joint_names: Sequence[str]) -> list[int]:
    """For each joint the one that it becomes in a mirror, by their names.

    The other side of ``LeftFoot`` is ``RightFoot``, of ``left_hip`` ``right_hip``, of ``LThumbEnd``
    ``RThumbEnd``. A joint that has no partner among the names becomes itself.

    Args:
        joint_names: J names.

    Returns:
        J indices; a mirror twice is none.
    """
    index = {name: number for number, name in enumerate(joint_names)}

    def mirrored(name: str) -> str:
        for side, other in _OTHER_SIDE.items():
            if side in name:
                return name.replace(side, other)
        swapped = {'L': 'R', 'R': 'L', 'l': 'r', 'r': 'l'}.get(name[:1], '')
        return swapped + name[1:]

    return [index.get(mirrored(name), number) for number, name in enumerate(joint_names)]


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints connected by bones of fixed length.

    Args:
        name: Name of the skeleton, used in messages and cache keys.
        joint_names: J names, in the order of the data set's files.
        parents: Index of each joint's parent, -1 for the root. A parent stands before its children.
        offsets: (J, 3) vector from the parent to the joint in the parent's frame, millimetres.
        forecast_joints: Joints that forecasting models are trained and scored on.
        repeats: ``{joint: other}``: joints whose position always equals that of a forecast joint.
    """

    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[tuple[float, float, float], ...]
    forecast_joints: tuple[int, ...]
    repeats: dict[int, int] = field(default_factory=dict)

    @property
    def num_joints(self) -> int:
        """Number of joints J, repeated and static ones included."""
        return len(self.parents)

    @property
    def num_columns(self) -> int:
        """Columns of a motion file: global translation, then one exponential map a joint."""
        return 3 + 3 * self.num_joints

    @cached_property
    def _levels(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Joints and their parents as index arrays, one pair a depth of the tree below the root."""
        parents = np.asarray(self.parents)
        depth = np.zeros(len(parents), dtype=int)
        for joint, parent in enumerate(parents):
            depth[joint] = 0 if parent < 0 else depth[parent] + 1
        joints = [np.flatnonzero(depth == level) for level in range(1, depth.max() + 1)]
        return [(index, parents[index]) for index in joints]

    def forward_kinematics(self, rotations: np.ndarray) -> np.ndarray:
        """Joint positions relative to the root from the joints' exponential maps.

        A joint's map turns all that hangs below it; the root's map turns the whole body. The
        published files mean row vectors: a child stands at ``parent + offset @ R_parent``, and
        ``R = exp(r) @ R_parent``.

        Args:
            rotations: (T, J, 3) exponential maps, radians.

        Returns:
            (T, J, 3) positions, millimetres, the root at the origin.

        Raises:
            ValueError: If the number of joints is not the skeleton's.
        """
        rotations = np.asarray(rotations, dtype=np.float64)
        if rotations.ndim != 3 or rotations.shape[1:] != (self.num_joints, 3):
            raise ValueError(
                f'rotations of skeleton {self.name!r} have shape {rotations.shape}, '
                f'expected (T, {self.num_joints}, 3)'
            )
        frames = len(rotations)
        local = Rotation.from_rotvec(rotations.reshape(-1, 3)).as_matrix().reshape(frames, -1, 3, 3)
        offsets = np.asarray(self.offsets)
        world = local.copy()  # (T, J, 3, 3)
        positions = np.zeros((frames, self.num_joints, 3))
        for joints, parents in self._levels:  # every joint of one depth at once
            world[:, joints] = local[:, joints] @ world[:, parents]
            bones = np.einsum('ji,tjik->tjk', offsets[joints], world[:, parents])  # (T, joints, 3)
            positions[:, joints] = positions[:, parents] + bones
        return positions

    @cached_property
    def static_joints(self) -> tuple[int, ...]:
        """Joints that never move once the global motion is removed: the pelvis."""
        return tuple(
            joint
            for joint in range(self.num_joints)
            if joint not in self.forecast_joints and joint not in self.repeats
        )

    def static_positions(self) -> np.ndarray:
        """Positions of the static joints, (S, 3) millimetres, for drawing a whole figure."""
        rest = self.forward_kinematics(np.zeros((1, self.num_joints, 3)))[0]
        return rest[list(self.static_joints)]

    def limbs(self) -> list[tuple[int, int]]:
        """Bones of the drawn figure, as pairs of indices.

        They count the forecast joints first and the static joints after them; a joint that repeats
        another is replaced by it.
        """
        drawn = (*self.forecast_joints, *self.static_joints)
        index = {joint: number for number, joint in enumerate(drawn)}
        index.update({joint: index[other] for joint, other in self.repeats.items()})
        pairs = [(index[p], index[j]) for j, p in enumerate(self.parents) if p >= 0]
        return [(a, b) for a, b in pairs if a != b]

    def left_joints(self) -> list[int]:
        """Indices into ``forecast_joints`` of the joints on the body's left side."""
        names = [self.joint_names[joint] for joint in self.forecast_joints]
        return [
            index
            for index, name in enumerate(names)
            if name.startswith('L') and not name.startswith('Low')
        ]

    def all_joint_weights(self) -> np.ndarray:
        """Weights that turn the forecast joints' errors into the mean over all J joints.

        Repeated joints count as often as they are repeated; joints that never move have error zero
        and only enlarge the divisor.

        Returns:
            (len(forecast_joints),) weights; their sum is below 1 where joints never move.
        """
        counts = {joint: 1 for joint in self.forecast_joints}
        for other in self.repeats.values():
            counts[other] += 1
        return np.array([counts[joint] for joint in self.forecast_joints]) / self.num_joints


HUMAN36M = Skeleton(
    name='human36m',
    joint_names=(
        *('Hips', 'RightUpLeg', 'RightLeg', 'RightFoot', 'RightToeBase', 'RightToeEnd'),
        *('LeftUpLeg', 'LeftLeg', 'LeftFoot', 'LeftToeBase', 'LeftToeEnd'),
        *('Spine', 'Spine1', 'Neck', 'Head', 'HeadEnd'),
        *('LeftShoulder', 'LeftArm', 'LeftForeArm', 'LeftHand'),
        *('LeftHandThumb', 'LeftThumbEnd', 'LeftWristEnd', 'LeftWristSite'),
        *('RightShoulder', 'RightArm', 'RightForeArm', 'RightHand'),
        *('RightHandThumb', 'RightThumbEnd', 'RightWristEnd', 'RightWristSite'),
    ),
    parents=(
        *(-1, 0, 1, 2, 3, 4),
        *(0, 6, 7, 8, 9),
        *(0, 11, 12, 13, 14),
        *(12, 16, 17, 18, 19, 20, 19, 22),
        *(12, 24, 25, 26, 27, 28, 27, 30),
    ),
    offsets=(
        (0.0, 0.0, 0.0),
        (-132.948591, 0.0, 0.0),
        (0.0, -442.894612, 0.0),
        (0.0, -454.206447, 0.0),
        (0.0, 0.0, 162.767078),
        (0.0, 0.0, 74.999437),
        (132.948826, 0.0, 0.0),
        (0.0, -442.894413, 0.0),
        (0.0, -454.20659, 0.0),
        (0.0, 0.0, 162.767426),
        (0.0, 0.0, 74.999948),
        (0.0, 0.1, 0.0),
        (0.0, 233.383263, 0.0),
        (0.0, 257.077681, 0.0),
        (0.0, 121.134938, 0.0),
        (0.0, 115.002227, 0.0),
        (0.0, 257.077681, 0.0),
        (0.0, 151.034226, 0.0),
        (0.0, 278.882773, 0.0),
        (0.0, 251.733451, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 99.999627),
        (0.0, 100.000188, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, 257.077681, 0.0),
        (0.0, 151.031437, 0.0),
        (0.0, 278.892924, 0.0),
        (0.0, 251.72868, 0.0),
        (0.0, 0.0, 0.0),
        (0.0, 0.0, 99.999888),
        (0.0, 137.499922, 0.0),
        (0.0, 0.0, 0.0),
    ),
    forecast_joints=(
        2,
        3,
        4,
        5,
        7,
        8,
        9,
        10,
        12,
        13,
        14,
        15,
        17,
        18,
        19,
        21,
        22,
        25,
        26,
        27,
        29,
        30,
    ),
    repeats={16: 13, 20: 19, 23: 22, 24: 13, 28: 27, 31: 30},
)

# The files' unit is scaled by 70 in the literature; a thigh of 7.59 units becomes 532 mm.
_CMU_OFFSETS = (
    (0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0),
    (1.65674, -1.80282, 0.62477),
    (2.5972, -7.13576, 0.0),
    (2.49236, -6.8477, 0.0),
    (0.19704, -0.54136, 2.14581),
    (0.0, 0.0, 1.11249),
    (0.0, 0.0, 0.0),
    (-1.6107, -1.80282, 0.62476),
    (-2.59502, -7.12977, 0.0),
    (-2.4678, -6.78024, 0.0),
    (-0.23024, -0.63258, 2.13368),
    (0.0, 0.0, 1.11569),
    (0.0, 0.0, 0.0),
    (0.01961, 2.0545, -0.14112),
    (0.01021, 2.06436, -0.05921),
    (0.0, 0.0, 0.0),
    (0.00713, 1.56711, 0.14968),
    (0.03429, 1.56041, -0.10006),
    (0.01305, 1.6256, -0.05265),
    (0.0, 0.0, 0.0),
    (3.54205, 0.90436, -0.17364),
    (4.86513, 0.0, 0.0),
    (3.35554, 0.0, 0.0),
    (0.0, 0.0, 0.0),
    (0.66117, 0.0, 0.0),
    (0.53306, 0.0, 0.0),
    (0.0, 0.0, 0.0),
    (0.5412, 0.0, 0.5412),
    (0.0, 0.0, 0.0),
    (-3.49802, 0.75994, -0.32616),
    (-5.02649, 0.0, 0.0),
    (-3.36431, 0.0, 0.0),
    (0.0, 0.0, 0.0),
    (-0.73041, 0.0, 0.0),
    (-0.58887, 0.0, 0.0),
    (0.0, 0.0, 0.0),
    (-0.59786, 0.0, 0.59786),
)

CMU = Skeleton(
    name='cmu',
    joint_names=(
        'Hips',
        *('LHipJoint', 'LeftUpLeg', 'LeftLeg', 'LeftFoot', 'LeftToeBase', 'LeftToeEnd'),
        *('RHipJoint', 'RightUpLeg', 'RightLeg', 'RightFoot', 'RightToeBase', 'RightToeEnd'),
        *('LowerBack', 'Spine', 'Spine1', 'Neck', 'Neck1', 'Head', 'HeadEnd'),
        *('LeftShoulder', 'LeftArm', 'LeftForeArm', 'LeftHand'),
        *('LeftFingerBase', 'LeftHandIndex1', 'LeftHandEnd', 'LThumb', 'LThumbEnd'),
        *('RightShoulder', 'RightArm', 'RightForeArm', 'RightHand'),
        *('RightFingerBase', 'RightHandIndex1', 'RightHandEnd', 'RThumb', 'RThumbEnd'),
    ),
    parents=(
        *(-1, 0, 1, 2, 3, 4, 5),
        *(0, 7, 8, 9, 10, 11),
        *(0, 13, 14, 15, 16, 17, 18),
        *(15, 20, 21, 22, 23, 24, 25, 23, 27),
        *(15, 29, 30, 31, 32, 33, 34, 32, 36),
    ),
    offsets=tuple(tuple(70 * value for value in offset) for offset in _CMU_OFFSETS),
    forecast_joints=(
        *(3, 4, 5, 6, 9, 10, 11, 12, 14, 15, 17, 18, 19),
        *(21, 22, 23, 25, 26, 28, 30, 31, 32, 34, 35, 37),
    ),
    repeats={16: 15, 20: 15, 24: 23, 27: 23, 29: 15, 33: 32, 36: 32},
)

SKELETONS = {skeleton.name: skeleton for skeleton in (HUMAN36M, CMU)}
