"""Forecasts that need no learning, to be beaten."""

import torch
from torch import Tensor


def repeat_last_pose(observed: Tensor, num_frames_out: int) -> Tensor:
    """The forecast that nothing moves.

    Args:
        observed: (B, T, J, 3).
        num_frames_out: Frames T' to forecast.

    Returns:
        (B, T', J, 3).
    """
    return observed[:, -1:].expand(-1, num_frames_out, -1, -1)


def constant_velocity(observed: Tensor, num_frames_out: int) -> Tensor:
    """The forecast that every joint goes on as between the last two observed frames.

    Args:
        observed: (B, T, J, 3), T of 2 or more.
        num_frames_out: Frames T' to forecast.

    Returns:
        (B, T', J, 3).

    Raises:
        ValueError: If only one frame is observed.
    """
    if observed.shape[1] < 2:
        raise ValueError('a velocity needs 2 observed frames, found 1')
    velocity = observed[:, -1:] - observed[:, -2:-1]
    steps = torch.arange(1, num_frames_out + 1, dtype=observed.dtype, device=observed.device)
    return observed[:, -1:] + velocity * steps.view(1, -1, 1, 1)


BASELINES = {'repeat-last-pose': repeat_last_pose, 'constant-velocity': constant_velocity}
"""The baselines by the names that results carry."""
