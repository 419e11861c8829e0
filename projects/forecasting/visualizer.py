"""Drawing forecasts as animations."""

import re
from collections.abc import Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mmengine.registry import HOOKS
from mpl_toolkits.mplot3d.proj3d import proj_transform
from PIL import Image

from projects.files import whole_file
from projects.forecasting.losses import joint_errors
from projects.visualization import DrawnSample, VisualizationHook, process_prefix

OBSERVED, TRUE, FORECAST = '#5b6470', '#1b9e77', '#d95f02'
# of several forecasts, in turn
_FORECASTS = (FORECAST, '#7570b3', '#e7298a', '#e6ab02', '#386cb0', '#a6761d')
# of several people, in turn: parts of white (above 0) or black mixed into the colour
_SHADES = (0.0, -0.5, 0.4, -0.25, 0.2)
_ROW = 4  # panels at most in a row
# observed frames that are shown at most, by number and as a share of those forecast
_PAST = (10, 0.4)
_STILL = 'repeat-last-pose'


class _Bodies:
    """The lines of some people in one 3D axes; left sides are drawn lighter."""

    def __init__(self, axes: Any, meta: dict[str, Any], static: np.ndarray, alpha: float) -> None:
        self.limbs = np.asarray(meta['limbs']).reshape(-1, 2)
        self.static = static  # (P, S, 3)
        left = set(meta['left_joints'])
        self.lines = [
            [
                axes.plot([], [], [], lw=3.5, alpha=alpha * (0.55 if end in left else 1.0))[0]
                for _, end in self.limbs
            ]
            for _ in static
        ]
        for line in (line for lines in self.lines for line in lines):
            line.set_solid_capstyle('round')

    def draw(self, poses: np.ndarray | None, colour: str) -> None:
        """Show poses (P, J, 3), or nothing if they are None."""
        for person, lines in enumerate(self.lines):
            for line in lines:
                line.set_visible(poses is not None)
            if poses is None:
                continue
            points = np.concatenate([poses[person], self.static[person]])
            for line, limb in zip(lines, self.limbs, strict=True):
                line.set_data_3d(*points[limb].T)
                line.set_color(_shade(colour, person))


def _shade(colour: str, person: int) -> np.ndarray:
    """A person's variant of a colour."""
    share = _SHADES[person % len(_SHADES)]
    return (1 - abs(share)) * np.array(to_rgb(colour)) + abs(share) * (share > 0)


def _seen_from_the_side(positions: np.ndarray, up: Sequence[float]) -> np.ndarray:
    """Coordinates (..., 3) turned so that the last one points up."""
    axis = int(np.argmax(np.abs(up)))
    sign = np.sign(up[axis])
    # a rotation either way: the axes in turn, and two of them mirrored if the axis points down
    order = [(axis + 1) % 3, (axis + 2) % 3, axis]
    return positions[..., order] * np.array([1, sign, sign])


class _Motion:
    """What is drawn, in the drawing's coordinates: (P, frames, J, 3) each."""

    def __init__(
        self,
        observed: np.ndarray,
        forecasts: dict[str, np.ndarray],
        target: np.ndarray | None,
        meta: dict[str, Any],
    ) -> None:
        up = meta.get('up', (0, 1, 0))
        static = np.asarray(meta['static_positions'], dtype=float).reshape(-1, 3)
        self.observed = _seen_from_the_side(observed, up)
        self.forecasts = {
            name: _seen_from_the_side(forecast, up) for name, forecast in forecasts.items()
        }
        self.target = None if target is None else _seen_from_the_side(target, up)
        self.static = np.repeat(_seen_from_the_side(static, up)[None], len(observed), axis=0)
        if static.size:  # who is centred stands where all others do: one beside the other
            width = max(np.ptp(self._sideways(person)) for person in range(len(observed)))
            for part in (*self.moving, self.static):
                part[..., 1] += (
                    1.05 * width * np.arange(len(part)).reshape(-1, *[1] * (part.ndim - 2))
                )

    @property
    def moving(self) -> list[np.ndarray]:
        """All that moves."""
        return [
            part
            for part in (self.observed, *self.forecasts.values(), self.target)
            if part is not None
        ]

    def _sideways(self, person: int) -> np.ndarray:
        values = np.concatenate([part[person, ..., 1].ravel() for part in self.moving])
        return values[np.isfinite(values)]

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinates (3,)."""
        points = np.concatenate([part.reshape(-1, 3) for part in (*self.moving, self.static)])
        return np.nanmin(points, axis=0), np.nanmax(points, axis=0)


def mean_errors(forecast: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Mean joint error of each frame, over people and joints.

    Args:
        forecast: (P, T', J, 3) millimetres.
        target: Likewise; NaN where the truth is not known.

    Returns:
        (T',) millimetres; NaN where the truth of nobody is known.
    """
    errors = joint_errors(torch.from_numpy(forecast), torch.from_numpy(target)).mean(dim=-1)
    return errors.nanmean(dim=0).numpy()


