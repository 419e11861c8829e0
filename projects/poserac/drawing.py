"""Drawing what a count comes from: scores over time, triggers, repetitions, skeletons."""

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from projects.files import whole_file
from projects.keypoints import KeypointLayout
from projects.poserac.poses import missing_poses
from projects.poserac.trace import CountTrace

SALIENT_1, SALIENT_2, COUNTED = '#d95f02', '#2171b5', '#1b7837'
INK, FAINT, MISSING = '#2b2f36', '#aeb5bf', ['#e4e6ea']
TRUE = ['#b8dfb4', '#7fbf7b']  # in turn
_DETAILS = ('eye', 'ear', 'mouth', 'nose', 'pinky', 'index', 'thumb', 'tip', 'heel')


class Skeleton:
    """The limbs of one person in an axes, the left side lighter, small parts thinner.

    Args:
        axes: Where to draw.
        layout: Which keypoints a limb connects.
        width: Width of a limb, points.
        outline: Draw a light edge around the limbs, which shows them on a photograph.
    """

    def __init__(
        self, axes: Any, layout: KeypointLayout, width: float = 3.0, outline: bool = False
    ) -> None:
        names = [[layout.joint_names[joint] for joint in limb] for limb in layout.limbs]
        self.limbs = np.array(layout.limbs)
        small = [any(part in name for part in _DETAILS for name in pair) for pair in names]
        left = [any('left' in name for name in pair) for pair in names]
        left = np.array(left) & ~np.array([any('right' in name for name in pair) for pair in names])
        widths = np.where(small, 0.4 * width, width)
        self.lightness = np.where(left, 0.45, 0.0)[:, None]
        style = dict(capstyle='round', animated=True)
        self.artists = [LineCollection([], linewidths=widths, **style)]
        if outline:
            edge = LineCollection([], linewidths=widths + 2.5, colors='white', alpha=0.8, **style)
            self.artists.insert(0, edge)
        for artist in self.artists:
            axes.add_collection(artist, autolim=False)

    def show(self, pose: np.ndarray, colour: Any) -> None:
        """Show a pose.

        Args:
            pose: (J, 2 or more), NaN where a keypoint is missing: its limbs are left out.
            colour: Of the right side.
        """
        lines = np.asarray(pose)[self.limbs, :2]  # (limbs, 2, 2)
        shown = np.isfinite(lines).all(axis=(1, 2))
        for artist in self.artists:
            artist.set_segments([line for line in np.where(shown[:, None, None], lines, np.nan)])
        colours = np.asarray(to_rgb(colour)) * (1 - self.lightness) + self.lightness
        self.artists[-1].set_color(colours)


def pose_colour(score: float) -> np.ndarray:
    """A colour (3,) between those of salient pose II, at score 0, and I, at score 1.

    Args:
        score: In [0, 1].
    """
    first, second = np.array(to_rgb(SALIENT_1)), np.array(to_rgb(SALIENT_2))
    middle = np.array(to_rgb('#6b6470'))
    share = np.clip(score, 0, 1)
    if share < 0.5:
        return second + (middle - second) * 2 * share
    return middle + (first - middle) * (2 * share - 1)


