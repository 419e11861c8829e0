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
        velocity_weight: Factor, beside it, of the mean error of the steps from one forecast frame
            to the next (Guo et al., "Back to MLP", WACV 2023). 0 leaves it out.
    """

    def __init__(self, loss_weight: float = 1.0, velocity_weight: float = 0.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.velocity_weight = velocity_weight

    def forward(self, forecast: Tensor, target: Tensor) -> Tensor:
        """The loss.

        Args:
            forecast: (B, T', J, 3) positions; without velocities any shape (..., 3).
            target: Same shape and unit.

        Returns:
            Scalar in the inputs' unit.

        Raises:
            ValueError: If the shapes differ.
        """
        loss = joint_errors(forecast, target).mean()
        if self.velocity_weight:
            steps = joint_errors(forecast.diff(dim=1), target.diff(dim=1))
            loss = loss + self.velocity_weight * steps.mean()
        return self.loss_weight * loss
