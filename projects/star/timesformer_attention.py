"""STAR's attentions inside mmaction2's TimeSformer, by name in its config."""

import torch
from mmcv.cnn import build_norm_layer
from mmcv.cnn.bricks.drop import build_dropout
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from projects.star.attention import SpatioTemporalAttention


@MODELS.register_module()
class STARAttentionWithNorm(BaseModule):
    """Pre-norm attention with its residual, where TimeSformer has its divided attentions.

    It stands in ``attn_cfgs`` of a ``BaseTransformerLayer``, as the host's
    ``DividedTemporalAttentionWithNorm`` and ``DividedSpatialAttentionWithNorm`` do, and together
    with ``FFNWithNorm``; so ``operation_order`` has no 'norm' of its own::

        attn_cfgs=[dict(type='STARAttentionWithNorm', attention='ZAttn', embed_dims=768,
                        num_heads=12, num_frames=8)]

    TimeSformer orders tokens as 'one class token, then place by place all frames'; ours is frame
    by frame.

    Args:
        embed_dims: Channels C.
        num_heads: Heads; divides C.
        num_frames: Frames T of the clip.
        attention: Name of the attention: 'FAttn', 'ZAttn' or 'BAttn'.
        attn_drop: Share of attention weights dropped in training.
        proj_drop: Dropout after the output projection.
        dropout_layer: Config of the drop path before the residual, such as
            ``dict(type='DropPath', drop_prob=0.1)``; none if None.
        norm_cfg: Config of the norm; ``dict(type='LN', eps=1e-6)``, as TimeSformer has, if None.
        batch_first: The layer hands its own setting to each attention. TimeSformer's tokens are
            batch first whatever it says, so it is not used; the same holds of the host's modules.
        init_cfg: Config of the initialisation.

    Raises:
        ValueError: If ``attention`` is none of STAR's, or it refuses channels, heads or dropout.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        num_frames: int,
        attention: str = 'ZAttn',
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: dict | None = None,
        norm_cfg: dict | None = None,
        batch_first: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        kind = MODELS.get(attention)
        if not (isinstance(kind, type) and issubclass(kind, SpatioTemporalAttention)):
            raise ValueError(f"attention is {attention!r}, expected 'FAttn', 'ZAttn' or 'BAttn'")
        self.embed_dims = embed_dims
        self.num_frames = num_frames
        self.norm = build_norm_layer(norm_cfg or dict(type='LN', eps=1e-6), embed_dims)[1]
        self.attn = kind(embed_dims, num_heads, dropout=attn_drop)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        residual: Tensor | None = None,
        **kwargs: Tensor | None,
    ) -> Tensor:
        """Norm, attend, add.

        Args:
            query: (B, 1 + P * T, C).
            key: What a ``BaseTransformerLayer`` passes to 'self_attn': the query, or None.
            value: As ``key``.
            residual: None; the layer passes another one if ``operation_order`` begins with 'norm'.
            kwargs: Positions and masks of the layer, None each.

        Returns:
            (B, 1 + P * T, C).

        Raises:
            ValueError: If an argument asks for what this module does not do, or the number of
                tokens does not fit.
        """
        kwargs |= {
            'key': None if key is query else key,
            'value': None if value is query else value,
            'residual': residual,
        }
        given = [name for name, tensor in kwargs.items() if tensor is not None]
        if given:
            raise ValueError(
                f'{type(self).__name__} got {", ".join(given)}, expected None: it is a '
                f'self-attention with a norm and a residual of its own, as in '
                f"operation_order=('self_attn', 'ffn'), without masks and positions"
            )
        L = query.shape[1]
        T = self.num_frames
        if (L - 1) % T:
            raise ValueError(
                f'query has {L} tokens, expected 1 class token and a multiple of num_frames = {T}'
            )
        classes, places = self.norm(query).split([1, L - 1], dim=1)
        frames = places.unflatten(1, (-1, T)).transpose(1, 2).flatten(1, 2)  # (B, T * P, C)
        out = self.attn(torch.cat([classes, frames], dim=1), T, num_class_tokens=1)
        classes, frames = out.split([1, L - 1], dim=1)
        places = frames.unflatten(1, (T, -1)).transpose(1, 2).flatten(1, 2)  # (B, P * T, C)
        out = torch.cat([classes, places], dim=1)
        return query + self.dropout_layer(self.proj_drop(out))
