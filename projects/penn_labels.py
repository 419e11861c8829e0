"""Reading the label files of Penn Action, published or generated: joints, visibility, class, half.

A file is of one clip. Its fields are ``action``, ``pose`` (where the person faces), ``x``, ``y``
and ``visibility`` (T, 13), ``bbox`` (T, 4), ``dimensions`` (height, width, T), ``nframes`` and
``train`` (1 or -1). Pixels count from 1. A column that is named left holds the person's right side.
"""

from pathlib import Path

import numpy as np

from projects.keypoints import keypoint_layout
from projects.matlab import read_mat

CLASS_NAMES = (
    *('baseball_pitch', 'baseball_swing', 'bench_press', 'bowl', 'clean_and_jerk', 'golf_swing'),
    *('jump_rope', 'jumping_jacks', 'pullup', 'pushup', 'situp', 'squat', 'strum_guitar'),
    *('tennis_forehand', 'tennis_serve'),
)
"""The published classes, as the field ``action`` spells them."""

_NUM_JOINTS = keypoint_layout('penn').num_joints


def read_labels(path: str | Path) -> dict[str, np.ndarray]:
    """The fields of a label file of Penn Action, published or generated.

    Whole numbers of published files are uint8 or uint16. Two published files have a row less in
    ``bbox`` than in the others, so that its length is not checked.

    Args:
        path: The MATLAB file.

    Returns:
        Its fields, ``x``, ``y`` (T, 13) and ``bbox`` as float64, ``visibility`` (T, 13) as bool.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none of Penn Action's files; the message names it.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file')
    found = read_mat(path)
    fields = {name: value for name, value in found.items() if not name.startswith('__')}
    shape = np.shape(fields.get('x'))
    for name, expected in (
        *((name, (*shape[:1], _NUM_JOINTS)) for name in ('x', 'y', 'visibility')),
        ('dimensions', (1, 3)),
    ):
        array = np.asarray(fields.get(name, ()))
        if array.shape != expected or array.dtype.kind not in 'buif' or not array.size:
            raise ValueError(
                f"{path}: field '{name}' is {array.dtype} of shape {array.shape}, "
                f'expected numbers of shape {expected}'
            )
    for name in ('x', 'y', 'bbox'):
        if name in fields:
            fields[name] = fields[name].astype(np.float64)
    fields['visibility'] = fields['visibility'].astype(bool)
    return fields


def known_joints(x: np.ndarray, y: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Which joints of label files have a position.

    A joint that is hidden in the whole clip stands at MATLAB's pixel (1, 1), scaled as the picture
    was. In two published files all joints of a single frame stand there.

    Args:
        x: (T, 13) pixels.
        y: (T, 13) pixels.
        visible: (T, 13) bool.

    Returns:
        (T, 13) bool.
    """
    corner = ~visible & (x == y) & (x < 4)
    return np.isfinite(x) & np.isfinite(y) & ~corner
