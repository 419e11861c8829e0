"""MotionMLP: linear layers along time on cosine coefficients, the baseline of siMLPe."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.forecasting.dct import dct_matrix
from projects.forecasting.forecaster import PoseForecaster, check_sizes

NORM_AXES = ('channels', 'time', 'none')


class TimeMixer(nn.Module):
    """A linear layer along time, normalised and added; the only block of siMLPe.

    Args:
        num_frames: Frames F, or coefficients.
        channels: Channels C.
        norm_axis: What the norm averages over, ``'channels'``, ``'time'`` or ``'none'``.
    """

    def __init__(self, num_frames: int, channels: int, norm_axis: str) -> None:
        super().__init__()
        self.mix = nn.Linear(num_frames, num_frames)
        self.norm_axis = norm_axis
        sizes = dict(channels=channels, time=num_frames)
        self.norm = nn.Identity() if norm_axis == 'none' else nn.LayerNorm(sizes[norm_axis])

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, C) to the same shape."""
        mixed = self.mix(x.transpose(1, 2))  # (B, C, F)
        if self.norm_axis == 'time':
            return x + self.norm(mixed).transpose(1, 2)
        return x + self.norm(mixed.transpose(1, 2))


@MODELS.register_module()
class MotionMLP(PoseForecaster):
    """Pose forecasting with linear layers and layer norms only.

    The network of siMLPe (Guo et al., "Back to MLP", WACV 2023): a cosine transform along time, one
    linear layer over the coordinates of all joints, blocks of a linear layer along time, one linear
    layer over the coordinates, the inverse transform, and the last observed pose added. Only the
    norms are not linear. Training starts near the last pose repeated, as in the paper's code.

    The paper sees 50 frames, makes 10, and is run on its own forecast for more. Here the frames
    seen may be fewer than those to make: the observed frames are continued by the last pose to
    T + T' frames before the transform, and the last T' of the frames that come out are the
    forecast. The paper's loss has a term of velocities; here the loss is the config's.

    Args:
        num_joints: Joints J.
        channels: Channels between the two layers over the coordinates; 3 J as in the paper if None.
        num_blocks: Blocks; 48 in the paper.
        norm_axis: What the norms average over: ``'channels'``, the paper's spatial axis and its
            best, ``'time'``, or ``'none'``.
        dct: Whether there is a cosine transform; without it the layers mix frames.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If ``norm_axis`` is unknown or a size is out of range.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int | None = None,
        num_blocks: int = 48,
        norm_axis: str = 'channels',
        dct: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_joints, **kwargs)
        channels = 3 * num_joints if channels is None else channels
        check_sizes(channels=channels, num_blocks=num_blocks)
        if norm_axis not in NORM_AXES:
            raise ValueError(f'norm_axis is {norm_axis!r}, expected one of {NORM_AXES}')
        frames = self.num_frames + self.num_frames_out
        # (K, F), K = F; no weights: it follows from the config
        self.register_buffer('dct', dct_matrix(frames) if dct else None, persistent=False)
        self.joints_in = nn.Linear(num_joints * self.in_channels, channels)
        self.blocks = nn.Sequential(
            *(TimeMixer(frames, channels, norm_axis) for _ in range(num_blocks))
        )
        self.joints_out = nn.Linear(channels, num_joints * 3)
        # almost zero, so that nothing moves at first; 48 normed blocks would move it by metres
        for layer in (*(block.mix for block in self.blocks), self.joints_out):
            nn.init.xavier_uniform_(layer.weight, gain=1e-8)
            nn.init.zeros_(layer.bias)

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """The network, see :meth:`PoseForecaster.displacements`."""
        last = seen[:, -1:].expand(-1, self.num_frames_out, -1, -1)
        x = torch.cat([seen, last], dim=1).flatten(2)  # (B, F, J * in_channels), F = T + T'
        if self.dct is not None:
            x = self.dct @ x
        x = self.joints_out(self.blocks(self.joints_in(x)))  # (B, F, J * 3)
        if self.dct is not None:
            x = self.dct.T @ x
        return x[:, -self.num_frames_out :].unflatten(2, (self.num_joints, 3))
