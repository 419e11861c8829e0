"""What all forecasting models share: units, displacements, what they return in which mode."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn


class PoseForecaster(BaseModel, ABC):
    """A model that forecasts ``num_frames_out`` poses from ``num_frames`` observed ones.

    Subclasses build their layers and implement :meth:`displacements`. Data are in millimetres, the
    network's numbers are ``unit`` times smaller.

    Args:
        num_joints: Joints J.
        num_frames: Observed frames T.
        num_frames_out: Forecast frames T'.
        residual: Forecast displacements from the last observed pose instead of positions.
        displacement_input: Show the network each pose's displacement from the last one beside the
            pose. Ten times as large, for frames of one window differ by centimetres.
        unit: Millimetres in one unit of the network's coordinates; keeps them near 1.
        loss: Config of the loss, on positions in millimetres.
        data_preprocessor: As in mmengine's ``BaseModel``.
        init_cfg: As in mmengine's ``BaseModel``.

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(
        self,
        num_joints: int,
        num_frames: int = 10,
        num_frames_out: int = 25,
        residual: bool = True,
        displacement_input: bool = True,
        unit: float = 1000.0,
        loss: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        check_sizes(num_joints=num_joints, num_frames=num_frames, num_frames_out=num_frames_out)
        self.num_joints = num_joints
        self.num_frames = num_frames
        self.num_frames_out = num_frames_out
        self.residual = residual
        self.displacement_input = displacement_input
        self.unit = unit
        self.loss = MODELS.build(loss or dict(type='ForecastMPJPELoss'))

    @property
    def in_channels(self) -> int:
        """Numbers that the network sees of each observed joint."""
        return 6 if self.displacement_input else 3

    @property
    def sees_future(self) -> bool:
        """Whether the network is fed with what it is to forecast when it is tested."""
        return False

    def forward(
        self,
        observed: Tensor,
        target: Tensor | None = None,
        meta: dict[str, Any] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Forecast, or compute the loss.

        Args:
            observed: (B, T, J, 3) millimetres.
            target: (B, T', J, 3) millimetres; needed for the loss and by models that see the
                future.
            meta: What the data set says of the samples; not used by the network.
            mode: ``'tensor'``, ``'predict'`` or ``'loss'``.

        Returns:
            ``'tensor'``: the forecast (B, T', J, 3) in millimetres. ``'predict'``: B dicts with
            ``forecast`` (T', J, 3) and ``sees_future``. ``'loss'``: ``dict(loss=...)`` and, of some
            models, its parts.

        Raises:
            ValueError: If ``mode`` is unknown, a shape is not the model's, or a target is missing.
        """
        expected = (self.num_frames, self.num_joints, 3)
        if tuple(observed.shape[1:]) != expected:
            raise ValueError(
                f'observed has shape {tuple(observed.shape)}, expected (B, *{expected})'
            )
        if mode == 'loss':
            if target is None:
                raise ValueError("mode 'loss' needs the target")
            return self.losses(observed, target)
        if mode not in ('tensor', 'predict'):
            raise ValueError(f"mode is {mode!r}, expected 'tensor', 'predict' or 'loss'")
        forecast = self.forecast(observed, target)
        if mode == 'tensor':
            return forecast
        return [dict(forecast=one, sees_future=self.sees_future) for one in forecast]

    def forecast(self, observed: Tensor, target: Tensor | None = None) -> Tensor:
        """The forecast (B, T', J, 3) in millimetres; arguments as in :meth:`forward`."""
        return self.positions(self.displacements(self.seen(observed), observed, target), observed)

    def losses(self, observed: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Losses by name; arguments as in :meth:`forward`."""
        return dict(loss=self.loss(self.forecast(observed, target), target))

    def seen(self, observed: Tensor) -> Tensor:
        """What the network sees of the observed poses, (B, T, J, ``in_channels``), in its unit."""
        seen = observed / self.unit
        if not self.displacement_input:
            return seen
        return torch.cat([seen, 10 * (seen - seen[:, -1:])], dim=-1)

    def positions(self, displacements: Tensor, observed: Tensor) -> Tensor:
        """The network's output (B, F, J, 3), any number of frames F, as millimetres."""
        positions = displacements.to(observed.dtype) * self.unit
        return observed[:, -1:] + positions if self.residual else positions

    @abstractmethod
    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """The network.

        Args:
            seen: (B, T, J, ``in_channels``), see :meth:`seen`.
            observed: (B, T, J, 3) millimetres.
            target: As in :meth:`forward`; only for models that see the future.

        Returns:
            (B, T', J, 3) in the network's unit: displacements from the last observed pose if
            ``residual``, else positions.
        """


def check_sizes(**sizes: int) -> None:
    """Stop on sizes that are not positive.

    Args:
        sizes: By name.

    Raises:
        ValueError: Naming the first that is below 1.
    """
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f'{name} is {value}, expected 1 or more')