def draw_forecast(
    path: str,
    observed: np.ndarray,
    forecast: np.ndarray | Mapping[str, np.ndarray],
    meta: dict[str, Any],
    target: np.ndarray | None = None,
    frame_rate: float = 25.0,
    title: str = '',
    speed: float = 0.5,
) -> None:
    """Write a GIF of the observed, the true and the forecast motion.

    With the true future given, the first panel moves as the people did and the others as forecast,
    with the truth behind; below, the errors grow over time beside that of repeating the last pose.
    Several people are drawn in one scene, in shades of a colour; if the data are centred on a
    joint, one stands beside the other. Of a long past the end is shown.

    Args:
        path: File to write, ending in ``.gif``; written under a temporary name and renamed.
        observed: (T, J, 3) millimetres, or (P, T, J, 3) of P people.
        forecast: (T', J, 3) or (P, T', J, 3) millimetres, or several such by name.
        meta: ``limbs``, ``static_positions``, ``left_joints`` and ``up``, as the data sets describe
            them; up is y if not said.
        target: As one forecast, NaN in frames that are not known, or None if no frame is.
        frame_rate: Frames a second of the motion.
        title: Heading.
        speed: Of the animation, 1 for real time.

    Raises:
        ValueError: If ``path`` does not end in ``.gif``, or the shapes do not belong together.
    """
    if not str(path).lower().endswith('.gif'):
        raise ValueError(f'path is {str(path)!r}, expected a name that ends in .gif')
    several = isinstance(forecast, Mapping)
    forecasts = {
        name: _of_people(one)
        for name, one in (forecast if several else {'forecast': forecast}).items()
    }
    observed = _of_people(observed)
    target = None if target is None else _of_people(target)
    shape = next(iter(forecasts.values())).shape
    expected = (len(observed), shape[1], *observed.shape[2:])
    for name, one in (*forecasts.items(), *([('target', target)] if target is not None else [])):
        if one.shape != expected:
            raise ValueError(f'{name} has shape {one.shape}, expected {expected}')
    observed = observed[:, -max(_PAST[0], round(_PAST[1] * shape[1])) :]
    motion = _Motion(observed, forecasts, target, meta)
    # ms, 0 = last seen
    steps = np.arange(1 - observed.shape[1], shape[1] + 1) * 1000 / frame_rate

    colours = dict(zip(forecasts, cycle(_FORECASTS), strict=False))
    panels = [(name, colours[name], part) for name, part in motion.forecasts.items()]
    if target is not None:
        panels.insert(0, ('true future', TRUE, motion.target))
    figure, views, curves = _lay_out(len(panels), target is not None)
    figure.suptitle(title, fontsize=12)
    low, high = motion.limits()
    for axes in views:
        _look_at(axes, low, high)
    bodies = [_Bodies(axes, meta, motion.static, alpha=1.0) for axes in views]
    # the truth is behind every panel but its own
    ghosts = [
        _Bodies(axes, meta, motion.static, alpha=0.3)
        for axes in (views[1:] if target is not None else [])
    ]
    headings = [axes.set_title('', fontsize=10, y=1.07) for axes in views]
    cursor = None
    if target is not None:
        errors = {name: mean_errors(one, target) for name, one in forecasts.items()}
        if _STILL not in errors:
            still = np.repeat(observed[:, -1:], shape[1], axis=1)
            errors[_STILL] = mean_errors(still, target)
        _draw_curves(curves, steps, errors, colours)
        cursor = curves.axvline(steps[0], color='black', lw=1)

    def show(frame: int) -> None:
        ahead = frame - observed.shape[1]
        seen = ahead < 0
        for (name, colour, part), body, heading in zip(panels, bodies, headings, strict=True):
            body.draw(
                motion.observed[:, frame] if seen else part[:, ahead], OBSERVED if seen else colour
            )
            when = '' if name == 'true future' else f', {steps[frame]:.0f} ms ahead'
            heading.set_text('observed' if seen else name + when)
            heading.set_color(OBSERVED if seen else colour)
        for ghost in ghosts:
            ghost.draw(None if seen else motion.target[:, ahead], TRUE)
        if cursor is not None:
            cursor.set_xdata([steps[frame]] * 2)

    canvas = FigureCanvasAgg(figure)
    images = []
    for frame in range(len(steps)):
        show(frame)
        canvas.draw()
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert('RGB'))
    durations = [1000 / (frame_rate * speed)] * len(images)
    durations[-1] += 1000  # so that the loop's start is seen
    with whole_file(path) as partial:
        images[0].save(partial, save_all=True, append_images=images[1:], duration=durations, loop=0)


def _of_people(positions: np.ndarray) -> np.ndarray:
    """(P, frames, J, 3) of positions of one person or several."""
    return positions if positions.ndim == 4 else positions[None]


