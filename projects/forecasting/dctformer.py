"""DCTFormer: attention over joints, each of which is its cosine coefficients along time."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.forecasting.dct import dct_matrix
from projects.forecasting.forecaster import PoseForecaster, check_sizes


class JointBlock(nn.Module):
    """Attention over joints and feed-forward, each normalised before, dropped out and added.

    Args:
        channels: Channels C.
        num_heads: Heads of the attention; divides C.
        ffn_ratio: Width of the feed-forward, as a multiple of C.
        dropout: After the attention, and in and after the feed-forward.
    """

    def __init__(self, channels: int, num_heads: int, ffn_ratio: float, dropout: float) -> None:
        super().__init__()
        hidden = int(channels * ffn_ratio)
        self.attention_norm = nn.LayerNorm(channels)
        # no dropout on its weights: the fused kernel has none on a CPU
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ffn = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, J, C) to the same shape."""
        normed = self.attention_norm(x)
        attended = self.attention(normed, normed, normed, need_weights=False)[0]
        x = x + self.dropout(attended)
        return x + self.ffn(x)


@MODELS.register_module()
class DCTFormer(PoseForecaster):
    """Pose forecasting with attention over joints whose features are whole trajectories.

    What is known to work in forecasting, in one small network: the observed frames are continued by
    the last pose to T + T' frames and turned into cosine coefficients along time (Mao et al.,
    "Learning Trajectory Dependencies for Human Motion Prediction", ICCV 2019); each joint is one
    token, which holds its coefficients and its last position; attention takes the place of that
    paper's learned graph over joints; the network gives the coefficients of displacements from the
    last pose. It starts as the forecast that nothing moves. There is no loop over frames and no
    token a frame, so it is cheap, and time is not coarser or finer than the coefficients kept.

    Args:
        num_joints: Joints J.
        channels: Hidden features C.
        num_blocks: Blocks.
        num_heads: Heads of the attention.
        ffn_ratio: Width of the feed-forward layers, as a multiple of C.
        dropout: Share of features dropped in training.
        num_coefficients: Slowest coefficients to keep, of T + T'; all if None.
        cosine: Whether a joint's features are cosine coefficients; otherwise its displacements in
            all frames as they are, to see what the transform is worth.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If a size is out of range, or coefficients are to be kept where there are none.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int = 128,
        num_blocks: int = 4,
        num_heads: int = 4,
        ffn_ratio: float = 2.0,
        dropout: float = 0.1,
        num_coefficients: int | None = None,
        cosine: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_joints, **kwargs)
        check_sizes(channels=channels, num_blocks=num_blocks, num_heads=num_heads)
        frames = self.num_frames + self.num_frames_out
        if num_coefficients is not None and not cosine:
            raise ValueError(
                f'num_coefficients is {num_coefficients}, expected None without cosine'
            )
        matrix = dct_matrix(frames, num_coefficients) if cosine else torch.eye(frames)
        self.register_buffer('dct', matrix, persistent=False)  # (K, F); follows from the config
        self.embed = nn.Linear(3 * len(matrix) + 3, channels)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(num_joints, channels))
        self.blocks = nn.Sequential(
            *(JointBlock(channels, num_heads, ffn_ratio, dropout) for _ in range(num_blocks))
        )
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 3 * len(matrix))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """The network, see :meth:`PoseForecaster.displacements`."""
        moved = seen[..., -3:]  # displacements, or positions without displacement_input
        still = moved[:, -1:].expand(-1, self.num_frames_out, -1, -1)
        moved = torch.cat([moved, still], dim=1)  # (B, F, J, 3), F = T + T'
        coefficients = torch.einsum('kf,bfjd->bjkd', self.dct, moved)
        x = torch.cat([coefficients.flatten(2), seen[:, -1, :, :3]], dim=-1)
        x = self.blocks(self.embed(x) + self.joint_embedding)  # (B, J, C)
        coefficients = self.head(self.norm(x)).unflatten(-1, (-1, 3))  # (B, J, K, 3)
        # in the unit of the displacements that are seen
        future = self.dct[:, -self.num_frames_out :].to(coefficients.dtype)  # (K, T')
        return torch.einsum('kf,bjkd->bfjd', future, coefficients) / 10
