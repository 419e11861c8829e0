"""Reading the frames of videos."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np


def video_length_and_rate(path: str | Path) -> tuple[int | None, float | None]:
    """Number of frames and frames a second that a video claims, each None if it does not tell.

    Args:
        path: The video.
    """
    capture = cv2.VideoCapture(str(path))
    frames, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return (int(frames) if frames > 0 else None), (float(rate) if 0 < rate < np.inf else None)


def video_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a video, pixels.

    Args:
        path: The video.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read.
    """
    height, width = next(video_frames(path, np.zeros(1, dtype=int))).shape[:2]
    return width, height


def video_frames(path: str | Path, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """Some frames of a video, as far as it has them.

    Args:
        path: The video.
        numbers: Which frames, from 0, rising.

    Yields:
        (height, width, 3) uint8 RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If not even the first of them can be read.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such video')
    capture = cv2.VideoCapture(str(path))
    try:
        at = 0
        for index, number in enumerate(numbers):
            while at < number and capture.grab():
                at += 1
            ok, picture = capture.read()
            if not ok and index == 0:
                raise ValueError(f'{path}: cannot be read as a video')
            if not ok:
                return
            at += 1
            yield cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
