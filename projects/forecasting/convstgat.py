"""ConvSTGAT: graph attention over the body, and a chain of convolutions to the future."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from projects.forecasting.attention import STCTimeMap
from projects.forecasting.forecaster import PoseForecaster, check_sizes
from projects.skeleton import SKELETONS


@MODELS.register_module()
class GraphAttention(nn.Module):
    """Graph attention over joints (Velickovic et al., ICLR 2018, equations 1 to 5).

    In each head, joint i gathers from its neighbours j, itself among them::

        e_ij = LeakyReLU(a . [W h_i || W h_j])
        out_i = sum_j softmax_j(e_ij) W h_j

    and the heads' outputs are joined. The paper's activation after it is left to the caller.

    Args:
        channels: Channels C in and out.
        num_joints: Joints J, the nodes.
        edges: Pairs of joints that see each other; all see all if None.
        num_heads: Heads H; divides C.
        negative_slope: Of the LeakyReLU; 0.2 in the paper.

    Raises:
        ValueError: If the channels do not divide by the heads, or an edge is no pair of joints.
    """

    def __init__(
        self,
        channels: int,
        num_joints: int,
        edges: Sequence[Sequence[int]] | None = None,
        num_heads: int = 1,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, num_joints=num_joints, num_heads=num_heads)
        if channels % num_heads:
            raise ValueError(
                f'channels is {channels}, expected a multiple of num_heads = {num_heads}'
            )
        self.num_heads = num_heads
        self.negative_slope = negative_slope
        self.value = nn.Linear(channels, channels, bias=False)  # W of all heads
        # a . [W h_i || W h_j] is a sum of one score of i and one of j
        shape = (2, num_heads, channels // num_heads)
        self.score = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))
        self.bias = nn.Parameter(torch.zeros(channels))
        # no weights: it follows from the config
        self.register_buffer('strangers', _strangers(num_joints, edges), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., J, C) to the same shape; leading axes are not mixed."""
        values = self.value(x).unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)
        # (..., H, J, C / H); scores of each joint as the one that gathers and as the one seen
        gathers, seen = (values @ score[:, :, None] for score in self.score)  # (..., H, J, 1) each
        scores = F.leaky_relu(gathers + seen.transpose(-1, -2), self.negative_slope)
        weights = scores.masked_fill(self.strangers, -torch.inf).softmax(-1)  # (..., H, J, J)
        return (weights @ values).transpose(-2, -3).flatten(-2) + self.bias


def _strangers(num_joints: int, edges: Sequence[Sequence[int]] | None) -> Tensor:
    """(J, J) bool, True where joint i does not see joint j."""
    if edges is None:
        return torch.zeros(num_joints, num_joints, dtype=torch.bool)
    strangers = ~torch.eye(num_joints, dtype=torch.bool)
    for edge in edges:
        if len(edge) != 2 or not all(0 <= joint < num_joints for joint in edge):
            raise ValueError(f'edge {edge} is no pair of joints in 0 to {num_joints - 1}')
        i, j = edge
        strangers[i, j] = strangers[j, i] = False
    return strangers


def skeleton_edges(name: str) -> list[tuple[int, int]]:
    """Bones between the forecast joints of a skeleton.

    Joints that hang on the pelvis or on one another by joints that never move are neighbours, so
    that legs and trunk are one body.

    Args:
        name: ``'human36m'`` or ``'cmu'``.

    Returns:
        Pairs (i, j) of indices into the forecast joints, i < j, sorted.

    Raises:
        ValueError: If the name is unknown.
    """
    if name not in SKELETONS:
        raise ValueError(f'skeleton is {name!r}, expected one of {sorted(SKELETONS)}')
    skeleton = SKELETONS[name]
    moving, still = len(skeleton.forecast_joints), len(skeleton.static_joints)
    bones = np.zeros((moving + still, moving + still), dtype=int)
    for i, j in skeleton.limbs():
        bones[i, j] = bones[j, i] = 1
    to_still = bones[:moving, moving:]
    # which static joints can be reached from which over static joints
    among_still = np.linalg.matrix_power(bones[moving:, moving:] + np.eye(still, dtype=int), still)
    seen = bones[:moving, :moving] + to_still @ among_still @ to_still.T
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(seen, 1))]


