"""From motion and a checkpoint to forecasts, of one model or several, with numbers and drawing."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose, default_collate
from mmengine.logging import print_log
from mmengine.registry import DATASETS, INFERENCERS
from torch import Tensor

from projects.forecasting.baselines import BASELINES, repeat_last_pose
from projects.forecasting.forecaster import PoseForecaster, check_sizes
from projects.forecasting.losses import joint_errors
from projects.forecasting.motion_dataset import MotionForecastDataset
from projects.forecasting.motion_files import check_positions
from projects.forecasting.rollout import roll_out
from projects.forecasting.visualizer import draw_forecast
from projects.inference import MethodInferencer, free_name, tested_dataset

Motion = str | Path | np.ndarray | Tensor


class _Forecaster(NamedTuple):
    """A model, or a baseline, and how many frames it observes."""

    model: PoseForecaster | Callable[[Tensor, int], Tensor]
    num_frames: int

    def __call__(self, observed: Tensor, target: Tensor | None, num_frames_out: int) -> Tensor:
        """The forecast (P, num_frames_out, J, 3) on the CPU."""
        if not isinstance(self.model, PoseForecaster):
            return self.model(observed, num_frames_out)
        device = next(self.model.parameters()).device
        observed = observed[:, -self.num_frames :].to(device)
        if self.model.sees_future and num_frames_out == self.model.num_frames_out:
            target = None if target is None or target.isnan().any() else target.to(device)
            return self.model.forecast(observed, target).float().cpu()
        return roll_out(self.model, observed, num_frames_out).float().cpu()


@INFERENCERS.register_module()
class ForecastInferencer(MethodInferencer):
    """Forecast the motion of files or arrays, by one model or several.

    An input is a motion file of the data set the config names, or an ``.npy`` or ``.npz`` array
    (T, J, 3) or (T, P, J, 3) of P people, or such an array itself, of numpy or torch. Arrays are
    what the data set's ``from_array`` takes: for the published data sets millimetres at the model's
    frame rate, of the forecast joints or of all joints of the skeleton, global rotation and
    translation removed; for an ``ArrayForecastDataset`` what its files hold. The people of an input
    are forecast in one batch; who has joints missing (NaN) where they are observed is left out.

    Options of a call:

    - ``start``: first frame that the model observes, at its frame rate; the forecast begins
      ``num_frames`` later. Default: the first for which every model has the frames it observes.
      ``'last'``: what comes after the end of the input is forecast.
    - ``num_frames_out``: frames to forecast, the model's own number by default. Beyond that, a
      forecast is observed next, see :func:`~projects.forecasting.rollout.roll_out`.
    - ``compare``: other models whose forecasts begin at the same frame: ``'config:checkpoint'`` or
      pairs of both, or names of baselines, ``'repeat-last-pose'`` and ``'constant-velocity'``.
    - ``out_dir``: folder for the animations, none are drawn if None.

    An input that is shorter than what a model observes is forecast from its end, as that of a
    person who stood still before.

    The result holds ``predictions``, one JSON-ready dict for each input and person, and
    ``visualization``, the files drawn, one an input. As far as the input goes on, the forecast is
    scored against it.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        kwargs: As in mmengine's ``BaseInferencer``.

    Raises:
        ValueError: If the config names no motion data set to test on.
    """

    preprocess_kwargs = {'start', 'num_frames_out', 'compare'}
    forward_kwargs: set = set()
    visualize_kwargs = {'out_dir'}
    postprocess_kwargs: set = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dataset = tested_dataset(self.cfg)
        kind = DATASETS.get(dataset.type)
        if not isinstance(kind, type) or not issubclass(kind, MotionForecastDataset):
            raise ValueError(
                f'test_dataloader.dataset.type is {dataset.type!r}, expected a motion data set'
            )
        self.data: MotionForecastDataset = DATASETS.build(dict(dataset, lazy_init=True))
        self.meta = self.data.metainfo
        evaluator = self.cfg.get('test_evaluator') or {}
        self.frame_rate = evaluator.get('frame_rate', 25.0) if isinstance(evaluator, dict) else 25.0
        self._rivals: dict[tuple[str, str], ForecastInferencer] = {}

    def _load_weights_to_model(
        self, model: torch.nn.Module, checkpoint: dict | None, cfg: Any
    ) -> None:
        super()._load_weights_to_model(model, checkpoint, cfg)
        if checkpoint is None:
            return
        # mmengine only logs this, and a forecast of weights half random would be compared
        saved = checkpoint.get('state_dict', checkpoint)
        saved = {name.removeprefix('module.'): value for name, value in saved.items()}
        wrong = [
            name
            for name, value in model.state_dict().items()
            if getattr(saved.get(name), 'shape', None) != value.shape
        ]
        if wrong:
            raise ValueError(
                f'{getattr(cfg, "filename", None) or cfg.model.type}: the checkpoint is of another '
                f'model: {len(wrong)} of {len(model.state_dict())} weights are not in it, or are '
                f'of another shape, such as {wrong[0]!r}'
            )

    def _init_pipeline(self, cfg: Any) -> Callable:
        return Compose([])  # the data set itself prepares the inputs

    def _init_collate(self, cfg: Any) -> Callable:
        return default_collate  # mmengine's own takes no config such as dict(type=...)

    @property
    def name(self) -> str:
        """What tells the model from others: its config's name."""
        filename = getattr(self.cfg, 'filename', None)
        return Path(filename).stem if filename else self.cfg.model.type

    def read(self, motion: Motion, source: str = 'input') -> np.ndarray:
        """The people of an input, (P, T, J, 3) float32 millimetres of the forecast joints.

        Args:
            motion: See the class.
            source: What messages call an array.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the motion is malformed or of another skeleton.
        """
        if isinstance(motion, (np.ndarray, Tensor)):
            array = motion.detach().cpu().numpy() if isinstance(motion, Tensor) else motion
            return np.stack(self.data.from_array(check_positions(array, source), source))
        if not Path(motion).is_file():
            raise FileNotFoundError(f'{motion}: no such motion file')
        return np.stack(self.data.read(Path(motion)))

    def preprocess(
        self,
        inputs: list[Motion],
        batch_size: int = 1,
        start: int | str | None = None,
        num_frames_out: int | None = None,
        compare: str | Sequence[str | tuple[str, str]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Cut out of every input what is observed and what is known of the future.

        Args:
            inputs: See the class.
            batch_size: Not used: a batch is the people of an input.
            start: See the class.
            num_frames_out: See the class.
            compare: See the class.

        Yields:
            ``observed`` (P, T, J, 3), ``target`` (P, T', J, 3) or None, ``meta``, ``forecasters``.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If an option is malformed, or an input is, or has too few frames.
        """
        frames_out = self.model.num_frames_out if num_frames_out is None else num_frames_out
        if isinstance(frames_out, bool) or not isinstance(frames_out, int):
            raise ValueError(f'num_frames_out is {frames_out!r}, expected a whole number')
        check_sizes(num_frames_out=frames_out)
        forecasters = self._forecasters(compare)
        for number, motion in enumerate(inputs):
            is_array = isinstance(motion, (np.ndarray, Tensor))
            source = f'input {number}' if is_array else str(motion)
            name = source if is_array else str(Path(*Path(source).parts[-2:]))
            positions = self.read(motion, source)
            begin = self._begin(source, positions.shape[1], start, forecasters)
            first = max(0, begin - max(one.num_frames for one in forecasters.values()))
            people = self._complete_people(source, positions, first, begin)
            target = positions[people, begin : begin + frames_out]
            known = target.shape[1]
            rest = ((0, 0), (0, frames_out - known), (0, 0), (0, 0))
            target = np.pad(target, rest, constant_values=np.nan)
            yield dict(
                observed=torch.from_numpy(positions[people, first:begin]),
                target=torch.from_numpy(target) if np.isfinite(target).any() else None,
                num_frames_out=frames_out,
                forecasters=forecasters,
                meta=dict(
                    path=source,
                    name=name,
                    number=number,
                    start=max(0, begin - self.model.num_frames),
                    people=people,
                ),
            )

    def _forecasters(self, compare: Any) -> dict[str, _Forecaster]:
        """This model and those to compare it with, by name."""
        entries = [compare] if isinstance(compare, str) else list(compare or ())
        forecasters = {self.name: _Forecaster(self.model, self.model.num_frames)}
        for entry in entries:
            if isinstance(entry, str) and entry in BASELINES:
                observes = 1 if BASELINES[entry] is repeat_last_pose else 2
                forecasters[entry] = _Forecaster(BASELINES[entry], observes)
                continue
            pair = tuple(entry.split(':', 1)) if isinstance(entry, str) else tuple(entry)
            if len(pair) != 2 or not all(pair):
                raise ValueError(
                    f'compare holds {entry!r}, expected config:checkpoint or one of '
                    f'{sorted(BASELINES)}'
                )
            rival = self._rival(*map(str, pair))
            forecasters[free_name(rival.name, forecasters)] = _Forecaster(
                rival.model, rival.model.num_frames
            )
        return forecasters

    def _rival(self, config: str, checkpoint: str) -> 'ForecastInferencer':
        """Another model that forecasts the same joints, loaded once."""
        if (config, checkpoint) not in self._rivals:
            if not Path(config).is_file():
                raise FileNotFoundError(f'compare: {config}: no such config')
            device = str(next(self.model.parameters()).device)
            rival = ForecastInferencer(config, checkpoint, device=device, show_progress=False)
            for what, own, other in (
                ('joints', self.meta['joint_names'], rival.meta['joint_names']),
                ('frame rate', self.frame_rate, rival.frame_rate),
            ):
                if own != other:
                    raise ValueError(f'compare: {config}: {what} {other}, expected {own}')
            self._rivals[config, checkpoint] = rival
        return self._rivals[config, checkpoint]

    def _begin(
        self,
        source: str,
        length: int,
        start: int | str | None,
        forecasters: Mapping[str, _Forecaster],
    ) -> int:
        """The first frame that is forecast."""
        name, most = max(
            ((name, one.num_frames) for name, one in forecasters.items()), key=lambda pair: pair[1]
        )
        if start is None or start == 'last':
            begin = length if start == 'last' else min(most, length)
            if begin < most:
                print_log(
                    f'{source}: has {begin} frames, but {name} observes {most}: the first pose is '
                    'repeated before them',
                    logger='current',
                    level=logging.WARNING,
                )
            return begin
        if isinstance(start, bool) or not isinstance(start, int):
            raise ValueError(f"start is {start!r}, expected a frame of 0 or more, or 'last'")
        begin = start + self.model.num_frames
        if start < 0 or begin > length:
            raise ValueError(
                f"{source}: start is {start}, but the file has {length} frames at the model's rate "
                f'and the model observes {self.model.num_frames}'
            )
        if begin < most:
            raise ValueError(
                f'{source}: start is {start}, so that the forecast begins at frame {begin}, but '
                f'{name} observes {most} frames before it; start at {most - self.model.num_frames} '
                'or later'
            )
        return begin

    @staticmethod
    def _complete_people(source: str, positions: np.ndarray, first: int, begin: int) -> list[int]:
        """Who has all joints in the frames observed; the others are named."""
        broken = np.isnan(positions[:, first:begin]).any(axis=(2, 3))  # (P, T)
        absent = np.flatnonzero(broken.any(axis=1))
        if len(absent):
            text = '; '.join(f'person {p}: frame {first + broken[p].argmax()}' for p in absent)
            message = f'{source}: joints are missing (NaN) in frames that are observed, {text}'
            if len(absent) == len(positions):
                raise ValueError(f'{message}; nobody is left to forecast')
            print_log(f'{message}: left out', logger='current', level=logging.WARNING)
        return np.flatnonzero(~broken.any(axis=1)).tolist()

    @torch.no_grad()
    def forward(self, inputs: dict[str, Any], **kwargs: Any) -> list[dict[str, Any]]:
        """Forecast the people of an input, by every model; what is known of them goes along."""
        forecasts = {
            name: forecaster(inputs['observed'], inputs['target'], inputs['num_frames_out'])
            for name, forecaster in inputs['forecasters'].items()
        }
        meta, target = inputs['meta'], inputs['target']
        return [
            dict(
                observed=inputs['observed'][index],
                forecast=forecasts[self.name][index],
                forecasts={name: forecast[index] for name, forecast in forecasts.items()},
                target=None if target is None else target[index],
                meta={**meta, 'person': person},
            )
            for index, person in enumerate(meta['people'])
        ]

    def visualize(
        self, inputs: list[Motion], preds: list[dict[str, Any]], out_dir: str | None = None
    ) -> list[str]:
        """Draw the forecasts of every input as one GIF named after it."""
        if out_dir is None:
            return []
        paths: list[str] = []
        for _, group in groupby(preds, key=lambda pred: pred['meta']['number']):
            people = list(group)
            meta = people[0]['meta']
            stem = re.sub('[^0-9A-Za-z_-]', '_', str(Path(meta['name']).with_suffix('')))
            stem = f'{stem}_frame{meta["start"]}'
            path = Path(out_dir, free_name(stem, {Path(path).stem for path in paths}) + '.gif')
            forecasts = {
                name: torch.stack([person['forecasts'][name] for person in people]).numpy()
                for name in people[0]['forecasts']
            }
            targets = [person['target'] for person in people]
            draw_forecast(
                str(path),
                observed=torch.stack([person['observed'] for person in people]).numpy(),
                forecast=forecasts if len(forecasts) > 1 else forecasts[self.name],
                target=None if targets[0] is None else torch.stack(targets).numpy(),
                meta=self.meta,
                frame_rate=self.frame_rate,
                title=f'{meta["name"]}, from frame {meta["start"]}',
            )
            paths.append(str(path))
        return paths

    def postprocess(
        self,
        preds: list[dict[str, Any]],
        visualization: list[str],
        return_datasamples: bool = False,
        **kwargs: Any,
    ) -> dict[str, list]:
        """JSON-ready results; ``return_datasamples`` leaves the tensors as they are."""
        if not return_datasamples:
            preds = [self._in_numbers(pred) for pred in preds]
        return dict(predictions=preds, visualization=visualization)

    def _in_numbers(self, pred: dict[str, Any]) -> dict[str, Any]:
        """One person's forecast for JSON."""
        meta, target = pred['meta'], pred['target']
        prediction = dict(
            input=meta['path'],
            start=meta['start'],
            frame_rate=self.frame_rate,
            joint_names=self.meta['joint_names'],
            **_scored(pred['forecast'], target),
        )
        if len(meta['people']) > 1:
            prediction['person'] = meta['person']
        if 'A-MPJPE' in prediction:
            still = repeat_last_pose(pred['observed'][None], len(target))[0]
            prediction['repeat-last-pose/A-MPJPE'] = _scored(still, target)['A-MPJPE']
        if len(pred['forecasts']) > 1:
            prediction['models'] = {
                name: _scored(forecast, target) for name, forecast in pred['forecasts'].items()
            }
        return prediction


def _scored(forecast: Tensor, target: Tensor | None) -> dict[str, Any]:
    """A forecast (T', J, 3) in numbers, with its error over the frames of which all is known."""
    result: dict[str, Any] = dict(forecast=forecast.double().round(decimals=2).tolist())
    known = None if target is None else target.isfinite().all(dim=-1).all(dim=-1)  # (T',)
    if known is not None and known.any():
        result['A-MPJPE'] = round(joint_errors(forecast, target)[known].mean().item(), 2)
        if not known.all():
            result['scored_frames'] = int(known.sum())
    return result
