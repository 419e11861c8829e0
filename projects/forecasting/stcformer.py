"""STCFormer: an encoder-decoder of criss-cross attention that forecasts poses."""

from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.forecasting.attention import STCAttention, STCTimeMap
from projects.forecasting.baselines import repeat_last_pose

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

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """(B, T', J, C) and the memory, of the same shape, to the same shape."""
        x = x + self.attention(self.attention_norm(x), causal=True)
        x = x + self.cross_attention(self.cross_norm(x), memory)
        return x + self.ffn(self.ffn_norm(x))


@MODELS.register_module()
class STCFormer(BaseModel):
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
        num_frames: Observed frames T.
        num_frames_out: Forecast frames T'.
        channels: Hidden features C.
        num_blocks: Blocks of the encoder, and of the decoder.
        num_heads: Heads of each half of the attention.
        ffn_ratio: Width of the feed-forward layers, as a multiple of C; 1/4 brings the model to the
            document's size.
        decoder_query: See above.
        residual: Forecast displacements from the last observed pose instead of positions.
        displacement_input: Show the encoder each pose's displacement from the last one beside the
            pose. Ten times as large, for frames of one window differ by centimetres.
        position_embedding: Add a learned embedding of each frame and joint to encoder and decoder.
            The document has none.
        unit: Millimetres in one unit of the network's coordinates; keeps them near 1.
        loss: Config of the loss, on positions in millimetres.
        data_preprocessor: As in mmengine's ``BaseModel``.
        init_cfg: As in mmengine's ``BaseModel``.

    Raises:
        ValueError: If ``decoder_query`` is unknown or a size is out of range.
    """

    def __init__(
        self,
        num_joints: int,
        num_frames: int = 10,
        num_frames_out: int = 25,
        channels: int = 32,
        num_blocks: int = 2,
        num_heads: int = 1,
        ffn_ratio: float = 0.25,
        decoder_query: str = 'last_pose',
        residual: bool = True,
        displacement_input: bool = True,
        position_embedding: bool = False,
        unit: float = 1000.0,
        loss: dict | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if decoder_query not in DECODER_QUERIES:
            raise ValueError(
                f'decoder_query is {decoder_query!r}, expected one of {DECODER_QUERIES}'
            )
        for name, value in dict(
            num_joints=num_joints,
            num_frames=num_frames,
            num_frames_out=num_frames_out,
            num_blocks=num_blocks,
        ).items():
            if value < 1:
                raise ValueError(f'{name} is {value}, expected 1 or more')
        self.num_joints = num_joints
        self.num_frames = num_frames
        self.num_frames_out = num_frames_out
        self.decoder_query = decoder_query
        self.residual = residual
        self.unit = unit
        self.displacement_input = displacement_input
        self.embed_observed = nn.Linear(6 if displacement_input else 3, channels)
        self.embed_query = nn.Linear(3, channels)
        self.position_embedding: nn.ParameterDict | None = None
        if position_embedding:
            shapes = dict(
                observed_frame=(num_frames, 1, channels),
                query_frame=(num_frames_out, 1, channels),
                observed_joint=(num_joints, channels),
                query_joint=(num_joints, channels),
            )
            self.position_embedding = nn.ParameterDict(
                {name: nn.Parameter(0.02 * torch.randn(shape)) for name, shape in shapes.items()}
            )
        self.encoder = nn.ModuleList(
            EncoderBlock(channels, num_heads, ffn_ratio) for _ in range(num_blocks)
        )
        self.encoder_norm = nn.LayerNorm(channels)
        self.time_map = STCTimeMap(num_frames, num_frames_out)
        self.decoder = nn.ModuleList(
            DecoderBlock(channels, num_heads, ffn_ratio) for _ in range(num_blocks)
        )
        self.decoder_norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, 3)
        self.loss = MODELS.build(loss or dict(type='ForecastMPJPELoss'))

    @property
    def sees_future(self) -> bool:
        """Whether the decoder is fed with what it is to forecast."""
        return self.decoder_query != 'last_pose'

    def forward(
        self,
        observed: Tensor,
        target: Tensor | None = None,
        meta: dict[str, Any] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[dict[str, Any]]:
        """Forecast, or compute the loss.

        Args:
            observed: (B, T, J, 3) millimetres.
            target: (B, T', J, 3) millimetres; needed for the loss and by the decoder queries that
                see the future.
            meta: What the data set says of the samples; not used by the network.
            mode: ``'tensor'``, ``'predict'`` or ``'loss'``.

        Returns:
            ``'tensor'``: the forecast (B, T', J, 3) in millimetres. ``'predict'``: B dicts with
            ``forecast`` (T', J, 3) and ``sees_future``. ``'loss'``: ``dict(loss=...)``.

        Raises:
            ValueError: If ``mode`` is unknown, a shape is not the model's, or a target is missing.
        """
        forecast = self._forecast(observed, target)
        if mode == 'tensor':
            return forecast
        if mode == 'predict':
            return [dict(forecast=one, sees_future=self.sees_future) for one in forecast]
        if mode == 'loss':
            if target is None:
                raise ValueError("mode 'loss' needs the target")
            return dict(loss=self.loss(forecast, target))
        raise ValueError(f"mode is {mode!r}, expected 'tensor', 'predict' or 'loss'")

    def _forecast(self, observed: Tensor, target: Tensor | None) -> Tensor:
        expected = (self.num_frames, self.num_joints, 3)
        if tuple(observed.shape[1:]) != expected:
            raise ValueError(
                f'observed has shape {tuple(observed.shape)}, expected (B, *{expected})'
            )
        query = self._query(observed, target)

        seen = observed / self.unit
        if self.displacement_input:
            seen = torch.cat([seen, 10 * (seen - seen[:, -1:])], dim=-1)  # (B, T, J, 6)
        memory = self.embed_observed(seen)  # (B, T, J, C)
        x = self.embed_query(query / self.unit)  # (B, T', J, C)
        if self.position_embedding is not None:
            position = self.position_embedding
            memory = memory + position['observed_frame'] + position['observed_joint']
            x = x + position['query_frame'] + position['query_joint']

        for block in self.encoder:
            memory = block(memory)
        memory = self.time_map(self.encoder_norm(memory))  # (B, T, J, C) -> (B, T', J, C)
        for block in self.decoder:
            x = block(x, memory)
        forecast = self.head(self.decoder_norm(x)).float() * self.unit  # (B, T', J, 3)
        return observed[:, -1:] + forecast if self.residual else forecast

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
