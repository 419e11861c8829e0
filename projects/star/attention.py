"""The attentions of STAR-Transformer: full, zigzag and binary, over space and time at once.

Letters: B batch, T frames, S tokens a frame, K class tokens, L = K + T * S tokens, C channels,
H heads, D = C / H channels a head. Tokens come as (B, L, C): the class tokens first, then the
frames one after another. The order of tokens inside a frame changes nothing but the order of the
output.
"""

from abc import ABC, abstractmethod

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

_QUERY_CHUNK = 256  # queries whose weights `frame_attention` holds at once


class SpatioTemporalAttention(nn.Module, ABC):
    """What the three attentions share: projections, checks, and the attention paid to frames.

    A subclass says which frames a frame attends to. Neither residual nor norm is inside.

    Args:
        embed_dims: Channels C.
        num_heads: Heads H; divides C.
        dropout: Share of attention weights dropped in training. On a CPU torch has no fused kernel
            with dropout: then all scores are held in memory, as without this module.
        bias: Whether the projections have biases.

    Raises:
        ValueError: If the channels do not divide, or dropout is not in [0, 1).
    """

    def __init__(
        self, embed_dims: int, num_heads: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dims < 1 or embed_dims % num_heads:
            raise ValueError(
                f'embed_dims is {embed_dims} and num_heads {num_heads}, '
                f'expected a positive multiple of num_heads'
            )
        if not 0 <= dropout < 1:
            raise ValueError(f'dropout is {dropout}, expected 0 or more and less than 1')
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.dropout = dropout
        self.qkv = nn.Linear(embed_dims, 3 * embed_dims, bias=bias)
        self.proj = nn.Linear(embed_dims, embed_dims, bias=bias)

    @abstractmethod
    def visible(self, num_frames: int) -> Tensor:
        """Which frames' keys a frame's queries see; class tokens see and are seen by all.

        Args:
            num_frames: T.

        Returns:
            (T, T) bool, rows are queries and columns keys, True = sees.

        Raises:
            ValueError: If there are too few frames.
        """

    @abstractmethod
    def _attend(self, x: Tensor, num_frames: int, num_class_tokens: int) -> Tensor:
        """From tokens to their weighted values, (B, L, C) both."""

    def forward(self, x: Tensor, num_frames: int, num_class_tokens: int = 0) -> Tensor:
        """Attend.

        Args:
            x: (B, K + T * S, C).
            num_frames: T.
            num_class_tokens: K.

        Returns:
            (B, K + T * S, C), the tokens in the order of ``x``.

        Raises:
            ValueError: If the shape does not fit, or there are too few frames.
        """
        self._tokens_per_frame(x, num_frames, num_class_tokens)
        return self.proj(self._attend(x, num_frames, num_class_tokens))

    @torch.no_grad()
    def frame_attention(self, x: Tensor, num_frames: int, num_class_tokens: int = 0) -> Tensor:
        """The attention that each frame pays to each frame, for drawings; without dropout.

        A row is the mean over the query frame's tokens of the weights summed over the key frame's
        tokens. It sums to 1 less what goes to class tokens; to 1 where there are none. Weights are
        made plainly by softmax, some hundred queries at once, so memory grows with L and not L².

        Args:
            x: (B, K + T * S, C).
            num_frames: T.
            num_class_tokens: K.

        Returns:
            (B, H, T, T), rows are query frames; (B, H, 1 + T, T) if K > 0, where the row before
            the frames' is the mean over the class tokens' queries. No gradient.

        Raises:
            ValueError: As :meth:`forward`.
        """
        T, K = num_frames, num_class_tokens
        S = self._tokens_per_frame(x, T, K)
        sees = F.pad(self.visible(T), (0, 1, 0, 1), value=True)  # (T + 1, T + 1), classes last
        frame = torch.cat([torch.full((K,), T), torch.arange(T).repeat_interleave(S)])  # (L,)
        sees = sees[:, frame].to(x.device)  # (T + 1, L)
        query, key, _ = self._heads(x)  # (B, H, L, D)
        key = key.transpose(-2, -1) / key.shape[-1] ** 0.5  # (B, H, D, L)

        def paid(query: Tensor, frame: Tensor) -> Tensor:
            weights = (query @ key).masked_fill(~sees[frame], -torch.inf).softmax(-1)
            return weights[..., K:].unflatten(-1, (T, S)).sum(-1)  # (B, H, queries, T)

        queries = zip(query.split(_QUERY_CHUNK, 2), frame.split(_QUERY_CHUNK), strict=True)
        rows = torch.cat([paid(*chunk) for chunk in queries], dim=2)  # (B, H, L, T)
        frames = rows[:, :, K:].unflatten(2, (T, S)).mean(3)  # (B, H, T, T)
        classes = rows[:, :, :K].mean(2, keepdim=True)
        return torch.cat([classes, frames], dim=2) if K else frames

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, H, L, D) each: views of one projection, nothing copied."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # (B, L, 3, H, D)
        # unbind before transpose: its backward then stacks what the fused kernels write into the
        # layout that the projection's backward reads, one copy in all
        query, key, value = (part.transpose(1, 2) for part in qkv.unbind(2))
        return query, key, value

    def _weigh(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Softmax attention of (B, H, L, D) queries; the output is (B, L, C)."""
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return out.transpose(1, 2).flatten(2)  # a view: fused kernels write (B, L, H, D)

    def _tokens_per_frame(self, x: Tensor, num_frames: int, num_class_tokens: int) -> int:
        """S, once everything fits."""
        if x.ndim != 3 or x.shape[2] != self.embed_dims:
            raise ValueError(
                f'x has shape {tuple(x.shape)}, '
                f'expected (batch, tokens, embed_dims = {self.embed_dims})'
            )
        if num_frames < 1 or num_class_tokens < 0:
            raise ValueError(
                f'num_frames is {num_frames} and num_class_tokens {num_class_tokens}, '
                f'expected at least 1 and 0'
            )
        tokens, rest = divmod(x.shape[1] - num_class_tokens, num_frames)
        if rest or tokens < 1:
            raise ValueError(
                f'x has {x.shape[1]} tokens, expected {num_class_tokens} class tokens and then '
                f'{num_frames} frames of equally many, at least one each'
            )
        return tokens


@MODELS.register_module()
class FAttn(SpatioTemporalAttention):
    """Full spatio-temporal attention: each token attends to all tokens of all frames.

    ``Softmax(Q K^T / sqrt(d_h)) V`` over the T²S² pairs (document, section FAttn; Ahn et al.,
    WACV 2023, section 3.2). Arguments are those of :class:`SpatioTemporalAttention`.
    """

    def visible(self, num_frames: int) -> Tensor:
        """Each frame sees all frames.

        Args:
            num_frames: T.

        Returns:
            (T, T) bool, all True.
        """
        return torch.ones(num_frames, num_frames, dtype=torch.bool)

    def _attend(self, x: Tensor, num_frames: int, num_class_tokens: int) -> Tensor:
        return self._weigh(*self._heads(x))


class SplitAttention(SpatioTemporalAttention):
    """Two groups of frames: each one's queries attend to the keys and values of the other.

    ``a' = Softmax(Q' K''^T / sqrt(d_h)) V''``, ``a''`` with the groups exchanged, and the output
    is both, each frame at its place. Either has T²S² / 4 pairs.

    The document does not say what class tokens do. Here they stand outside of the split: they are
    among the keys and values of both groups, and as queries they attend to all tokens. A class
    token inside one group would read only the other half of the clip, and the head, which sees
    nothing but class tokens, would never be told of its own half by this module. Without class
    tokens it is the document's formula.

    Arguments are those of :class:`SpatioTemporalAttention`.
    """

    @abstractmethod
    def first_group(self, num_frames: int) -> range:
        """The frames of the first group; if T is odd it has one more than the second.

        Args:
            num_frames: T.
        """

    def visible(self, num_frames: int) -> Tensor:
        """Each frame sees the frames of the other group.

        Args:
            num_frames: T.

        Returns:
            (T, T) bool, rows are queries and columns keys, True = sees.

        Raises:
            ValueError: If there is one frame: the second group would be empty, and the softmax
                of the first would have nothing to sum over.
        """
        first = torch.zeros(num_frames, dtype=torch.bool)
        first[list(self._groups(num_frames)[0])] = True
        return first[:, None] != first

    def _groups(self, num_frames: int) -> tuple[list[int], list[int]]:
        if num_frames < 2:
            raise ValueError(
                f'num_frames is {num_frames}, expected at least 2 frames, '
                f'as {type(self).__name__} lets one half of them attend to the other'
            )
        first = self.first_group(num_frames)
        return list(first), [frame for frame in range(num_frames) if frame not in first]

    def _attend(self, x: Tensor, num_frames: int, num_class_tokens: int) -> Tensor:
        T, K = num_frames, num_class_tokens
        S = (x.shape[1] - K) // T
        first, second = self._groups(T)
        # In the order (first group, class tokens, second group) the keys of either group, which
        # are the class tokens and the other group, lie in one piece: views, no masks, no copies.
        classes, *frames = x.split([K] + [S] * T, dim=1)
        x = torch.cat([*(frames[i] for i in first), classes, *(frames[i] for i in second)], dim=1)
        query, key, value = self._heads(x)  # (B, H, L, D)
        M, N = len(first) * S, len(second) * S
        one, free, two = query.split([M, K, N], dim=2)
        ones = self._weigh(one, key[:, :, M:], value[:, :, M:])  # (B, M, C)
        twos = self._weigh(two, key[:, :, : M + K], value[:, :, : M + K])  # (B, N, C)
        out = dict(zip(first + second, ones.split(S, 1) + twos.split(S, 1), strict=True))
        frames = [out[frame] for frame in range(T)]
        return torch.cat([self._weigh(free, key, value), *frames] if K else frames, dim=1)


@MODELS.register_module()
class ZAttn(SplitAttention):
    """Zigzag attention: odd frames attend to even frames, and even to odd.

    (Document, section ZAttn; Ahn et al., WACV 2023, section 3.2.) The groups are the 1st, 3rd, ...
    frame and the 2nd, 4th, ... one, so neighbours in time look at each other. See
    :class:`SplitAttention` for class tokens, and :class:`SpatioTemporalAttention` for arguments.
    """

    def first_group(self, num_frames: int) -> range:
        """The odd frames, counted from 1.

        Args:
            num_frames: T.
        """
        return range(0, num_frames, 2)


@MODELS.register_module()
class BAttn(SplitAttention):
    """Binary attention: the first half of the frames attends to the second half, and reverse.

    (Document, section BAttn; Ahn et al., WACV 2023, section 3.2.) See :class:`SplitAttention` for
    class tokens, and :class:`SpatioTemporalAttention` for arguments.
    """

    def first_group(self, num_frames: int) -> range:
        """The first half of the frames.

        Args:
            num_frames: T.
        """
        return range((num_frames + 1) // 2)
