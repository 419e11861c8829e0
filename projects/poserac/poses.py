"""Poses as arrays: reading them, which are missing, and PoseRAC's normalisation."""

from pathlib import Path

import numpy as np

from projects.keypoints import KeypointLayout


def min_max_normalize(poses: np.ndarray) -> np.ndarray:
    """Scale each axis of each pose to [0, 1] over its keypoints, as the original does.

    A keypoint counts if all of its coordinates are finite. One that does not goes to the middle,
    0.5, of a pose that has others. An axis on which a pose has no extent is 0 throughout, for
    there is nothing to divide by. A pose without any keypoint is NaN. Normalising twice changes
    nothing.

    Args:
        poses: (..., J, D) coordinates of any unit, not changed.

    Returns:
        (..., J, D) float32.
    """
    poses = np.asarray(poses, dtype=np.float64)  # the extent of float32 values may exceed float32
    low, high = pose_bounds(poses)
    extent = high - low  # (..., 1, D), NaN without a keypoint
    with np.errstate(invalid='ignore'):
        shares = (poses - low) / np.where(extent > 0, extent, 1)
    seen = np.isfinite(poses).all(axis=-1, keepdims=True)  # (..., J, 1)
    # on a flat axis a missing keypoint is 0, too: 0.5 would give the axis an extent
    shares = np.where(seen, shares, np.where(extent > 0, 0.5, 0.0))
    return np.where(np.isnan(extent), np.nan, shares).astype(np.float32)


def missing_poses(poses: np.ndarray) -> np.ndarray:
    """Which poses have no keypoint whose coordinates are all finite.

    Args:
        poses: (..., J, D).

    Returns:
        (...) bool, True = the pose is missing.
    """
    return ~np.isfinite(poses).all(axis=-1).any(axis=-1)


def pose_bounds(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest coordinates of each pose over its finite keypoints.

    Args:
        poses: (..., J, D).

    Returns:
        Two arrays (..., 1, D) in the unit of the poses, NaN where a pose is missing.
    """
    seen = np.isfinite(poses).all(axis=-1, keepdims=True)  # (..., J, 1)
    low = np.where(seen, poses, np.inf).min(axis=-2, keepdims=True)  # (..., 1, D)
    high = np.where(seen, poses, -np.inf).max(axis=-2, keepdims=True)
    missing = ~seen.any(axis=-2, keepdims=True)  # (..., 1, 1)
    return np.where(missing, np.nan, low), np.where(missing, np.nan, high)


def read_poses(path: str | Path, layout: KeypointLayout, dims: int = 3) -> np.ndarray:
    """Read the poses of a video.

    A pose that is zero throughout is the original's way to write that there is none; it becomes
    NaN, as do infinite coordinates.

    Args:
        path: ``.npy`` file of (T, J, D), (T, J * D) or (T, P, J, D) numbers, P people, with D = 2
            or 3.
        layout: Its J joints.
        dims: How many coordinates of each joint to keep: 3, or 2 to leave out a third.

    Returns:
        (T, P, J, dims) float32, NaN where a keypoint is missing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no array of that kind; the message names the file and what was found.
    """
    return arrange_poses(_load(path), str(path), layout, dims)


def arrange_poses(
    array: np.ndarray, name: str, layout: KeypointLayout, dims: int = 3
) -> np.ndarray:
    """Poses in any of the forms that :func:`read_poses` reads, in its form.

    Args:
        array: (T, J, D), (T, J * D) or (T, P, J, D); left as it is.
        name: Of the array, for messages.
        layout: As in :func:`read_poses`.
        dims: As in :func:`read_poses`.

    Returns:
        (T, P, J, D) float32 of its own, NaN where a pose or a keypoint is missing.

    Raises:
        ValueError: If it is no array of that kind; the message has its name and what was found.
    """
    shape = _full_shape(name, array, layout, dims)
    with np.errstate(over='ignore'):
        poses = array.reshape(shape).astype(np.float32)  # a copy
    poses[~np.isfinite(poses) | ~poses.any(axis=(-2, -1), keepdims=True)] = np.nan
    return np.ascontiguousarray(poses[..., :dims])


def pose_file_size(path: str | Path, layout: KeypointLayout, dims: int = 3) -> tuple[int, int]:
    """Numbers of frames and people in a file of poses, without reading its content.

    Args:
        path: As in :func:`read_poses`.
        layout: As in :func:`read_poses`.
        dims: As in :func:`read_poses`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As :func:`read_poses` raises it.
    """
    return _full_shape(path, _load(path, mmap_mode='r'), layout, dims)[:2]


def check_dims(dims: int) -> None:
    """Refuse a number of coordinates other than 2 or 3.

    Args:
        dims: Coordinates of a joint.

    Raises:
        ValueError: If it is another.
    """
    if dims not in (2, 3):
        raise ValueError(f'dims is {dims!r}, expected 2 or 3')


def _load(path: str | Path, mmap_mode: str | None = None) -> np.ndarray:
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such file of poses')
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:  # not numpy's, damaged, or cut off
        raise ValueError(f'{path}: is no array of numbers that can be read ({error})') from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f'{path}: is an archive, expected a single array (.npy)')
    return array


def _full_shape(
    path: str | Path, array: np.ndarray, layout: KeypointLayout, dims: int
) -> tuple[int, int, int, int]:
    """(T, P, J, D) of an array of one of the forms that :func:`read_poses` takes."""
    check_dims(dims)
    joints, shape = layout.num_joints, array.shape
    if array.dtype.kind not in 'fiu':
        raise ValueError(f'{path}: holds {array.dtype}, expected numbers')
    if shape and not shape[0]:
        raise ValueError(f'{path}: holds no frames, its shape is {shape}')
    for depth in range(dims, 4):
        if shape[1:] in ((joints, depth), (joints * depth,)):
            return shape[0], 1, joints, depth
        if len(shape) == 4 and shape[2:] == (joints, depth):
            return shape
    size = f'{dims} (or 3)' if dims == 2 else '3'
    raise ValueError(
        f'{path}: has shape {shape}, expected (T, J, D), (T, J * D) or (T, P, J, D) with '
        f'J = {joints} joints of layout {layout.name!r} and D = {size}'
    )
