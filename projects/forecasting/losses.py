"""Position errors of forecasts."""

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


def joint_errors(forecast: Tensor, target: Tensor) -> Tensor:
    """Euclidean distance of every joint from its true position.

    Args:
        forecast: (..., 3) positions.
        target: Same shape and unit.

    Returns:
        (...) distances in the same unit.

    Raises:
        ValueError: If the shapes differ (broadcasting would average other joints than meant).
    """
    if forecast.shape != target.shape:
        raise ValueError(
            f'forecast has shape {tuple(forecast.shape)}, target {tuple(target.shape)}'
        )
    return torch.linalg.vector_norm(forecast - target, dim=-1)


@MODELS.register_module()
class ForecastMPJPELoss(nn.Module):
    """Mean per-joint position error over samples, frames and joints: A-MPJPE.

    The document calls its training loss and its score by this one name.

    Args:
        loss_weight: Factor of the loss.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, forecast: Tensor, target: Tensor) -> Tensor:
        """Scalar loss in the inputs' unit; see :func:`joint_errors` for shapes."""
        return self.loss_weight * joint_errors(forecast, target).mean()
