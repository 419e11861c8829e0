"""STCFormer: an encoder-decoder of criss-cross attention that forecasts poses."""

from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.forecasting.attention import KeysValues, PastFrames, STCAttention, STCTimeMap
from projects.forecasting.baselines import repeat_last_pose
from projects.forecasting.forecaster import PoseForecaster, check_sizes

DECODER_QUERIES = ('last_pose', 'true_future', 'shifted_future')


class FeedForward(nn.Sequential):
    """Two linear layers around a GELU, on each joint of each frame.

    Args:
        channels: Channels in and out.
        ratio: Channels between, as a multiple.
    """

    def __init__(self, channels: int, ratio: float) -> None:
        hidden = int(channels * ratio)
        super().__init__(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))


class EncoderBlock(nn.Module):
    """Criss-cross self-attention and feed-forward, each normalised before and added.

    Args:
        channels: Channels C.
        num_heads: Heads of each half of the attention.
        ffn_ratio: Width of the feed-forward, as a multiple of C.
    """

    def __init__(self, channels: int, num_heads: int, ffn_ratio: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = STCAttention(channels, num_heads)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, J, C) to the same shape; every frame sees all observed frames."""
        x = x + self.attention(self.attention_norm(x))
        return x + self.ffn(self.ffn_norm(x))


class DecoderBlock(nn.Module):
    """Masked criss-cross self-attention, cross-attention to the memory, and feed-forward.

    Args:
        channels: Channels C.
        num_heads: Heads of each half of the attentions.
        ffn_ratio: Width of the feed-forward, as a multiple of C.
    """

    def __init__(self, channels: int, num_heads: int, ffn_ratio: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(channels)
        self.attention = STCAttention(channels, num_heads)
        self.cross_norm = nn.LayerNorm(channels)
        self.cross_attention = STCAttention(channels, num_heads)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = FeedForward(channels, ffn_ratio)

    def forward(
        self, x: Tensor, memory: Tensor | KeysValues, past: PastFrames | None = None
    ) -> Tensor:
        """One pass over all frames, or one more frame.

        Args:
            x: (B, T', J, C), or (B, 1, J, C) of the next frame if ``past`` is given.
            memory: (B, T', J, C), or what ``cross_attention`` reads of it.
            past: Frames that went through this block before; takes in the new one.

        Returns:
            The shape of ``x``.
        """
        normed = self.attention_norm(x)
        if past is None:
            x = x + self.attention(normed, causal=True)
        else:
            x = x + self.attention(normed, past.append(self.attention.project(normed)))
        x = x + self.cross_attention(self.cross_norm(x), memory)
        return x + self.ffn(self.ffn_norm(x))


@MODELS.register_module()
class STCFormer(PoseForecaster):
    """Pose forecasting with an encoder-decoder of criss-cross attention.

    The encoder turns the observed frames into a memory. The decoder starts from a query of
    ``num_frames_out`` poses, under a triangular mask along time, and reads the memory through a
    convolution that maps its time axis (document ``STCFormer``).

    What the decoder starts from is ``decoder_query``:

    - ``'last_pose'``: the last observed pose in every frame. It is known when forecasting, it is
      the best constant guess, and the time map tells the frames apart. The model then forecasts
      displacements from it (``residual``).
    - ``'true_future'``: the frames to be forecast themselves, as the document trains and tests.
      Its score says how well the model copies, not how well it forecasts: a diagnostic.
    - ``'shifted_future'``: the true frames one frame late, so that every frame is forecast from
      the true one before it. Also a diagnostic.

    Args:
        num_joints: Joints J.
        channels: Hidden features C.
        num_blocks: Blocks of the decoder, and of the encoder if no other number is given.
        num_heads: Heads of each half of the attention.
        ffn_ratio: Width of the feed-forward layers, as a multiple of C; 1/4 brings the model to the
            document's size.
        decoder_query: See above.
        position_embedding: Add a learned embedding of each frame and joint to encoder and decoder.
            The document has none.
        num_encoder_blocks: Blocks of the encoder.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If ``decoder_query`` is unknown or a size is out of range.
    """

    encoder_block: type[nn.Module] = EncoderBlock

    def __init__(
        self,
        num_joints: int,
        channels: int = 32,
        num_blocks: int = 2,
        num_heads: int = 1,
        ffn_ratio: float = 0.25,
        decoder_query: str = 'last_pose',
        position_embedding: bool = False,
        num_encoder_blocks: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_joints, **kwargs)
        if decoder_query not in DECODER_QUERIES:
            raise ValueError(
                f'decoder_query is {decoder_query!r}, expected one of {DECODER_QUERIES}'
            )
        num_encoder_blocks = num_blocks if num_encoder_blocks is None else num_encoder_blocks
        check_sizes(num_blocks=num_blocks, num_encoder_blocks=num_encoder_blocks)
        self.decoder_query = decoder_query
        self.embed_observed = nn.Linear(self.in_channels, channels)
        self.embed_query = nn.Linear(self.query_channels, channels)
        self.position_embedding: nn.ParameterDict | None = None
        if position_embedding:
            shapes = dict(
                observed_frame=(self.num_frames, 1, channels),
                query_frame=(self.num_frames_out, 1, channels),
                observed_joint=(num_joints, channels),
                query_joint=(num_joints, channels),
            )
            self.position_embedding = nn.ParameterDict(
                {name: nn.Parameter(0.02 * torch.randn(shape)) for name, shape in shapes.items()}
            )
        self.encoder = nn.ModuleList(
            self.encoder_block(channels, num_heads, ffn_ratio) for _ in range(num_encoder_blocks)
        )
        self.encoder_norm = nn.LayerNorm(channels)
        self.time_map = STCTimeMap(self.num_frames, self.num_frames_out)
        self.decoder = nn.ModuleList(
            DecoderBlock(channels, num_heads, ffn_ratio) for _ in range(num_blocks)
        )
        self.decoder_norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, self.out_channels)

    @property
    def sees_future(self) -> bool:
        """Whether the decoder is fed with what it is to forecast."""
        return self.decoder_query != 'last_pose'

    @property
    def query_channels(self) -> int:
        """Numbers of each joint that the decoder starts from."""
        return 3

    @property
    def out_channels(self) -> int:
        """Numbers of each joint that the decoder gives."""
        return 3

    def displacements(self, seen: Tensor, observed: Tensor, target: Tensor | None) -> Tensor:
        """Encoder and decoder, see :meth:`PoseForecaster.displacements`."""
        query = self._query(observed, target)
        return self.decode(query / self.unit, self.memory(seen))

    def decode(self, query: Tensor, memory: Tensor) -> Tensor:
        """One pass of the decoder over all frames.

        Args:
            query: (B, T', J, ``query_channels``) in the network's unit.
            memory: (B, T', J, C), see :meth:`memory`.

        Returns:
            (B, T', J, ``out_channels``).
        """
        x = self.embed(query)
        for block in self.decoder:
            x = block(x, memory)
        return self.head(self.decoder_norm(x))

    def embed(self, query: Tensor, first_frame: int = 0) -> Tensor:
        """Queries (B, F, J, ``query_channels``) of F frames from one on, to (B, F, J, C)."""
        x = self.embed_query(query)
        if self.position_embedding is None:
            return x
        frames = self.position_embedding['query_frame'][first_frame : first_frame + x.shape[1]]
        return x + frames + self.position_embedding['query_joint']

    def memory(self, seen: Tensor) -> Tensor:
        """What the decoder reads of the observed frames.

        Args:
            seen: (B, T, J, ``in_channels``), see :meth:`PoseForecaster.seen`.

        Returns:
            (B, T', J, C).
        """
        memory = self.embed_observed(seen)  # (B, T, J, C)
        if self.position_embedding is not None:
            position = self.position_embedding
            memory = memory + position['observed_frame'] + position['observed_joint']
        for block in self.encoder:
            memory = block(memory)
        return self.time_map(self.encoder_norm(memory))

    def _query(self, observed: Tensor, target: Tensor | None) -> Tensor:
        """Poses that the decoder starts from, (B, T', J, 3) millimetres."""
        if self.decoder_query == 'last_pose':
            return repeat_last_pose(observed, self.num_frames_out)
        expected = (len(observed), self.num_frames_out, self.num_joints, 3)
        if target is None or tuple(target.shape) != expected:
            found = 'none' if target is None else f'shape {tuple(target.shape)}'
            raise ValueError(
                f'decoder_query {self.decoder_query!r} needs the true future as target of shape '
                f"{expected}, found {found}; without it use a model of decoder_query 'last_pose'"
            )
        if self.decoder_query == 'true_future':
            return target
        return torch.cat([observed[:, -1:], target[:, :-1]], dim=1)
