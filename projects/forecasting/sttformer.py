"""STTFormer: attention over joints and along time in turn, one convolution to the future."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.forecasting.attention import STCTimeMap
from projects.forecasting.forecaster import PoseForecaster, check_sizes
from projects.forecasting.stcformer import FeedForward


@MODELS.register_module()
class STABlock(nn.Module):
    """Attention over the joints of a frame, attention along the time of a joint, feed-forward.

    Each part is normalised before and added. The attentions are separate layers on all channels,
    unlike :class:`~projects.forecasting.attention.STCAttention`, which halves the channels.

    Args:
        channels: Channels C.
        num_heads: Heads of each attention; divides C.
        ffn_ratio: Width of the feed-forward, as a multiple of C.

    Raises:
        ValueError: If the channels do not divide by the heads.
    """

    def __init__(self, channels: int, num_heads: int = 1, ffn_ratio: float = 1.0) -> None:
        super().__init__()
        check_sizes(channels=channels, num_heads=num_heads)
        if channels % num_heads:
            raise ValueError(
                f'channels is {channels}, expected a multiple of num_heads = {num_heads}'
            )
        self.joint_norm = nn.LayerNorm(channels)
        self.joint_attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.time_norm = nn.LayerNorm(channels)
        self.time_attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, J, C) to the same shape; every frame sees all frames."""
        x = x + _attend(self.joint_attention, self.joint_norm(x))
        along_time = _attend(self.time_attention, self.time_norm(x).transpose(1, 2))  # (B, J, T, C)
        x = x + along_time.transpose(1, 2)
        return x + self.ffn(self.ffn_norm(x))


def _attend(attention: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """Self-attention along the last but one axis of (B, M, L, C); the M axis is not mixed."""
    rows = x.flatten(0, 1)  # (B * M, L, C)
    return attention(rows, rows, rows, need_weights=False)[0].view_as(x)


@MODELS.register_module()
class STTFormer(PoseForecaster):
    """Pose forecasting with a separable space-time encoder and one convolution to the future.

    The document calls the model that its course provided STTFormer and its block STABlock. It says
    that one final convolution, whose channels are the frames, makes the forecast frames of the
    observed ones, and no more; the rest is of Qiu et al., "Spatio-Temporal Tuples Transformer",
    2022, or chosen here:

    - From the paper: each coordinate is mapped to C channels, positions of frames and joints are
      told to the network, a block looks over the joints, then along time.
    - The paper aggregates frames by a convolution, and its attentions have tanh for a softmax and
      weights learned beside. Here both directions are plain softmax attentions, one layer each.
    - The paper puts several consecutive frames in one tuple. Ten frames are few: a tuple is one.
    - Positions are learned and added once before the first block, where the paper adds sines
      before each. Norms stand before the layers, as in STCFormer here, and are no batch norms.

    Args:
        num_joints: Joints J.
        channels: Hidden features C.
        num_blocks: Blocks of the encoder.
        num_heads: Heads of each attention.
        ffn_ratio: Width of the feed-forward layers, as a multiple of C; 1 as in the paper.
        position_embedding: Add a learned embedding of each frame and joint; without one only the
            final convolution tells frames apart.
        kernel_size: Kernel of the final convolution over joints and coordinates, odd.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If a size is out of range.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int = 32,
        num_blocks: int = 4,
        num_heads: int = 2,
        ffn_ratio: float = 1.0,
        position_embedding: bool = True,
        kernel_size: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_joints, **kwargs)
        check_sizes(num_blocks=num_blocks)
        self.embed = nn.Linear(self.in_channels, channels)
        self.frame_embedding: nn.Parameter | None = None
        self.joint_embedding: nn.Parameter | None = None
        if position_embedding:
            self.frame_embedding = nn.Parameter(0.02 * torch.randn(self.num_frames, 1, channels))
            self.joint_embedding = nn.Parameter(0.02 * torch.randn(num_joints, channels))
        self.encoder = nn.Sequential(
            *(STABlock(channels, num_heads, ffn_ratio) for _ in range(num_blocks))
        )
        self.encoder_norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 3)
        self.time_map = STCTimeMap(self.num_frames, self.num_frames_out, kernel_size)

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """Encoder and convolution, see :meth:`PoseForecaster.displacements`."""
        x = self.embed(seen)  # (B, T, J, C)
        if self.frame_embedding is not None:
            x = x + self.frame_embedding + self.joint_embedding
        poses = self.head(self.encoder_norm(self.encoder(x)))  # (B, T, J, 3)
        return self.time_map(poses)  # (B, T', J, 3)