class ConvSTGATBlock(nn.Module):
    """Graph attention within each frame, then a convolution to another number of frames.

    Args:
        channels: Channels C.
        num_joints: Joints J.
        edges: As in :class:`GraphAttention`.
        num_heads: Heads of the attention.
        num_frames: Frames T in.
        num_frames_out: Frames T' out.
        kernel_size: Kernel of the convolution over joints and channels, odd.
    """

    def __init__(
        self,
        channels: int,
        num_joints: int,
        edges: Sequence[Sequence[int]] | None,
        num_heads: int,
        num_frames: int,
        num_frames_out: int,
        kernel_size: int,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = GraphAttention(channels, num_joints, edges, num_heads)
        self.conv_norm = nn.LayerNorm(channels)
        self.conv = STCTimeMap(num_frames, num_frames_out, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, J, C) to (B, T', J, C)."""
        x = x + F.elu(self.attention(self.attention_norm(x)))
        return self.conv(self.conv_norm(x))


@MODELS.register_module()
class ConvSTGAT(PoseForecaster):
    """Pose forecasting with graph attention and several convolutions that expand the time axis.

    Each block has one graph attention layer and one 2D convolution (document, appendix C,
    "ConvSTGAT"). The frames are the convolution's channels, and each block makes more of them, so
    that the observed frames become the forecast ones step by step. The document leaves open what
    the graph is, how many frames each block makes, and whether there are norms and residuals: here
    the graph is the body's, the frames grow by equal steps, the attention is added to what came in,
    and both layers see normalised features.

    Args:
        num_joints: Joints J.
        channels: Hidden features C.
        num_blocks: Blocks.
        num_heads: Heads of the graph attention.
        graph: Which joints see each other: the bones of a skeleton by its name, ``'human36m'`` or
            ``'cmu'``, pairs of joints, or None for all.
        time_expansion: Frames before the first block, then after each block, T to T'; equal steps
            if None.
        kernel_size: Kernel of the convolutions over joints and channels, odd.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If a size is out of range, the graph does not fit the joints, or
            ``time_expansion`` the frames and blocks.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int = 32,
        num_blocks: int = 3,
        num_heads: int = 4,
        graph: str | Sequence[Sequence[int]] | None = None,
        time_expansion: Sequence[int] | None = None,
        kernel_size: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_joints, **kwargs)
        check_sizes(num_blocks=num_blocks)
        if time_expansion is None:
            steps = np.linspace(self.num_frames, self.num_frames_out, num_blocks + 1)
            time_expansion = [int(frames) for frames in steps.round()]
        ends = (time_expansion[0], time_expansion[-1]) if len(time_expansion) else ()
        if len(time_expansion) != num_blocks + 1 or ends != (self.num_frames, self.num_frames_out):
            raise ValueError(
                f'time_expansion is {list(time_expansion)}, expected {num_blocks + 1} numbers of '
                f'frames from {self.num_frames} to {self.num_frames_out}'
            )
        for frames in time_expansion:
            check_sizes(**{'frames of time_expansion': frames})
        edges = graph
        if isinstance(graph, str):
            edges = skeleton_edges(graph)
            joints = len(SKELETONS[graph].forecast_joints)
            if joints != num_joints:
                raise ValueError(
                    f'graph {graph!r} has {joints} forecast joints, num_joints is {num_joints}'
                )
        self.embed = nn.Linear(self.in_channels, channels)
        self.blocks = nn.Sequential(
            *(
                ConvSTGATBlock(channels, num_joints, edges, num_heads, *frames, kernel_size)
                for frames in zip(time_expansion[:-1], time_expansion[1:], strict=True)
            )
        )
        self.head_norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 3)

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """All blocks, see :meth:`PoseForecaster.displacements`."""
        x = self.blocks(self.embed(seen))  # (B, T', J, C)
        return self.head(self.head_norm(x))
