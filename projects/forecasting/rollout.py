"""Forecasts of any length from any number of observed poses."""

import torch
from torch import Tensor

from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.forecaster import PoseForecaster, check_sizes


def roll_out(model: PoseForecaster, observed: Tensor, num_frames: int) -> Tensor:
    """Forecast any number of frames: the model's own forecast is observed next.

    The model forecasts T' frames at a time. Of what was observed and forecast so far it sees the
    last T; where there are fewer, the first pose is repeated before them, a person who stood still.

    Args:
        model: Any forecaster, T to T' frames; in evaluation mode if it has layers that act
            otherwise in training.
        observed: (B, F, J, 3) millimetres, one or more frames F.
        num_frames: Frames to forecast, fewer or more than T'.

    Returns:
        (B, num_frames, J, 3) millimetres.

    Raises:
        ValueError: If ``num_frames`` or F is below 1, the poses are not the model's, or the model
            needs to see the future.
    """
    check_sizes(num_frames=num_frames)
    expected = (model.num_joints, 3)
    if observed.dim() != 4 or tuple(observed.shape[2:]) != expected or not observed.shape[1]:
        raise ValueError(
            f'observed has shape {tuple(observed.shape)}, expected (B, F, {model.num_joints}, 3) '
            'of one or more frames F'
        )
    if model.sees_future:
        raise ValueError(
            f'{type(model).__name__} is fed with the true future, which no rollout has; for an '
            "STCFormer use decoder_query 'last_pose'"
        )
    missing = model.num_frames - observed.shape[1]
    if missing > 0:
        still = repeat_last_pose(observed[:, :1], missing)
        observed = torch.cat([still, observed], dim=1)
    window = observed[:, -model.num_frames :]  # (B, T, J, 3)
    chunks: list[Tensor] = []
    while len(chunks) * model.num_frames_out < num_frames:
        chunks.append(model.forecast(window))
        window = torch.cat([window, chunks[-1]], dim=1)[:, -model.num_frames :]
    return torch.cat(chunks, dim=1)[:, :num_frames]
