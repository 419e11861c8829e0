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
class CrissCrossAttention(nn.Module):
    """Spatio-temporal criss-cross attention for self- and cross-attention.

    Queries, keys and values are split in two halves of the channels. In one, a joint attends to
    itself over all frames; in the other, a joint attends to all joints of its frame. The halves'
    outputs are joined. (Document, section STCFormer; Tang et al., CVPR 2023, section 3.2.)

    Time and joint axis of the memory have to be the query's. For a memory of ``memory_frames``
    frames a 2D convolution over the joints-by-channels plane, whose channels are the frames, maps
    it to ``query_frames`` (the document's "time explosion").

    Args:
        channels: Channels C of query and memory.
        num_heads: Heads of each half; divides C / 2.
        query_frames: Frames of the query, for cross-attention.
        memory_frames: Frames of the memory, for cross-attention.
        kernel_size: Kernel of the convolution over joints and channels, odd.

    Raises:
        ValueError: If the channels do not divide, or only one of the frame counts is given.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 1,
        query_frames: int | None = None,
        memory_frames: int | None = None,
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        if channels % (2 * num_heads):
            raise ValueError(
                f'channels is {channels}, expected a multiple of 2 * num_heads = {2 * num_heads}'
            )
        if (query_frames is None) != (memory_frames is None):
            raise ValueError(
                f'query_frames is {query_frames} and memory_frames {memory_frames}: '
                'cross-attention needs both, self-attention neither'
            )
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size is {kernel_size}, expected an odd number')
        self.num_heads = num_heads
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.time_map: nn.Conv2d | None = None
        if query_frames is not None:
            self.time_map = nn.Conv2d(
                memory_frames, query_frames, kernel_size, padding=kernel_size // 2
            )

    def forward(self, query: Tensor, memory: Tensor | None = None, causal: bool = False) -> Tensor:
        """Attend.

        Args:
            query: (B, T, J, C).
            memory: (B, T', J, C) to take keys and values from; the query itself if None.
            causal: Whether a frame sees only itself and the frames before it.

        Returns:
            (B, T, J, C).
        """
        memory = query if memory is None else memory
        if self.time_map is not None:
            memory = self.time_map(memory)  # (B, T', J, C) -> (B, T, J, C)
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
