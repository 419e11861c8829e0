"""Inputs of the inferencer: arrays of poses, and videos with poses beside them or to be found."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log

from projects.keypoints import KeypointLayout
from projects.poserac.poses import read_poses
from projects.poserac.video import video_length_and_rate

VIDEO_ENDINGS = ('.avi', '.mkv', '.mov', '.mp4', '.mpg', '.webm')


class Source(NamedTuple):
    """One input."""

    path: str
    name: str
    """Of its drawings; no two inputs of a call have the same."""
    poses: np.ndarray | None = None
    """(T, P, J, D) as stored, not normalised; None if it cannot be read."""
    frame_rate: float | None = None
    video: str | None = None
    """What its poses are drawn over."""
    error: str | None = None


def read_source(
    path: Path,
    name: str,
    layout: KeypointLayout,
    dims: int,
    poses_dir: str | None = None,
    backend: str | None = None,
    extraction: dict[str, Any] | None = None,
) -> Source:
    """Read the poses of an input.

    Args:
        path: An ``.npy`` array of poses, or a video.
        name: Of its drawings.
        layout: Of the keypoints.
        dims: Coordinates of a joint.
        poses_dir: Folder of the videos' poses; that of the video if None.
        backend: What finds the poses of videos that have none stored; nothing does if None.
        extraction: Further options of :func:`projects.poserac.pose_extraction.extract_video`.

    Raises:
        FileNotFoundError: If the input is missing, or a video's poses are.
        ValueError: If it is no such input, or cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such video or array of poses')
    if path.suffix.lower() == '.npy':
        return Source(str(path), name, read_poses(path, layout, dims))
    if path.suffix.lower() not in VIDEO_ENDINGS:
        raise ValueError(
            f'{path}: ends in {path.suffix!r}, expected .npy or a video {VIDEO_ENDINGS}'
        )
    stored = Path(poses_dir or path.parent, f'{path.stem}.npy')
    if stored.is_file():
        poses = read_poses(stored, layout, dims)
    elif backend is None:
        raise FileNotFoundError(
            f'{path}: has no poses {stored}; set backend=mmpose or backend=mediapipe to find them'
        )
    else:
        from projects.poserac.pose_extraction import extract_video  # loads a pose estimator

        poses = extract_video(path, backend=backend, **(extraction or {}))
    frames, rate = video_length_and_rate(path)
    if frames and abs(frames - len(poses)) > max(2, frames // 50):
        text = f'{path}: has {frames} frames, its poses {len(poses)}: the drawing may not fit'
        print_log(text, logger='current', level=logging.WARNING)
    return Source(str(path), name, poses, rate, str(path))