def pose_limits(poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest x and y that a drawing has to show, stray keypoints left out.

    Args:
        poses: (T, J, 2 or more), NaN where missing.

    Returns:
        Two (2,) arrays, with a margin; no side is 0.
    """
    points = np.asarray(poses, dtype=float)[..., :2].reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.zeros(2), np.ones(2)
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    reach = max(float((high - low).max()), 1e-6)
    middle, half = (low + high) / 2, np.maximum(high - low, 0.2 * reach) / 2 + 0.08 * reach
    return middle - half, middle + half


def score_panel(
    axes: Any,
    trace: CountTrace,
    times: np.ndarray,
    unit: str,
    repetitions: np.ndarray | None = None,
    ahead: bool = False,
) -> list[Any]:
    """Draw scores, thresholds, triggers and counted repetitions over time.

    Args:
        axes: Where to draw.
        trace: Of the class that is counted.
        times: (T,) time of each frame, evenly from 0.
        unit: What the times are in.
        repetitions: (R, 2) true first and last frames, or None if unknown.
        ahead: Draw the smoothed score faintly, for what lies ahead of an animation's cursor.

    Returns:
        What belongs in front of a line that is drawn later: the triggers' marks.
    """
    step = times[1] - times[0] if len(times) > 1 else 1.0
    last = times[-1] if len(times) else 0.0

    def at(frames: np.ndarray) -> np.ndarray:
        return step * np.asarray(frames, dtype=float)

    handles, marks = [], []
    upright = axes.get_xaxis_transform()  # x in time, y from 0 to 1
    ends = np.flatnonzero(np.diff(trace.missing, prepend=False, append=False)).reshape(-1, 2)
    true = np.reshape([] if repetitions is None else repetitions, (-1, 2))
    for frames, top, colours, label in (
        (ends - 0.5, 1.0, MISSING, 'no pose'),
        (true, 0.045, TRUE, 'true repetitions'),
    ):
        start, end = at(frames).T
        ranges = list(zip(start, end - start, strict=True))
        style = dict(transform=upright, lw=0, facecolors=colours, label=label)
        handles += [axes.broken_barh(ranges, (0, top), **style)] if ranges else []
    beside = axes.get_yaxis_transform()
    for level, colour, what, style in (
        (trace.enter_threshold, SALIENT_1, 'enter I', '--'),
        (trace.exit_threshold, SALIENT_1, 'exit I', ':'),
        (1 - trace.enter_threshold, SALIENT_2, 'enter II', '--'),
        (1 - trace.exit_threshold, SALIENT_2, 'exit II', ':'),
    ):
        axes.axhline(level, color=colour, lw=1, ls=style, alpha=0.75)
        text = f' {what} {level:.2f}'
        axes.text(1, level, text, color=colour, fontsize=8, va='center', transform=beside)
    thin = np.clip(1500 / max(len(times), 1), 0.35, 1)  # of long sequences, dense curves
    handles += axes.plot(times, trace.scores, color=FAINT, lw=0.9 * thin, label='score')
    (line,) = axes.plot(times, trace.smoothed, color=INK, lw=2 * thin, label='smoothed')
    handles.append(line)
    if ahead:
        line.set(alpha=0.25)
    for frames, marker, colour, label in (
        (trace.fired_1, 'v', SALIENT_1, 'I fires'),
        (trace.fired_2, '^', SALIENT_2, 'II fires'),
    ):
        style = dict(color=colour, ms=6.5 * np.sqrt(thin), mew=0, label=label)
        marks += axes.plot(at(frames), trace.smoothed[frames], marker, **style)
        handles += marks[-1:] if len(frames) else []
    places = 20 if ahead else 40  # an animation is narrower
    every = 1 + len(trace.counted) // places  # numbers that do not cover one another
    moments = at(trace.counted)
    style = dict(color=COUNTED, lw=1.2 * thin, alpha=0.55, label='counted')
    lines = axes.vlines(moments, 0, 1, transform=upright, **style)
    handles += [lines] if len(moments) else []
    for number in range(every, len(moments) + 1, every):
        style = dict(color=COUNTED, fontsize=9, fontweight='bold', ha='center', va='bottom')
        axes.text(moments[number - 1], 1.01, str(number), transform=upright, **style)
    axes.set(ylim=(-0.06, 1.04), ylabel='score', yticks=[0, 0.5, 1])
    axes.set_xlabel(unit, loc='left')
    axes.set_xlim(at(0) - step / 2 if len(times) else 0, last + step / 2)
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(
        handles=handles,
        loc='upper right',
        bbox_to_anchor=(1.0, -0.16),
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.1,
        borderaxespad=0,
    )
    return marks


def time_axis(num_frames: int, frame_rate: float | None) -> tuple[np.ndarray, str]:
    """Times (T,) of frames and their unit: seconds, or frames where the rate is unknown.

    Args:
        num_frames: T.
        frame_rate: Frames a second, or None.
    """
    if frame_rate is None:
        return np.arange(num_frames, dtype=float), 'frames'
    return np.arange(num_frames) / frame_rate, 'seconds'


def plot_counts(
    path: str,
    poses: np.ndarray,
    trace: CountTrace,
    layout: KeypointLayout,
    title: str = '',
    frame_rate: float | None = None,
    repetitions: np.ndarray | None = None,
    true_count: int | None = None,
    y_up: bool = False,
    max_figures: int = 14,
) -> None:
    """Write an overview of a count to check by eye: the score's course and the counted poses.

    Over each count stand, on one another, the poses since the last one that were most like salient
    pose I and most like II.

    Args:
        path: File to write, ending in ``.png``; written under a temporary name and renamed.
        poses: (T, J, D) keypoints, not normalised, NaN where missing.
        trace: Of the class that is counted.
        layout: Of the keypoints.
        title: Heading.
        frame_rate: Frames a second, or None if unknown.
        repetitions: (R, 2) true first and last frames, or None if unknown.
        true_count: True number of repetitions, or None if unknown.
        y_up: True = y grows upwards, as in Kinect's coordinates; else downwards, as in images.
        max_figures: At most so many skeletons; of more repetitions every n-th is drawn.

    Raises:
        ValueError: If ``path`` does not end in ``.png``, or poses and scores differ in length.
    """
    check_drawing(path, ('.png',), poses, trace, layout)
    times, unit = time_axis(len(poses), frame_rate)
    figure = Figure(figsize=(13, 5.6), dpi=100)
    top, axes = figure.add_axes([0.055, 0.5, 0.87, 0.4]), figure.add_axes([0.055, 0.13, 0.87, 0.34])
    score_panel(axes, trace, times, unit, repetitions=repetitions)
    counted = f'{len(trace.counted)} counted'
    if true_count is not None:
        counted += f', {true_count} true'
    style = dict(fontsize=14, va='center')
    name = dict(fontweight='bold', color=INK, parse_math=False)  # a $ in a name is a $
    figure.text(0.055, 0.955, title, **name, **style)
    figure.text(0.925, 0.955, counted, ha='right', color=COUNTED, **style)

    top.set(xlim=axes.get_xlim(), ylim=(-0.16, 1.16))
    top.set_axis_off()
    _draw_figures(top, poses, trace, layout, times, y_up, max_figures)
    with whole_file(path) as partial:
        figure.savefig(partial)


def _draw_figures(
    axes: Any,
    poses: np.ndarray,
    trace: CountTrace,
    layout: KeypointLayout,
    times: np.ndarray,
    y_up: bool,
    max_figures: int,
) -> None:
    """Draw the poses of each repetition above its time, or some poses if nothing is counted."""
    seen = np.flatnonzero(~missing_poses(poses))
    if len(trace.counted):
        moments, figures = trace.counted, []
        for start, end in zip([0, *moments[:-1]], moments, strict=True):
            frames = seen[(seen >= start) & (seen <= end)]
            scores = trace.smoothed[frames]  # most like salient pose II, and in front of it like I
            figures.append(
                [frames[scores.argmin()], frames[scores.argmax()]] if len(frames) else []
            )
    else:
        moments = seen[np.linspace(0, len(seen) - 1, min(8, len(seen))).astype(int)]
        figures = [[frame] for frame in moments]
        text = 'no repetition is counted' if len(seen) else 'no frame has a pose'
        axes.text(0.5, 1.08, text, color=INK, fontsize=11, ha='center', transform=axes.transAxes)
    numbers = np.arange(len(moments))
    if len(moments) > max_figures:
        numbers = np.unique(np.linspace(0, len(moments) - 1, max_figures).round().astype(int))
    low, high = pose_limits(poses)
    height = high[1] - low[1]
    span, pixels = np.diff(axes.get_xlim())[0], axes.get_window_extent()
    scale = span / pixels.width * pixels.height / 1.32  # of a figure as high as can be, in x's unit
    width = scale * _width(poses[seen]) / height
    gap = np.clip(1.1 * width, span / max_figures, span / max(len(numbers), 1))
    size = min(1.0, gap / width)
    for number, place in zip(
        numbers, _spread(times[moments[numbers]], gap, axes.get_xlim()), strict=True
    ):
        style = dict(color=COUNTED, fontsize=11, fontweight='bold', ha='center')
        axes.text(place, 1.05, str(number + 1) if len(trace.counted) else '', **style)
        moment = times[moments[number]]
        axes.plot([place, moment], [-0.03, -0.16], color=FAINT, lw=0.8, clip_on=False)
        if not figures[number]:
            continue
        both = np.asarray(poses[figures[number]], dtype=float)[..., :2]  # (1 or 2, J, 2)
        middle = np.array([np.nanmin(both[..., 0]) + np.nanmax(both[..., 0]), low[1] + high[1]]) / 2
        both = size / height * (both - middle) * [scale, 1 if y_up else -1] + [place, 0.5]
        for frame, pose in zip(figures[number], both, strict=True):
            body = Skeleton(axes, layout, width=2.2)
            for artist in body.artists:
                artist.set(animated=False, clip_on=False)
            body.show(pose, pose_colour(trace.smoothed[frame]))


def _width(poses: np.ndarray) -> float:
    """How wide most of the poses (N, J, D) are, more than 0."""
    x = np.asarray(poses, dtype=float)[..., 0]
    if not len(x):
        return 1.0
    return max(float(np.percentile(np.nanmax(x, axis=1) - np.nanmin(x, axis=1), 90)), 1e-9)


def _spread(targets: np.ndarray, gap: float, limits: tuple[float, float]) -> np.ndarray:
    """Sorted places as near to the targets as a gap between them allows, inside of limits."""
    low, high = limits[0] + gap / 2, limits[1] - gap / 2
    places = np.clip(targets, low, high).astype(float)
    for index in range(1, len(places)):
        places[index] = max(places[index], places[index - 1] + gap)
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(
            places[index], high if index == len(places) - 1 else places[index + 1] - gap
        )
    return places


def check_drawing(
    path: str,
    endings: tuple[str, ...],
    poses: np.ndarray,
    trace: CountTrace,
    layout: KeypointLayout,
) -> None:
    """Stop before anything is drawn that cannot be.

    Args:
        path: File to write.
        endings: What its name may end in.
        poses: (T, J, D) keypoints.
        trace: Of the class that is counted.
        layout: Of the keypoints.

    Raises:
        ValueError: If the name ends in something else, or the shapes do not fit one another.
    """
    if not str(path).lower().endswith(endings):
        raise ValueError(f'path is {str(path)!r}, expected a name that ends in {endings}')
    shape = np.shape(poses)
    if len(shape) != 3 or shape[1] != layout.num_joints or shape[2] < 2:
        raise ValueError(
            f'poses have shape {shape}, expected (T, {layout.num_joints}, 2 or 3) of the layout '
            f'{layout.name!r}'
        )
    if len(trace.scores) != shape[0]:
        raise ValueError(f'there are {shape[0]} poses and {len(trace.scores)} scores')
