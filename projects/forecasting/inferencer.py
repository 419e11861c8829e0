"""From a motion file and a checkpoint to a forecast, its numbers and its animation."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import DATASETS, INFERENCERS

from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.losses import joint_errors
from projects.forecasting.motion_files import read_motion
from projects.forecasting.transforms import PackForecastInputs
from projects.forecasting.visualizer import draw_forecast


@INFERENCERS.register_module()
class ForecastInferencer(BaseInferencer):
    """Forecast the motion of files.

    An input is a motion file of the data set the config names: its text layout, or an ``.npy``
    array (T, J, 3) in millimetres at the model's frame rate, of the forecast joints or of all
    joints of the skeleton, global rotation and translation removed.

    Options of a call: ``start``, the first observed frame at the model's frame rate; ``out_dir``,
    a folder for the animations, none are drawn if None.

    The result holds ``predictions``, one JSON-ready dict an input, and ``visualization``, the
    files drawn. Where the input goes on long enough, the forecast is scored against it.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        kwargs: As in mmengine's ``BaseInferencer``.
    """

    preprocess_kwargs = {'start'}
    forward_kwargs: set = set()
    visualize_kwargs = {'out_dir'}
    postprocess_kwargs: set = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dataset = self.cfg.test_dataloader.dataset
        kind = DATASETS.get(dataset.type)
        if kind is None or not hasattr(kind, 'skeleton'):
            raise ValueError(
                f'test_dataloader.dataset.type is {dataset.type!r}, expected a motion data set'
            )
        self.skeleton = kind.skeleton
        self.frame_step = dataset.get('frame_step', 2)
        self.meta = kind.describe()
        evaluator = self.cfg.get('test_evaluator') or {}
        self.frame_rate = evaluator.get('frame_rate', 25.0) if isinstance(evaluator, dict) else 25.0

    def _init_pipeline(self, cfg: Any) -> Callable:
        return PackForecastInputs()

    def _init_collate(self, cfg: Any) -> Callable:
        return default_collate  # mmengine's own takes no config such as dict(type=...)

    def _init_visualizer(self, cfg: Any) -> None:
        return None  # draws with functions of its own

    def read(self, path: str | Path) -> np.ndarray:
        """Positions of the forecast joints, (T, J, 3) float32 millimetres.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is malformed or of another skeleton.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such motion file')
        joints = list(self.skeleton.forecast_joints)
        if path.suffix != '.npy':
            return read_motion(path, self.skeleton)[:: self.frame_step, joints]
        positions = np.load(path, allow_pickle=False)
        if positions.ndim == 3 and positions.shape[1:] == (self.skeleton.num_joints, 3):
            positions = positions[:, joints]
        if positions.ndim != 3 or positions.shape[1:] != (len(joints), 3):
            raise ValueError(
                f'{path}: has shape {positions.shape}, expected (T, {len(joints)}, 3) or '
                f'(T, {self.skeleton.num_joints}, 3) of skeleton {self.skeleton.name!r}'
            )
        if not np.isfinite(positions).all():
            raise ValueError(f'{path}: holds values that are no finite numbers')
        return positions.astype(np.float32)

    def preprocess(
        self, inputs: list[str], batch_size: int = 1, start: int = 0
    ) -> Iterator[dict[str, Any]]:
        """Cut the window that begins at ``start`` out of every input.

        Raises:
            ValueError: If the input has too few frames from ``start`` on to be observed.
        """
        model = self.model
        for path in inputs:
            positions = self.read(path)
            window = positions[start : start + model.num_frames + model.num_frames_out]
            if start < 0 or len(window) < model.num_frames:
                raise ValueError(
                    f'{path}: start is {start}, but the file has {len(positions)} frames at the '
                    f"model's rate and the model observes {model.num_frames}"
                )
            sample = dict(motion=np.ascontiguousarray(window), num_frames=model.num_frames)
            packed = self.pipeline(dict(sample, action='', path=str(path), start=start))
            if len(packed['target']) < model.num_frames_out:
                del packed['target']  # the file ends before the forecast does
            yield self.collate_fn([packed])

    @torch.no_grad()
    def forward(self, inputs: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Forecast one batch; the inputs go along for drawing and scoring."""
        forecast = self.model.test_step(inputs)[0]['forecast'].float().cpu()
        meta = {key: value[0] for key, value in inputs['meta'].items()}
        target = inputs['target'][0] if 'target' in inputs else None
        return [dict(observed=inputs['observed'][0], forecast=forecast, target=target, meta=meta)]

    def visualize(
        self, inputs: list[str], preds: list[dict[str, Any]], out_dir: str | None = None
    ) -> list[str]:
        """Draw every forecast as a GIF named after its input."""
        if out_dir is None:
            return []
        paths = []
        for pred in preds:
            source, start = Path(pred['meta']['path']), int(pred['meta']['start'])
            stem = re.sub(r'[^0-9A-Za-z_-]', '_', f'{source.parent.name}_{source.stem}')
            paths.append(str(Path(out_dir, f'{stem}_frame{start}.gif')))
            draw_forecast(
                paths[-1],
                observed=pred['observed'].numpy(),
                forecast=pred['forecast'].numpy(),
                target=None if pred['target'] is None else pred['target'].numpy(),
                meta=self.meta,
                frame_rate=self.frame_rate,
                title=f'{source.parent.name}/{source.name}, from frame {start}',
            )
        return paths

    def postprocess(
        self,
        preds: list[dict[str, Any]],
        visualization: list[str],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> dict[str, list]:
        """JSON-ready results; ``return_datasamples`` leaves the tensors as they are."""
        if return_datasamples:
            return dict(predictions=preds, visualization=visualization)
        predictions = []
        for pred in preds:
            prediction = dict(
                input=pred['meta']['path'],
                start=int(pred['meta']['start']),
                frame_rate=self.frame_rate,
                joint_names=self.meta['joint_names'],
                forecast=pred['forecast'].double().round(decimals=2).tolist(),
            )
            if pred['target'] is not None:
                error = joint_errors(pred['forecast'], pred['target']).mean().item()
                still = repeat_last_pose(pred['observed'][None], len(pred['target']))[0]
                baseline = joint_errors(still, pred['target']).mean().item()
                prediction.update(
                    {'A-MPJPE': round(error, 2), 'repeat-last-pose/A-MPJPE': round(baseline, 2)}
                )
            predictions.append(prediction)
        return dict(predictions=predictions, visualization=visualization)
