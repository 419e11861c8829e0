"""Reader of the joints of Leeds Sports Pose and of its extended training set.

S. Johnson and M. Everingham, BMVC 2010 and CVPR 2011. Both keep one person a photograph in a MATLAB
file beside the folder of photographs, in two forms.
"""

from pathlib import Path

import numpy as np

from projects.matlab import read_mat


def read_joints(path: Path) -> np.ndarray:
    """Joints of all photographs, those of number n in row n - 1.

    - Leeds Sports Pose: (3, 14, N), the third row tells which joints are hidden; all have a place.
    - Extended: (14, 3, N), the third column tells which joints are visible. The others have no
      place, whatever numbers stand there.

    Args:
        path: MATLAB file with the variable ``joints``.

    Returns:
        (N, 14, 3) in the order of the layout ``lsp``: x and y in pixels, and v as COCO has it: 0
        without a place (then x and y are 0), 1 hidden, 2 visible.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold that; the message names file, joint and value.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file, expected joints.mat beside images/')
    joints = read_mat(path, ['joints']).get('joints')
    shape = None if joints is None else joints.shape
    extended = shape is not None and shape[:2] == (14, 3)
    if shape is None or len(shape) != 3 or shape[:2] not in ((14, 3), (3, 14)) or not shape[2]:
        found = 'no variable joints' if shape is None else f'joints of shape {shape}'
        raise ValueError(
            f'{path}: found {found}, expected joints of shape (14, 3, N) or (3, 14, N)'
        )
    if joints.dtype.kind not in 'biuf':
        raise ValueError(f'{path}: joints are of type {joints.dtype}, expected numbers')
    joints = joints.transpose((2, 0, 1) if extended else (2, 1, 0)).astype(float)  # (N, 14, 3)
    _refuse(path, joints, ~np.isin(joints[..., 2], (0, 1)), 'a flag of 0 or 1')
    flag = joints[..., 2] > 0
    joints[..., 2] = np.where(flag, 2, 0) if extended else np.where(flag, 1, 2)
    joints[joints[..., 2] == 0] = 0
    _refuse(path, joints, ~np.isfinite(joints).all(-1), 'finite numbers')
    return joints


def picture_path(folder: str | Path, number: int) -> Path:
    """The photograph of a number, which need not exist.

    Args:
        folder: The folder of photographs.
        number: From 1.

    Returns:
        ``im00001.jpg`` as the extended set names it, or ``im0001.jpg`` as the first one does where
        only that exists.
    """
    extended, original = (Path(folder, f'im{number:0{digits}d}.jpg') for digits in (5, 4))
    return original if not extended.is_file() and original.is_file() else extended


def _refuse(path: Path, joints: np.ndarray, bad: np.ndarray, expected: str) -> None:
    """Raise if a joint (N, 14) is bad, naming the first."""
    if bad.any():
        index, joint = np.argwhere(bad)[0]
        raise ValueError(
            f'{path}: joint {joint} of photograph {index + 1} is {joints[index, joint].tolist()}, '
            f'expected {expected}'
        )
