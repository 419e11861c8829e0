"""The cascaded decoder: each layer looks where the layer before it put the person."""

from collections.abc import Callable
from typing import Any

import torch
from mmdet.models.layers import DetrTransformerDecoder
from mmdet.models.layers.transformer import MLP, coordinate_to_encoding
from mmengine.model import constant_init
from torch import Tensor

Cascade = Callable[[int, Tensor, Tensor | None], Tensor]
"""What a layer predicts from its instance embeddings.

Called with the layer's number, its output (B, N, C) and the boxes of the layer before (None before
the first); gives the layer's person boxes, (B, N, 4) logits of (cx, cy, w, h) in 0..1.
"""


class APCTDecoder(DetrTransformerDecoder):
    """DETR's decoder, whose layers know the person boxes predicted by the layer before.

    Document section 2.1: "each transformer decoder layer in our model parses each instance
    conditioning on prior prediction". A layer's person box, as the sine encoding that the image
    cells have, goes through a small network onto the position embedding of its query in the next
    layer. The network's last layer starts at zero: a decoder with the weights of a trained DETR
    starts as that DETR.

    Args:
        condition: Add the encoded boxes; without, this is mmdet's ``DetrTransformerDecoder``.
        kwargs: Of mmdet's ``DetrTransformerDecoder``.
    """

    def __init__(self, condition: bool = True, **kwargs: Any) -> None:
        self.condition = condition
        super().__init__(**kwargs)
        if condition and not self.return_intermediate:
            raise ValueError(
                'return_intermediate is False, but the layers of a cascade are all supervised'
            )

    def _init_layers(self) -> None:
        super()._init_layers()
        if self.condition:
            # sines of cy, cx, w and h: half the channels each
            self.reference_encoding = MLP(
                2 * self.embed_dims, self.embed_dims, self.embed_dims, num_layers=2
            )

    def start_as_detr(self) -> None:
        """Zero the last layer of what the boxes go through."""
        if self.condition:
            constant_init(self.reference_encoding.layers[-1], 0)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        key_padding_mask: Tensor | None,
        cascade: Cascade | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Instance embeddings after every layer.

        Args:
            query: (B, N, C) content of the queries, zeros in DETR.
            key: (B, P, C) encoder output.
            value: (B, P, C) encoder output.
            query_pos: (B, N, C) learned position embedding of the queries.
            key_pos: (B, P, C) sine encoding of the cells.
            key_padding_mask: (B, P), True on padding.
            cascade: Predicts a layer's person boxes, see :data:`Cascade`.
            kwargs: Of the layers.

        Returns:
            (L, B, N, C) normalised outputs of the L layers.

        Raises:
            ValueError: If the decoder is conditioned and has no ``cascade``.
        """
        if not self.condition:
            return super().forward(
                query, key, value, query_pos, key_pos, key_padding_mask, **kwargs
            )
        if cascade is None:
            raise ValueError(
                'decoder.condition is on, but the head has no cascade: switch bbox_head.cascade '
                'on, or decoder.condition off'
            )
        outputs: list[Tensor] = []
        boxes = None
        position = query_pos
        for number, layer in enumerate(self.layers):
            query = layer(
                query,
                key=key,
                value=value,
                query_pos=position,
                key_pos=key_pos,
                key_padding_mask=key_padding_mask,
                **kwargs,
            )
            outputs.append(self.post_norm(query))
            if number < self.num_layers - 1:
                boxes = cascade(number, outputs[-1], boxes)
                encoding = coordinate_to_encoding(boxes.sigmoid(), self.embed_dims // 2)
                position = query_pos + self.reference_encoding(encoding)  # (B, N, C)
        return torch.stack(outputs)
