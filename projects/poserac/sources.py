"""Inputs of the inferencer: arrays of poses, and videos with poses beside them or to be found."""

import logging
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from projects.keypoints import KeypointLayout
from projects.pose_finder import PoseFinder
from projects.poserac.poses import arrange_poses, read_poses
from projects.video import VIDEO_ENDINGS, video_length_and_rate


class Input(NamedTuple):
    """What is given."""

    path: Path
    """Of a video or an ``.npy`` array; of an array in memory its name."""
    array: np.ndarray | None = None


class Source(NamedTuple):
    """What was read of an input."""

    path: str
    """Of an array in memory its name."""
    poses: np.ndarray | None = None
    """(T, P, J, D) as stored, not normalised; None if it cannot be read."""
    frame_rate: float | None = None
    video: str | None = None
    """What its poses are drawn over."""
    error: str | None = None
    stems: tuple[str, ...] = ()
    """Names of the drawings of each of its P people, which no other person of a call has."""


def read_source(
    given: Input,
    layout: KeypointLayout,
    dims: int,
    poses_dir: str | None = None,
    finder: PoseFinder | None = None,
) -> Source:
    """Read the poses of an input.

    Args:
        given: An array of poses, in memory or ``.npy``, or a video.
        layout: Of the keypoints.
        dims: Coordinates of a joint.
        poses_dir: Folder of the videos' poses; that of the video if None.
        finder: What finds the poses of a video that has none stored; nothing does if None.

    Raises:
        FileNotFoundError: If the input is missing, or a video's poses are.
        ValueError: If it is no such input, or cannot be read.
    """
    path = given.path
    if given.array is not None:
        return Source(str(path), arrange_poses(given.array, str(path), layout, dims))
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such video or array of poses')
    if path.suffix.lower() == '.npy':
        return Source(str(path), read_poses(path, layout, dims))
    if path.suffix.lower() not in VIDEO_ENDINGS:
        raise ValueError(
            f'{path}: ends in {path.suffix!r}, expected .npy or a video {VIDEO_ENDINGS}'
        )
    stored = _stored_poses(path, poses_dir)
    if stored.is_file():
        poses = read_poses(stored, layout, dims)
    elif finder is None:
        raise FileNotFoundError(
            f'{path}: has no poses {stored}; set backend=mmpose or backend=mediapipe to find them'
        )
    else:
        poses = finder(path)
    frames, rate = video_length_and_rate(path)
    if frames and abs(frames - len(poses)) > max(2, frames // 50):
        text = f'{path}: has {frames} frames, its poses {len(poses)}: the drawing may not fit'
        print_log(text, logger='current', level=logging.WARNING)
    return Source(str(path), poses, rate, str(path))


def lacks_poses(path: Path, poses_dir: str | None = None) -> bool:
    """Whether an input is a video whose poses are not stored.

    Args:
        path: The input's.
        poses_dir: As in :func:`read_source`.
    """
    is_video = path.suffix.lower() in VIDEO_ENDINGS and path.is_file()
    return is_video and not _stored_poses(path, poses_dir).is_file()


def drawing_stems(source: Source, name: str, taken: set[str]) -> tuple[str, ...]:
    """Names of the drawings of an input's people: its name, with a number where that is taken.

    Args:
        source: The input.
        name: What to name them after.
        taken: Names of earlier drawings.

    Returns:
        P names, none of them taken.
    """
    people = 0 if source.poses is None else source.poses.shape[1]
    for copy in count(1):
        free = name if copy == 1 else f'{name}_{copy}'
        stems = (free,) if people == 1 else tuple(f'{free}_person{k}' for k in range(people))
        if taken.isdisjoint(stems):
            return stems


def _stored_poses(path: Path, poses_dir: str | None) -> Path:
    return Path(poses_dir or path.parent, f'{path.stem}.npy')
