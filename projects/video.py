"""Reading the frames of videos, and writing videos."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from projects.files import whole_file

VIDEO_ENDINGS = ('.avi', '.mkv', '.mov', '.mp4', '.mpg', '.webm')


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


def write_video(path: Path, drawings: Iterable[np.ndarray], frame_rate: float) -> None:
    """Write a video or an animation, whole or not at all.

    Args:
        path: Ends in ``.mp4`` or ``.gif``.
        drawings: Frames (height, width, 3) uint8, BGR, all of one size.
        frame_rate: Frames a second.

    Raises:
        ValueError: If the video cannot be written.
    """
    if path.suffix == '.gif':
        images = (Image.fromarray(drawn[..., ::-1]).quantize(255) for drawn in drawings)
        with whole_file(path) as partial:
            settings = dict(save_all=True, loop=0, duration=max(20, round(1000 / frame_rate)))
            next(images).save(partial, append_images=images, **settings)
        return
    writer = None
    with whole_file(path) as partial:
        try:
            for drawn in drawings:
                height, width = (side + side % 2 for side in drawn.shape[:2])  # as codecs want it
                if writer is None:
                    codec = cv2.VideoWriter_fourcc(*'mp4v')
                    writer = cv2.VideoWriter(str(partial), codec, frame_rate, (width, height))
                    if not writer.isOpened():
                        raise ValueError(f'{path}: this OpenCV cannot write MP4; draw a .gif')
                edges = (0, height - drawn.shape[0], 0, width - drawn.shape[1])
                writer.write(cv2.copyMakeBorder(drawn, *edges, cv2.BORDER_REPLICATE))
        finally:
            if writer is not None:
                writer.release()