def _lay_out(panels: int, truth: bool) -> tuple[Figure, list[Any], Any]:
    """The figure, its 3D axes in rows, and below those of the errors if the truth is known."""
    rows = -(-panels // _ROW)
    columns = -(-panels // rows)
    if not truth:
        figure = Figure(figsize=(max(4.2 * columns, 5.4), 5.4 if rows == 1 else 4.2 * rows), dpi=80)
        grid = figure.add_gridspec(rows, columns, hspace=0.12, wspace=0.0)
    else:
        figure = Figure(figsize=(4.2 * columns, 2.1 + 3.9 * rows), dpi=80)
        whole = figure.add_gridspec(2, 1, height_ratios=(3.2 * rows, 1), hspace=0.12)
        whole.update(left=0.74 / (4.2 * columns), right=0.98, top=1 - 0.84 / (2.1 + 3.9 * rows))
        whole.update(bottom=0.6 / (2.1 + 3.9 * rows))
        grid = whole[0].subgridspec(rows, columns, hspace=0.12, wspace=0.0)
    views = [
        figure.add_subplot(grid[panel // columns, panel % columns], projection='3d')
        for panel in range(panels)
    ]
    return figure, views, figure.add_subplot(whole[1]) if truth else None


def _look_at(axes: Any, low: np.ndarray, high: np.ndarray) -> None:
    """Turn and zoom 3D axes so that a box of coordinates fills them."""
    sides = np.maximum(high - low, 1)
    axes.set(**{f'{name}lim': (low[k], low[k] + sides[k]) for k, name in enumerate('xyz')})
    axes.view_init(elev=12, azim=35)
    axes.set_axis_off()
    axes.set_box_aspect(tuple(sides))  # an array it would overwrite
    axes.apply_aspect()
    corners = low + sides * np.array(list(product((0, 1), repeat=3)))
    flat = proj_transform(*corners.T, axes.get_proj())[:2]
    pixels = axes.transData.transform(np.transpose(flat))
    axes.set_box_aspect(tuple(sides), zoom=np.min(axes.bbox.size / np.ptp(pixels, axis=0)))


def _draw_curves(
    axes: Any, steps: np.ndarray, errors: dict[str, np.ndarray], colours: dict[str, str]
) -> None:
    """The errors (T',) of each forecast over time, with their means."""
    for name, error in errors.items():
        known = np.isfinite(error)
        label = f'{name}, mean {error[known].mean():.0f} mm'
        if not known.all():
            label += f' over {known.sum()} of {len(error)} frames'
        still = name == _STILL
        axes.plot(
            steps[-len(error) :],
            error,
            color=colours.get(name, OBSERVED),
            lw=1.5 if still else 2,
            ls='--' if still else '-',
            label=label,
        )
    axes.set(xlim=(steps[0], steps[-1]), xlabel='ms ahead', ylabel='error (mm)')
    axes.set_ylim(bottom=0)
    axes.axvspan(steps[0], 0, color=OBSERVED, alpha=0.12, lw=0)
    axes.legend(loc='upper left', bbox_to_anchor=(1.0, 1.1), fontsize=8, frameon=False)
    axes.spines[['top', 'right']].set_visible(False)
    figure = axes.figure
    place = axes.get_position()
    room = 2.7 / figure.get_figwidth()  # for the legend, which no curve runs through
    axes.set_position([place.x0, place.y0, place.width - room, place.height])


@HOOKS.register_module()
class ForecastVisualizationHook(VisualizationHook):
    """Draw every n-th tested sample as a GIF (``tools/test.py --show-dir``).

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Samples from one drawing to the next, in each process.
        frame_rate: Frames a second of the motion.

    Raises:
        ValueError: As :class:`projects.visualization.VisualizationHook`.
    """

    def __init__(
        self,
        enable: bool = False,
        out_dir: str | None = None,
        interval: int = 100,
        frame_rate: float = 25.0,
    ) -> None:
        super().__init__(enable, out_dir, interval)
        self.frame_rate = frame_rate

    def file_name(self, sample: DrawnSample) -> str:
        """Numbered, and named after the action.

        Args:
            sample: What is drawn.
        """
        action = re.sub(r'[^0-9A-Za-z_-]', '_', sample.batch['meta']['action'][sample.index])
        return f'{process_prefix()}{sample.number:06d}_{action}.gif'

    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one forecast beside the truth.

        Args:
            path: File to write.
            sample: What is drawn.
        """
        batch, index = sample.batch, sample.index
        draw_forecast(
            str(path),
            observed=batch['observed'][index].cpu().numpy(),
            forecast=sample.output['forecast'].float().cpu().numpy(),
            target=batch['target'][index].cpu().numpy(),
            meta=sample.dataset.metainfo,
            frame_rate=self.frame_rate,
            title=batch['meta']['action'][index],
        )
