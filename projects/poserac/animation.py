"""Animations of a count: the skeleton, or the video below it, beside the growing number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from projects.files import whole_file
from projects.keypoints import KeypointLayout
from projects.poserac.drawing import (
    COUNTED,
    FAINT,
    INK,
    Skeleton,
    check_drawing,
    pose_colour,
    pose_limits,
    score_panel,
    time_axis,
)
from projects.poserac.poses import missing_poses
from projects.poserac.trace import CountTrace
from projects.video import video_frames, video_size, write_video

MAX_FRAMES = {'.gif': 200, '.mp4': 900}
# pixels of a GIF; of an MP4, whose sides have to be even, 1.5 times as many
WIDTH, PICTURE, PANEL, HEADING = 800, 350, 200, 42


def draw_counts(
    path: str,
    poses: np.ndarray,
    trace: CountTrace,
    layout: KeypointLayout,
    class_name: str = '',
    title: str = '',
    frame_rate: float | None = None,
    video: str | None = None,
    max_frames: int | None = None,
    y_up: bool = False,
) -> None:
    """Write an animation of a count.

    Above, the skeleton moves, orange where its score is that of salient pose I and blue where it is
    that of II, over the video if there is one; beside it stands the count. Below, a cursor runs
    along the scores, triggers and repetitions. Of a long sequence every n-th frame is shown,
    faster than it happened.

    Args:
        path: File to write, ending in ``.gif`` or ``.mp4``; written under a temporary name and
            renamed.
        poses: (T, J, D) keypoints, not normalised, NaN where missing; with a video, in its pixels.
        trace: Of the class that is counted.
        layout: Of the keypoints.
        class_name: What is counted.
        title: Heading.
        frame_rate: Frames a second of the poses; if None the time is in frames, 25 a second.
        video: Video whose frames the poses are of; the skeleton alone is drawn if None.
        max_frames: At most so many frames are drawn; if None 200 of a GIF and 900 of an MP4.
        y_up: True = y grows upwards, as in Kinect's coordinates; else downwards, as in images.

    Raises:
        FileNotFoundError: If there is no such video.
        ValueError: If the file's ending is another, poses and scores differ in length, there are
            none, an option is out of its range, or the video cannot be read.
    """
    check_drawing(path, tuple(MAX_FRAMES), poses, trace, layout)
    if not len(poses):
        raise ValueError(f'{path}: there are no frames to draw')
    if frame_rate is not None and not frame_rate > 0:
        raise ValueError(f'frame_rate is {frame_rate!r}, expected a positive number')
    ending = Path(path).suffix.lower()
    if max_frames is None:
        max_frames = MAX_FRAMES[ending]
    if max_frames < 1:
        raise ValueError(f'max_frames is {max_frames}, expected 1 or more')
    speed = frame_rate or 25.0
    stride = -(-len(poses) // max_frames)
    shown = np.arange(0, len(poses), stride)
    rate = max(speed / stride, min(speed, 12.0))  # long ones run fast, not by jerks
    pictures = None if video is None else video_frames(video, shown)
    size = None if video is None else video_size(video)
    stage = _Stage(
        poses,
        trace,
        layout,
        class_name,
        title,
        frame_rate,
        size,
        y_up,
        1 if ending == '.gif' else 1.5,
    )
    drawings = (stage.draw(frame, picture) for frame, picture in _beside(shown, pictures))
    if ending == '.gif':
        _write_gif(path, drawings, rate, photographs=video is not None)
    else:
        write_video(Path(path), (drawn[..., ::-1] for drawn in drawings), rate)


class _Stage:
    """The drawing; what stays the same is drawn once, the rest is put on a copy of it."""

    def __init__(
        self,
        poses: np.ndarray,
        trace: CountTrace,
        layout: KeypointLayout,
        class_name: str,
        title: str,
        frame_rate: float | None,
        size: tuple[int, int] | None,
        y_up: bool,
        zoom: float,
    ) -> None:
        self.poses, self.trace = np.asarray(poses, dtype=float), trace
        self.missing = missing_poses(self.poses)
        self.times, self.unit = time_axis(len(poses), frame_rate)
        self.digits = '.0f' if frame_rate is None else '.1f'
        # frames that the number stays highlighted when it has grown
        self.hold = max(1, round(0.35 * (frame_rate or 25)))
        low, high = pose_limits(self.poses)
        if size is not None:
            low, high = np.zeros(2) - 0.5, np.array(size) - 0.5
        width, height = high - low
        scale = min(PICTURE / height, 0.68 * WIDTH / width)
        box = np.array([scale * width, scale * height])  # pixels of a GIF
        total = np.array([WIDTH, HEADING + PICTURE + PANEL])
        self.figure = Figure(figsize=total / 80, dpi=80 * zoom, facecolor='white')
        self.canvas = FigureCanvasAgg(self.figure)
        left = max(24.0, (0.68 * WIDTH - box[0]) / 2)
        bottom = PANEL + (PICTURE - box[1]) / 2
        self.picture = self.figure.add_axes([*(np.array([left, bottom]) / total), *(box / total)])
        up = y_up and size is None
        self.picture.set(xlim=(low[0], high[0]), ylim=(low[1], high[1])[:: 1 if up else -1])
        self.picture.set_axis_off()
        self.body = Skeleton(self.picture, layout, width=3.5, outline=size is not None)
        axes = self.figure.add_axes([0.07, 62 / total[1], 0.81, 118 / total[1]])
        self.marks = score_panel(axes, trace, self.times, self.unit, ahead=True)
        style = dict(animated=True)
        thin = np.clip(1500 / len(poses), 0.35, 1)
        (self.past,) = axes.plot([], [], color=INK, lw=2 * thin, **style)
        self.cursor = axes.axvline(0, color='black', lw=1.2, **style)
        (self.dot,) = axes.plot([], [], 'o', ms=8, mec='white', mew=1.2, **style)
        text, middle = self.figure.text, (PANEL + PICTURE / 2) / total[1]
        name = dict(color=INK, va='center', parse_math=False)  # a $ in a name is a $
        text(24 / WIDTH, 1 - 0.55 * HEADING / total[1], title, size=11, **name)
        size_of_name = min(22, 20 * 16 / max(len(class_name), 1))
        text(0.85, middle - 0.13, class_name, size=size_of_name, ha='center', **name)
        style = dict(ha='center', va='center', animated=True)
        self.number = text(0.85, middle + 0.06, '', size=96, fontweight='bold', **style)
        self.clock = text(0.85, middle - 0.2, '', size=11, color='#6b7280', **style)
        self.canvas.draw()
        self.still = self.canvas.copy_from_bbox(self.figure.bbox)
        corners = self.picture.get_window_extent()
        rows = self.canvas.get_width_height()[1]
        self.pixels = (
            slice(round(rows - corners.y1), round(rows - corners.y0)),
            slice(round(corners.x0), round(corners.x1)),
        )

    def draw(self, frame: int, picture: np.ndarray | None) -> np.ndarray:
        """Draw a frame, over a picture (height, width, 3) RGB: (height', width', 3) uint8 RGB."""
        self.canvas.restore_region(self.still)
        pixels = np.asarray(self.canvas.buffer_rgba())  # drawn into in place
        if picture is not None:
            rows, columns = self.pixels
            size = (columns.stop - columns.start, rows.stop - rows.start)
            pixels[rows, columns, :3] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        score = self.trace.smoothed[frame]
        colour = pose_colour(score)
        if not self.missing[frame]:
            self.body.show(self.poses[frame], colour)
            for artist in self.body.artists:
                self.picture.draw_artist(artist)
        counted = self.trace.counted
        count = int(np.searchsorted(counted, frame, side='right'))
        fresh = count > 0 and frame - counted[count - 1] < self.hold
        self.number.set(text=str(count), color=COUNTED if fresh else INK)
        self.number.set_fontsize(96 if count < 100 else 68)
        clock = f'{self.times[frame]:{self.digits}} of {self.times[-1]:{self.digits}} {self.unit}'
        self.clock.set_text(f'no pose, {clock}' if self.missing[frame] else clock)
        self.past.set_data(self.times[: frame + 1], self.trace.smoothed[: frame + 1])
        self.cursor.set_xdata([self.times[frame]] * 2)
        self.dot.set_data([self.times[frame]], [score])
        self.dot.set_markerfacecolor(FAINT if self.missing[frame] else tuple(colour))
        for artist in (self.past, *self.marks, self.cursor, self.dot):
            artist.axes.draw_artist(artist)
        for artist in (self.number, self.clock):
            self.figure.draw_artist(artist)
        return pixels[..., :3].copy()


def _beside(shown: np.ndarray, pictures: Iterator[np.ndarray] | None) -> Iterator[tuple[int, Any]]:
    """Each frame with its picture; the last picture stays where a video ends before the poses."""
    picture = None
    for frame in shown:
        picture = picture if pictures is None else next(pictures, picture)
        yield frame, picture


def _write_gif(path: str, drawings: Iterator[np.ndarray], rate: float, photographs: bool) -> None:
    """Write a GIF that stays on its last frame for a second."""
    first = Image.fromarray(next(drawings))
    palette = None if photographs else first.quantize(255)
    images = [_indexed(first, palette)]
    images += [_indexed(Image.fromarray(drawn), palette) for drawn in drawings]
    duration = max(20, round(1000 / rate))
    durations = [duration] * (len(images) - 1) + [duration + 1000]
    with whole_file(path) as partial:
        images[0].save(partial, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _indexed(image: Image.Image, palette: Image.Image | None) -> Image.Image:
    if palette is None:
        return image.quantize(255)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)
