"""The cascaded decoder: each layer looks where the layer before it put the person."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmdet.models.layers import DetrTransformerDecoder
from mmdet.models.layers.transformer import MLP, coordinate_to_encoding
from mmengine.model import constant_init
from torch import Tensor
from torch.nn import functional


class Cascade(NamedTuple):
    """What the decoder has to know of predictions and image to hand them from layer to layer."""

    predict: Callable[[int, Tensor, Tensor | None], Tensor]
    """Person boxes of a layer: its number, its output (B, N, C) and the boxes of the layer before,
    (B, N, 4) logits of (cx, cy, w, h) in 0..1, to the same of its own."""
    map_size: tuple[int, int]
    """Rows and columns of the cells that the encoder's output stands for."""
    image_share: Tensor
    """(B, 2) share of the padded image's width and height that the image takes up."""


class APCTDecoder(DetrTransformerDecoder):
    """DETR's decoder, whose layers start from the person boxes predicted by the layer before.

    Document section 2.1: "each transformer decoder layer in our model parses each instance
    conditioning on prior prediction", from a prior of zero before the first, which in logits is a
    box of half the image around its middle. It does not say how. Here, with ``condition``

    - ``'box'``: the box, as the sine encoding that the image cells have, goes through a small
      network onto the position embedding of its query (as in DAB-DETR);
    - ``'region'``: also, what the encoder's output holds in the box goes through another onto the
      query itself. A plain DETR's query never learns where in its box something lies.

    The last layer of both networks starts at zero: a decoder with the weights of a trained DETR
    starts as that DETR.

    Args:
        condition: ``'region'``, ``'box'``, or None for mmdet's ``DetrTransformerDecoder``.
        region_size: Cells a side that a box is cut into.
        temperature: Of the sine encoding, that of the image cells.
        kwargs: Of mmdet's ``DetrTransformerDecoder``.

    Raises:
        ValueError: If ``condition`` is none of these, or the layers' outputs are not returned.
    """

    def __init__(
        self,
        condition: str | None = 'region',
        region_size: int = 7,
        temperature: float = 10000,
        **kwargs: Any,
    ) -> None:
        if condition not in (None, 'box', 'region'):
            raise ValueError(f"condition is {condition!r}, expected 'region', 'box' or None")
        self.condition = condition
        self.region_size = region_size
        self.temperature = temperature
        super().__init__(**kwargs)
        if condition and not self.return_intermediate:
            raise ValueError(
                'return_intermediate is False, but the layers of a cascade are all supervised'
            )

    def _init_layers(self) -> None:
        super()._init_layers()
        dims = self.embed_dims
        if self.condition:  # sines of cy, cx, w and h: half the channels each
            self.box_encoding = MLP(2 * dims, dims, dims, num_layers=2)
        if self.condition == 'region':
            self.region_encoding = MLP(self.region_size**2 * dims, dims, dims, num_layers=2)

    def start_as_detr(self) -> None:
        """Zero the last layers of what the boxes go through."""
        if self.condition:
            constant_init(self.box_encoding.layers[-1], 0)
        if self.condition == 'region':
            constant_init(self.region_encoding.layers[-1], 0)

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
            cascade: What hands predictions on.
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
                f'decoder.condition is {self.condition!r}, but the head has no cascade: switch '
                'bbox_head.cascade on, or set decoder.condition to None'
            )
        outputs: list[Tensor] = []
        logits = torch.zeros_like(query[..., :4])
        for number, layer in enumerate(self.layers):
            boxes = logits.sigmoid()  # (B, N, 4)
            encoding = coordinate_to_encoding(boxes, self.embed_dims // 2, self.temperature)
            if self.condition == 'region':
                query = query + self.region_encoding(self.cut(value, boxes, cascade))
            query = layer(
                query,
                key=key,
                value=value,
                query_pos=query_pos + self.box_encoding(encoding),  # (B, N, C)
                key_pos=key_pos,
                key_padding_mask=key_padding_mask,
                **kwargs,
            )
            outputs.append(self.post_norm(query))
            if number < self.num_layers - 1:
                logits = cascade.predict(number, outputs[-1], logits)
        return torch.stack(outputs)

    def cut(self, memory: Tensor, boxes: Tensor, cascade: Cascade) -> Tensor:
        """What the encoder's output holds in every box, sampled at the middle of every cell.

        Args:
            memory: (B, P, C) encoder output.
            boxes: (B, N, 4) (cx, cy, w, h) in 0..1.
            cascade: For the sizes of map and images. Gradients do not pass through the boxes.

        Returns:
            (B, N, C * region_size ** 2).
        """
        size = self.region_size
        features = memory.transpose(1, 2).unflatten(-1, cascade.map_size)  # (B, C, rows, columns)
        boxes = boxes.detach()
        across = (torch.arange(size, device=boxes.device) + 0.5) / size - 0.5  # (s,)
        x = boxes[..., :1] + boxes[..., 2:3] * across  # (B, N, s)
        y = boxes[..., 1:2] + boxes[..., 3:4] * across
        points = torch.stack(
            [x[..., None, :].expand(-1, -1, size, -1), y[..., None].expand(-1, -1, -1, size)],
            dim=-1,
        )  # (B, N, s, s, 2)
        grid = 2 * points * cascade.image_share[:, None, None, None] - 1
        cut = functional.grid_sample(
            features, grid.flatten(1, 2).to(features.dtype), align_corners=False
        )  # (B, C, N * s, s)
        return cut.unflatten(2, (-1, size)).permute(0, 2, 1, 3, 4).flatten(2)
