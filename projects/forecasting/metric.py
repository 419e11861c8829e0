"""The forecasting literature's scores, beside the baselines that need no learning."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmengine.registry import METRICS
from rich.console import Console
from rich.table import Table

from projects.files import whole_file
from projects.forecasting.baselines import BASELINES
from projects.forecasting.losses import joint_errors


@METRICS.register_module()
class ForecastMPJPE(BaseMetric):
    """Mean per-joint position errors of forecasts, in millimetres.

    Over the joints that the model forecasts:

    - ``A-MPJPE``: mean over all forecast frames, joints and samples.
    - ``MPJPE@400ms``: mean over joints and samples of the one frame 400 ms ahead.
    - ``avg-MPJPE@400ms``: mean over all frames up to it. Papers print either under the name
      MPJPE, and the second is far smaller; compare like with like.

    The baselines' ``A-MPJPE`` stand beside it under their names, and a table of all of it is
    logged. Forecasts of a model that was fed the true future carry the prefix ``teacher_forced``
    instead of ``forecast``, for they are no forecasts.

    Args:
        horizons: Times ahead, milliseconds; each a multiple of a frame's duration.
        frame_rate: Frames a second.
        all_joints: Add ``A-MPJPE-all-joints``, the average of older code over all joints of the
            skeleton: it counts repeated joints again and joints that never move as errors of
            zero, and so comes out lower (8 to 13 % for Human3.6M's 32).
        per_action: Add ``A-MPJPE/<action>`` for every action.
        outfile: Write ``forecast`` and ``target`` (N, T', J, 3) in millimetres and ``action`` (N,)
            to this ``.npz`` file.
        collect_device: How processes exchange results. The default goes through the process group
            and so needs no disk that all nodes share; it works on CPU too.
        prefix: As in mmengine's ``BaseMetric``.

    Raises:
        ValueError: If a horizon is no multiple of a frame, or ``outfile`` does not end in ``.npz``.
    """

    default_prefix = 'forecast'

    def __init__(
        self,
        horizons: Sequence[int] = (80, 160, 320, 400, 560, 720, 880, 1000),
        frame_rate: float = 25.0,
        all_joints: bool = False,
        per_action: bool = False,
        outfile: str | None = None,
        collect_device: str = 'gpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.frames = {}
        for horizon in horizons:
            frame = horizon * frame_rate / 1000
            if frame < 1 or abs(frame - round(frame)) > 1e-6:
                raise ValueError(
                    f'horizon {horizon} ms is no whole number of frames at {frame_rate} a second'
                )
            self.frames[horizon] = round(frame)
        if outfile is not None and not str(outfile).endswith('.npz'):
            raise ValueError(f'outfile is {str(outfile)!r}, expected a name that ends in .npz')
        self.all_joints = all_joints
        self.per_action = per_action
        self.outfile = outfile

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Reduce a batch to one record a sample, so that padded samples can be dropped.

        Args:
            data_batch: ``observed`` (B, T, J, 3), ``target`` (B, T', J, 3) and ``meta``.
            data_samples: B predictions with ``forecast`` (T', J, 3) and ``sees_future``.

        Raises:
            ValueError: If the forecast is not of the target's shape, or shorter than a horizon.
        """
        observed, target = data_batch['observed'].cpu(), data_batch['target'].cpu()
        forecast = torch.stack([sample['forecast'].detach().cpu() for sample in data_samples])
        num_frames = target.shape[1]
        late = [horizon for horizon, frame in self.frames.items() if frame > num_frames]
        if late:
            raise ValueError(
                f'horizons {late} ms lie beyond the {num_frames} forecast frames of the data'
            )
        errors = {'model': joint_errors(forecast, target)}  # (B, T', J)
        for name, baseline in BASELINES.items():
            errors[name] = joint_errors(baseline(observed, num_frames), target)
        curves = {name: error.double().mean(dim=2).numpy() for name, error in errors.items()}
        if self.all_joints:
            weights = torch.tensor(self.dataset_meta['all_joint_weights'], dtype=torch.float64)
            curves['all joints'] = (errors['model'].double() @ weights).numpy()  # (B, T')
        for index in range(len(target)):
            record = {name: curve[index] for name, curve in curves.items()}
            record['action'] = data_batch['meta']['action'][index]
            record['sees_future'] = data_samples[index].get('sees_future', False)
            if self.outfile is not None:
                record['forecast'] = forecast[index].numpy()
                record['target'] = target[index].numpy()
            self.results.append(record)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Average the records, log the table, write ``outfile``."""
        logger = MMLogger.get_current_instance()
        rows = ['model', *BASELINES] + (['all joints'] if self.all_joints else [])
        errors = {row: np.stack([record[row] for record in results]) for row in rows}  # (N, T')
        if any(record['sees_future'] for record in results):
            self.prefix = 'teacher_forced'
            logger.warning('The model was fed the true future: these are no forecasting scores.')
        broken = int((~np.isfinite(errors['model'])).any(axis=1).sum())
        if broken:
            logger.warning(
                f'{broken} of {len(results)} forecasts hold values that are no finite numbers.'
            )

        scores = {'A-MPJPE': errors['model'].mean()}
        curve = errors['model'].mean(axis=0)  # (T',)
        for horizon, frame in self.frames.items():
            scores[f'MPJPE@{horizon}ms'] = curve[frame - 1]
        for horizon, frame in self.frames.items():
            scores[f'avg-MPJPE@{horizon}ms'] = curve[:frame].mean()
        for name in BASELINES:
            scores[f'{name}/A-MPJPE'] = errors[name].mean()
        if self.all_joints:
            scores['A-MPJPE-all-joints'] = errors['all joints'].mean()
        actions = np.array([record['action'] for record in results])
        if self.per_action:
            for action in sorted(set(actions)):
                scores[f'A-MPJPE/{action}'] = errors['model'][actions == action].mean()

        logger.info('\n' + self._table({row: errors[row] for row in ['model', *BASELINES]}))
        if self.outfile is not None:
            self._write(results, actions)
            logger.info(f'{len(results)} forecasts are written to {self.outfile}')
        return {name: float(score) for name, score in scores.items()}

    def _table(self, errors: dict[str, np.ndarray]) -> str:
        """Errors (N, T') of each row as text: at each horizon, and on average up to it."""
        samples = len(next(iter(errors.values())))
        title = f'MPJPE in mm over {samples} samples'
        table = Table(title=title, title_justify='left')
        for column in ('', 'mm', 'A-MPJPE', *(f'{horizon} ms' for horizon in self.frames)):
            table.add_column(column, justify='left' if column in ('', 'mm') else 'right')
        for name, error in errors.items():
            curve = error.mean(axis=0)
            frames = self.frames.values()
            at = [f'{curve[frame - 1]:.1f}' for frame in frames]
            up_to = [f'{curve[:frame].mean():.1f}' for frame in frames]
            table.add_row(name, 'at the frame', f'{error.mean():.1f}', *at)
            table.add_row('', 'average up to it', '', *up_to, end_section=True)
        console = Console(width=140, no_color=True)
        with console.capture() as capture:
            console.print(table)
        return capture.get()

    def _write(self, results: list[dict[str, Any]], actions: np.ndarray) -> None:
        with whole_file(self.outfile) as partial:
            np.savez_compressed(
                partial,
                forecast=np.stack([record['forecast'] for record in results]),
                target=np.stack([record['target'] for record in results]),
                action=actions,
            )
