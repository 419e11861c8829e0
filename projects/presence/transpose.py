"""TransPose's encoder: self-attention over the pixels of a feature map, with their 2D position.

Yang et al., "TransPose: Keypoint Localization via Transformer", ICCV 2021 (arXiv 2012.14214),
section 3; a baseline of document 002, section 2.2. TransPose-R is mmpose's ResNet-50 up to its
second stage, this neck and mmpose's HeatmapHead with one transposed convolution.
"""

import math

import torch
from mmengine.model import BaseModule
from mmpose.registry import MODELS
from torch import Tensor, nn

POSITIONS = ('sine', 'learnable', 'none')


@MODELS.register_module()
class TransPoseEncoder(BaseModule):
    """A 1x1 convolution and a transformer encoder over all cells of a feature map.

    P is the number of cells, C the embedding's channels, L the number of layers. All parameters
    are initialised as in the original: Xavier-uniform matrices of the encoder, PyTorch's own rule
    for the convolution.

    Args:
        in_channels: Channels of the feature map.
        embed_dims: C.
        num_layers: L.
        num_heads: Attention heads.
        feedforward_channels: Channels between the two linear layers of a layer.
        dropout: Share dropped in training of attention weights, branches and hidden channels.
        position: What tells the cells apart: ``sine`` is fixed and fits every size, ``learnable``
            is one parameter a cell, ``none``.
        feature_size: Height and width of the feature map; only ``learnable`` needs it.
        position_at_first_only: Add the position in the first layer only, not in every layer.
        init_cfg: As in mmengine's ``BaseModule``.

    Raises:
        ValueError: If an option is not one of the allowed, or numbers do not fit each other.
    """

    def __init__(
        self,
        in_channels: int = 512,
        embed_dims: int = 256,
        num_layers: int = 4,
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        dropout: float = 0.1,
        position: str = 'sine',
        feature_size: tuple[int, int] | None = None,
        position_at_first_only: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if position not in POSITIONS:
            raise ValueError(f'position is {position!r}, expected one of {POSITIONS}')
        if num_layers < 1:
            raise ValueError(f'num_layers is {num_layers}, expected at least 1')
        if embed_dims % num_heads:
            raise ValueError(
                f'embed_dims is {embed_dims}, expected a multiple of num_heads={num_heads}'
            )
        if position == 'sine' and embed_dims % 4:
            raise ValueError(
                f'embed_dims is {embed_dims}, expected a multiple of 4: sine and cosine of y and x'
            )
        self.position_at_first_only = position_at_first_only
        self.reduce = nn.Conv2d(in_channels, embed_dims, kernel_size=1, bias=False)
        self.layers = nn.ModuleList(
            PositionedEncoderLayer(
                embed_dims, num_heads, feedforward_channels, dropout, batch_first=True
            )
            for _ in range(num_layers)
        )
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.sine: nn.Module | None = None
        self.position_embedding: nn.Parameter | None = None
        if position == 'sine':
            # there, as mmdet's models take a second to import and no other pose model needs them
            from mmdet.models.layers import SinePositionalEncoding

            self.sine = SinePositionalEncoding(embed_dims // 2, normalize=True)
        elif position == 'learnable':
            if feature_size is None or len(feature_size) != 2 or min(feature_size) < 1:
                raise ValueError(
                    f'feature_size is {feature_size!r}, expected the height and width of the '
                    "feature map, which position='learnable' needs"
                )
            self.position_embedding = nn.Parameter(
                torch.randn(1, math.prod(feature_size), embed_dims)
            )
        self.feature_size = None if feature_size is None else tuple(feature_size)
        # The sine embedding of the last size, not computed anew in every pass. No buffer: it is in
        # no checkpoint, and DDP has nothing to broadcast whatever sizes its processes see.
        self._last_sine: tuple[tuple, Tensor] | None = None

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Encode the last of the feature maps.

        Args:
            feats: Feature maps, (B, in_channels, H, W) the last.

        Returns:
            One map, (B, C, H, W).

        Raises:
            ValueError: If the position is learnt and the map has another size than that.
        """
        features = self.reduce(feats[-1])  # (B, C, H, W)
        tokens = features.flatten(2).transpose(1, 2)  # (B, P, C)
        for layer, position in zip(self.layers, self._positions(features), strict=True):
            tokens, _ = layer(tokens, position)
        return (tokens.transpose(1, 2).reshape(features.shape),)

    @torch.no_grad()
    def attention_maps(self, feats: tuple[Tensor, ...]) -> Tensor:
        """How much every cell attends to every cell, in each layer (the paper's section 3.4).

        The weights are computed openly here, which the forward pass leaves to the fused kernel.

        Args:
            feats: As of :meth:`forward`.

        Returns:
            (L, B, P, P), mean over the heads; each row, a cell's attention to all cells, sums
            to 1 (in training mode dropout acts on the weights).
        """
        features = self.reduce(feats[-1])
        tokens = features.flatten(2).transpose(1, 2)  # (B, P, C)
        maps = []
        for layer, position in zip(self.layers, self._positions(features), strict=True):
            tokens, weights = layer(tokens, position, need_weights=True)
            maps.append(weights)
        return torch.stack(maps)

    def _positions(self, features: Tensor) -> list[Tensor | None]:
        """What each layer adds to queries and keys: (1, P, C) or None."""
        position = self.position_embedding
        if self.sine is not None:
            position = self.sine_position(features)
        elif position is not None and tuple(features.shape[-2:]) != self.feature_size:
            raise ValueError(
                f'the feature map has size {tuple(features.shape[-2:])}, expected feature_size='
                f"{self.feature_size}, to which position='learnable' is tied"
            )
        others = None if self.position_at_first_only else position
        return [position] + [others] * (len(self.layers) - 1)

    def sine_position(self, features: Tensor) -> Tensor:
        """(1, P, C): C / 2 channels of y, then as many of x, over 2 pi from edge to edge."""
        key = (*features.shape[-2:], features.dtype, features.device)
        if self._last_sine is None or self._last_sine[0] != key:
            # A tensor of inference mode could not be used for training afterwards.
            with torch.inference_mode(False), torch.no_grad():
                image = torch.empty(1, 1, *features.shape[-2:], device=features.device)
                embedding = self.sine(None, image).flatten(2).transpose(1, 2)  # (1, P, C)
                self._last_sine = key, embedding.to(features.dtype).contiguous()
        return self._last_sine[1]


class PositionedEncoderLayer(nn.TransformerEncoderLayer):
    """PyTorch's post-norm encoder layer with a position added to queries and keys, not to values.

    The parameters are PyTorch's, and so are their names, which the original shares. mmdet's and
    mmpose's ``DetrTransformerEncoder`` compute the same, but through mmcv's
    ``MultiheadAttention``, which always asks for the attention weights and so never gets the fused
    attention.
    """

    def forward(
        self, tokens: Tensor, position: Tensor | None = None, need_weights: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend and transform.

        Args:
            tokens: (B, P, C).
            position: (1 or B, P, C).
            need_weights: Whether to return the attention, too, which is slower.

        Returns:
            (B, P, C), and the attention (B, P, P), mean over the heads, or None.
        """
        query = tokens if position is None else tokens + position
        attended, weights = self.self_attn(query, query, tokens, need_weights=need_weights)
        tokens = self.norm1(tokens + self.dropout1(attended))
        hidden = self.dropout(self.activation(self.linear1(tokens)))
        return self.norm2(tokens + self.dropout2(self.linear2(hidden))), weights
