"""Drawing forecasts as animations."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.figure import Figure
from mmengine.registry import HOOKS

from projects.files import whole_file
from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.losses import joint_errors
from projects.visualization import DrawnSample, VisualizationHook, process_prefix

OBSERVED, TRUE, FORECAST = '#5b6470', '#1b9e77', '#d95f02'


class _Body:
    """The lines of one figure in one 3D axes; the left side is drawn lighter."""

    def __init__(self, axes: Any, meta: dict[str, Any], width: float, alpha: float) -> None:
        self.limbs = np.asarray(meta['limbs'])
        self.static = np.asarray(meta['static_positions'], dtype=float).reshape(-1, 3)
        left = set(meta['left_joints'])
        self.lines = [
            axes.plot([], [], [], lw=width, alpha=alpha * (0.55 if b in left else 1.0))[0]
            for _, b in self.limbs
        ]
        for line in self.lines:
            line.set_solid_capstyle('round')

    def draw(self, pose: np.ndarray | None, colour: str) -> None:
        """Show a pose (J, 3), or nothing if it is None."""
        for line in self.lines:
            line.set_visible(pose is not None)
        if pose is None:
            return
        points = np.concatenate([pose, self.static])
        for line, limb in zip(self.lines, self.limbs, strict=True):
            x, y, z = points[limb].T
            line.set_data_3d(z, x, y)  # the data's y points up, as the drawing's z does
            line.set_color(colour)


def draw_forecast(
    path: str,
    observed: np.ndarray,
    forecast: np.ndarray,
    meta: dict[str, Any],
    target: np.ndarray | None = None,
    frame_rate: float = 25.0,
    title: str = '',
    speed: float = 0.5,
) -> None:
    """Write a GIF of the observed, the true and the forecast motion.

    With the true future given, the left figure moves as the person did and the right one as
    forecast, with the truth behind it; below, the error grows over time beside that of repeating
    the last pose.

    Args:
        path: File to write, ending in ``.gif``; written under a temporary name and renamed.
        observed: (T, J, 3) millimetres.
        forecast: (T', J, 3) millimetres.
        meta: ``limbs``, ``static_positions`` and ``left_joints``, as the data sets describe them.
        target: (T', J, 3) millimetres, or None if unknown.
        frame_rate: Frames a second of the motion.
        title: Heading.
        speed: Of the animation, 1 for real time.

    Raises:
        ValueError: If ``path`` does not end in ``.gif``.
    """
    if not str(path).lower().endswith('.gif'):
        raise ValueError(f'path is {str(path)!r}, expected a name that ends in .gif')
    steps = np.arange(1 - len(observed), len(forecast) + 1) * 1000 / frame_rate  # ms, 0 = last seen
    figure = Figure(figsize=(8.4, 6.0) if target is not None else (5.4, 5.4), dpi=80)
    figure.suptitle(title, fontsize=12)
    if target is None:
        views, curves = [figure.add_subplot(projection='3d')], None
    else:
        grid = figure.add_gridspec(2, 2, height_ratios=(3.2, 1), hspace=0.12, wspace=0.0)
        grid.update(left=0.08, right=0.98, top=0.86, bottom=0.1)
        views = [figure.add_subplot(grid[0, column], projection='3d') for column in (0, 1)]
        curves = figure.add_subplot(grid[1, :])
    parts = [observed, forecast] + ([target] if target is not None else [])
    points = np.concatenate([*(part.reshape(-1, 3) for part in parts), meta['static_positions']])
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    for axes in views:
        axes.set_xlim(low[2], high[2])
        axes.set_ylim(low[0], high[0])
        axes.set_zlim(low[1], high[1])
        axes.set_box_aspect(np.maximum((high - low)[[2, 0, 1]], 1), zoom=0.98)
        axes.view_init(elev=12, azim=35)
        axes.set_axis_off()
    true_body = _Body(views[0], meta, width=3.5, alpha=1.0) if target is not None else None
    ghost = _Body(views[-1], meta, width=3.5, alpha=0.3) if target is not None else None
    body = _Body(views[-1], meta, width=3.5, alpha=1.0)
    headings = [axes.set_title('', fontsize=10, y=1.07) for axes in views]
    cursor = None
    if target is not None:
        ahead = steps[len(observed) :]
        truth = torch.from_numpy(target)
        still = repeat_last_pose(torch.from_numpy(observed)[None], len(target))[0]
        repeated = joint_errors(still, truth).mean(dim=-1)  # (T',)
        error = joint_errors(torch.from_numpy(forecast), truth).mean(dim=-1)
        label = f'forecast, mean {error.mean():.0f} mm'
        curves.plot(ahead, error, color=FORECAST, lw=2, label=label)
        label = f'repeat last pose, mean {repeated.mean():.0f} mm'
        curves.plot(ahead, repeated, color=OBSERVED, lw=1.5, ls='--', label=label)
        curves.set(xlim=(steps[0], steps[-1]), xlabel='ms ahead', ylabel='error (mm)')
        curves.set_ylim(bottom=0)
        curves.axvspan(steps[0], 0, color=OBSERVED, alpha=0.12, lw=0)
        curves.legend(loc='upper left', bbox_to_anchor=(0.27, 1.05), fontsize=8, frameon=False)
        curves.spines[['top', 'right']].set_visible(False)
        cursor = curves.axvline(steps[0], color='black', lw=1)

    def show(frame: int) -> list[Any]:
        seen = frame < len(observed)
        ahead = frame - len(observed)
        colour = OBSERVED if seen else FORECAST
        body.draw(observed[frame] if seen else forecast[ahead], colour)
        when = 'observed' if seen else f'forecast, {steps[frame]:.0f} ms ahead'
        headings[-1].set_text(when)
        headings[-1].set_color(colour)
        if target is not None:
            true_body.draw(observed[frame] if seen else target[ahead], OBSERVED if seen else TRUE)
            ghost.draw(None if seen else target[ahead], TRUE)
            headings[0].set_text('observed' if seen else 'true future')
            headings[0].set_color(OBSERVED if seen else TRUE)
            cursor.set_xdata([steps[frame]] * 2)
        return []

    # a pause on the last frame, so that the loop's start is seen
    frames = [*range(len(steps)), *[len(steps) - 1] * round(frame_rate * speed)]
    animation = FuncAnimation(figure, show, frames=frames, blit=False)
    with whole_file(path) as partial:
        animation.save(partial, writer=PillowWriter(fps=frame_rate * speed))


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
