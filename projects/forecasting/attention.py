"""Criss-cross attention: half of the channels look along time, half along the joints."""

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


def _attend(query: Tensor, key: Tensor, value: Tensor, num_heads: int, causal: bool) -> Tensor:
    """Attention along the last but one axis; (B, M, L, C) each, M axis not mixed."""
    B, M, L, C = query.shape

    def heads(tokens: Tensor) -> Tensor:
        # (B * M, num_heads, L, C / num_heads)
        return tokens.reshape(B * M, L, num_heads, C // num_heads).transpose(1, 2)

    out = F.scaled_dot_product_attention(heads(query), heads(key), heads(value), is_causal=causal)
    return out.transpose(1, 2).reshape(B, M, L, C)


@MODELS.register_module()
class STCAttention(nn.Module):
    """Spatio-temporal criss-cross attention for self- and cross-attention.

    Queries, keys and values are split in two halves of the channels. In one, a joint attends to
    itself over all frames; in the other, a joint attends to all joints of its frame. The halves'
    outputs are joined. (Document, section STCFormer; Tang et al., CVPR 2023, section 3.2.)

    The memory has as many frames and joints as the query; :class:`STCTimeMap` makes it so.

    Args:
        channels: Channels C of query and memory.
        num_heads: Heads of each half; divides C / 2.

    Raises:
        ValueError: If the channels do not divide.
    """

    def __init__(self, channels: int, num_heads: int = 1) -> None:
        super().__init__()
        if channels % (2 * num_heads):
            raise ValueError(
                f'channels is {channels}, expected a multiple of 2 * num_heads = {2 * num_heads}'
            )
        self.num_heads = num_heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)

    def forward(self, query: Tensor, memory: Tensor | None = None, causal: bool = False) -> Tensor:
        """Attend.

        Args:
            query: (B, T, J, C).
            memory: (B, T, J, C) to take keys and values from; the query itself if None.
            causal: Whether a frame sees only itself and the frames before it.

        Returns:
            (B, T, J, C).
        """
        memory = query if memory is None else memory
        time_query, joint_query = self.query(query).chunk(2, dim=-1)  # (B, T, J, C / 2) each
        key, value = self.key_value(memory).chunk(2, dim=-1)
        time_key, joint_key = key.chunk(2, dim=-1)
        time_value, joint_value = value.chunk(2, dim=-1)
        along_time = _attend(
            *(half.transpose(1, 2) for half in (time_query, time_key, time_value)),  # (B, J, T, ·)
            self.num_heads,
            causal,
        ).transpose(1, 2)
        along_joints = _attend(joint_query, joint_key, joint_value, self.num_heads, False)
        return torch.cat([along_time, along_joints], dim=-1)


@MODELS.register_module()
class STCTimeMap(nn.Conv2d):
    """Maps the time axis of a memory to that of the queries which read it.

    A 2D convolution whose channels are the frames; its kernel runs over the joints-by-channels
    plane (the document's "explosion" of the temporal dimension). As each output frame has weights
    of its own, it also tells the frames apart.

    Args:
        num_frames: Frames T of the memory.
        num_frames_out: Frames T' of the queries.
        kernel_size: Kernel over joints and channels, odd.

    Raises:
        ValueError: If the kernel size is even.
    """

    def __init__(self, num_frames: int, num_frames_out: int, kernel_size: int = 3) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size is {kernel_size}, expected an odd number')
        super().__init__(num_frames, num_frames_out, kernel_size, padding=kernel_size // 2)

    def forward(self, memory: Tensor) -> Tensor:
        """(B, T, J, C) to (B, T', J, C)."""
        return super().forward(memory)
