"""Keypoint layouts: which joint stands where in an array of poses, and what a drawing connects.

The orders are those of the data sets and pose estimators that publish them: MediaPipe BlazePose,
COCO, Penn Action, Leeds Sports Pose, NTU RGB+D (Kinect v2).
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class KeypointLayout:
    """Names, order and connections of the keypoints of a pose.

    Args:
        name: Name of the layout.
        joint_names: J names; a side is said as ``left`` or ``right`` in the name.
        limbs: Pairs of joint indices that a drawing connects.
    """

    name: str
    joint_names: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]

    @property
    def num_joints(self) -> int:
        """Number of joints J."""
        return len(self.joint_names)

    @cached_property
    def flip_indices(self) -> tuple[int, ...]:
        """Index of each joint's mirror image; a central joint's is its own."""
        swapped = (
            name.replace('left', '\0').replace('right', 'left').replace('\0', 'right')
            for name in self.joint_names
        )
        return tuple(self.joint_names.index(name) for name in swapped)


def _sides(*names: str) -> list[str]:
    """Each name for the left side, then the right."""
    return [f'{side}_{name}' for name in names for side in ('left', 'right')]


def _layout(name: str, joint_names: list[str], limbs: str) -> KeypointLayout:
    """A layout whose limbs are chains of joint names, ``*_x`` standing for both sides' ``x``."""
    pairs: list[tuple[int, int]] = []
    for chain in limbs.split(','):
        sides = ('left', 'right') if '*' in chain else ('',)
        for side in sides:
            joints = [joint_names.index(word.replace('*', side)) for word in chain.split()]
            pairs += zip(joints[:-1], joints[1:], strict=True)
    return KeypointLayout(name, tuple(joint_names), tuple(pairs))


_ARMS_AND_LEGS = (
    'left_shoulder right_shoulder, left_hip right_hip, *_shoulder *_hip,'
    '*_shoulder *_elbow *_wrist, *_hip *_knee *_ankle'
)
_BODY = _sides('shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle')
LAYOUTS = {
    layout.name: layout
    for layout in (
        _layout(
            'blazepose',
            [
                'nose',
                *(
                    f'{side}_{part}'
                    for side in ('left', 'right')
                    for part in ('eye_inner', 'eye', 'eye_outer')
                ),
                *_sides('ear'),
                'mouth_left',
                'mouth_right',
                *_sides('shoulder', 'elbow', 'wrist', 'pinky', 'index', 'thumb'),
                *_sides('hip', 'knee', 'ankle', 'heel', 'foot_index'),
            ],
            f'{_ARMS_AND_LEGS}, nose *_eye_inner *_eye *_eye_outer *_ear, mouth_left mouth_right,'
            '*_wrist *_pinky *_index *_wrist *_thumb, *_ankle *_heel *_foot_index *_ankle',
        ),
        _layout(
            'coco',
            ['nose', *_sides('eye', 'ear'), *_BODY],
            f'{_ARMS_AND_LEGS}, nose *_eye *_ear *_shoulder',
        ),
        _layout(
            'penn',
            ['head', *_BODY],
            f'{_ARMS_AND_LEGS}, head *_shoulder',
        ),
        _layout(
            'lsp',
            [
                *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle'),
                *('right_wrist', 'right_elbow', 'right_shoulder'),
                *('left_shoulder', 'left_elbow', 'left_wrist', 'neck', 'head_top'),
            ],
            'neck head_top, neck *_shoulder *_elbow *_wrist, left_hip right_hip,'
            '*_shoulder *_hip *_knee *_ankle',
        ),
        _layout(
            'ntu',
            [
                'spine_base',
                'spine_mid',
                'neck',
                'head',
                *(
                    f'{side}_{part}'
                    for side in ('left', 'right')
                    for part in ('shoulder', 'elbow', 'wrist', 'hand')
                ),
                *(
                    f'{side}_{part}'
                    for side in ('left', 'right')
                    for part in ('hip', 'knee', 'ankle', 'foot')
                ),
                'spine_shoulder',
                'left_hand_tip',
                'left_thumb',
                'right_hand_tip',
                'right_thumb',
            ],
            'spine_base spine_mid spine_shoulder neck head,'
            'spine_shoulder *_shoulder *_elbow *_wrist *_hand *_hand_tip, *_wrist *_thumb,'
            'spine_base *_hip *_knee *_ankle *_foot',
        ),
    )
}
"""The layouts by name."""


def keypoint_layout(name: str) -> KeypointLayout:
    """The layout of a name.

    Args:
        name: One of ``LAYOUTS``.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in LAYOUTS:
        raise ValueError(f'layout {name!r} is not one of {sorted(LAYOUTS)}')
    return LAYOUTS[name]
