"""Criss-cross attention: half of the channels look along time, half along the joints."""

from typing import NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


class KeysValues(NamedTuple):
    """What queries read of a memory; c are the channels of one head."""

    time_key: Tensor
    """(B, J, heads, T, c), of all frames that a joint may look at."""
    time_value: Tensor
    """Same shape."""
    joint_key: Tensor
    """(B, F, heads, J, c), F frames as the query has."""
    joint_value: Tensor
    """Same shape."""

    def at(self, frame: int) -> 'KeysValues':
        """What the query of one frame reads: all frames in one half, its own in the other."""
        own = slice(frame, frame + 1)
        return self._replace(joint_key=self.joint_key[:, own], joint_value=self.joint_value[:, own])


class PastFrames:
    """Keys and values of the frames decoded so far, for queries that come frame by frame.

    Only the half that looks along time needs them. Gradients stay enabled, or disabled, from the
    first frame to the last.

    Args:
        num_frames: Frames that will come.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.length = 0
        self._kept: tuple[Tensor, ...] = ()

    def append(self, new: KeysValues) -> KeysValues:
        """Keep one more frame.

        Args:
            new: Of one frame.

        Returns:
            What this frame's query reads: of the half along time all frames so far.

        Raises:
            ValueError: If it is not one frame, or one too many.
        """
        halves = new.time_key, new.time_value
        if new.time_key.shape[3] != 1:
            raise ValueError(f'{new.time_key.shape[3]} frames at once, expected 1')
        self.length += 1
        if self.length > self.num_frames:
            raise ValueError(f'{self.length} frames, expected {self.num_frames} at most')
        if torch.is_grad_enabled():
            past = self._join(halves)
        else:
            past = self._write(halves)
        return KeysValues(*past, new.joint_key, new.joint_value)

    def _join(self, halves: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Copies all frames, as a backward pass needs each state that was read."""
        if self._kept:
            halves = tuple(torch.cat(pair, dim=3) for pair in zip(self._kept, halves, strict=True))
        self._kept = halves
        return halves

    def _write(self, halves: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Copies the new frame only."""
        if not self._kept:
            B, J, heads, _, c = halves[0].shape
            shape = B, J, heads, self.num_frames, c
            self._kept = tuple(half.new_empty(shape) for half in halves)
        for kept, half in zip(self._kept, halves, strict=True):
            kept[:, :, :, self.length - 1] = half[:, :, :, 0]
        return tuple(kept[:, :, :, : self.length] for kept in self._kept)


def _attend(query: Tensor, key: Tensor, value: Tensor, causal: bool = False) -> Tensor:
    """Attention of (B, M, heads, L, c) to (B, M, heads, S, c), M not mixed, to (B, M, L, C / 2)."""
    B, M, heads, L, c = query.shape
    # (B * M, heads, ., c), the kernel's shape
    query, key, value = (tokens.flatten(0, 1) for tokens in (query, key, value))
    if L > 1:
        out = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    else:
        out = _attend_once(query, key, value)
    return out.transpose(1, 2).reshape(B, M, L, heads * c)


def _attend_once(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of one query, (N, heads, 1, c) to (N, heads, S, c), where a CPU's kernels are slow.

    The fused one is with one query and many keys; softmax is below 16 numbers; and a matrix product
    is below 400 multiplications. See tools/benchmarks/forecast_rollout.py.
    """
    S, c = key.shape[2:]
    scores = (query * c**-0.5) @ key.mT  # (N, heads, 1, S)
    if S < 16:
        scores = F.pad(scores, (0, 16 - S), value=-torch.inf)
    weights = scores.softmax(dim=-1)[..., :S]
    if S * c < 400:
        return (weights.mT * value).sum(dim=2, keepdim=True)
    return weights @ value


@MODELS.register_module()
class STCAttention(nn.Module):
    """Spatio-temporal criss-cross attention for self- and cross-attention.

    Queries, keys and values are split in two halves of the channels. In one, a joint attends to
    itself over all frames; in the other, a joint attends to all joints of its frame. The halves'
    outputs are joined. (Document, section STCFormer; Tang et al., CVPR 2023, section 3.2.)

    The memory has as many frames and joints as the query; :class:`STCTimeMap` makes it so. Queries
    may also come frame by frame, see :meth:`KeysValues.at` and :class:`PastFrames`.

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

    def forward(
        self, query: Tensor, memory: Tensor | KeysValues | None = None, causal: bool = False
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, T, J, C).
            memory: (B, T, J, C) to take keys and values from, or these as :meth:`project` or
                :class:`PastFrames` give them; the query itself if None.
            causal: Whether a frame sees only itself and the frames before it.

        Returns:
            (B, T, J, C).
        """
        if not isinstance(memory, KeysValues):
            memory = self.project(query if memory is None else memory)
        time_query, joint_query = self.query(query).chunk(2, dim=-1)  # (B, T, J, C / 2) each
        time_query, joint_query = self._along_time(time_query), self._along_joints(joint_query)
        over_time = _attend(time_query, memory.time_key, memory.time_value, causal)
        over_joints = _attend(joint_query, memory.joint_key, memory.joint_value)
        return torch.cat([over_time.transpose(1, 2), over_joints], dim=-1)

    def project(self, memory: Tensor) -> KeysValues:
        """Keys and values of a memory (B, T, J, C), to be read once or, frame by frame, often."""
        time_key, joint_key, time_value, joint_value = self.key_value(memory).chunk(4, dim=-1)
        return KeysValues(
            self._along_time(time_key).contiguous(),  # else each read would copy it
            self._along_time(time_value).contiguous(),
            self._along_joints(joint_key),
            self._along_joints(joint_value),
        )

    def _along_time(self, tokens: Tensor) -> Tensor:
        """(B, T, J, C / 2) to (B, J, heads, T, c)."""
        return tokens.unflatten(-1, (self.num_heads, -1)).permute(0, 2, 3, 1, 4)

    def _along_joints(self, tokens: Tensor) -> Tensor:
        """(B, T, J, C / 2) to (B, T, heads, J, c)."""
        return tokens.unflatten(-1, (self.num_heads, -1)).permute(0, 1, 3, 2, 4)


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
