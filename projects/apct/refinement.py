"""The refinement transformer: part states anew, from the parts and the person around them."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmdet.models.layers import DetrTransformerDecoder
from mmengine.model import BaseModule, bias_init_with_prob, constant_init, xavier_init
from mmengine.registry import MODELS
from torch import Tensor, nn
from torchvision.ops import roi_align


@MODELS.register_module()
class PartStateRefinement(BaseModule):
    """Part features ask, person features answer, new part states come out (document, section 2.1).

    RoIAlign cuts the K part boxes and the person box out of a feature map. The part features, each
    with a learned embedding of its part and one of the instance, are the queries of a transformer
    whose keys and values are the cells of the person's box.

    Args:
        num_parts: K.
        num_states: S.
        in_channels: Channels of the feature map; None for ``embed_dims``.
        embed_dims: C, channels of the transformer and of the instance embeddings.
        num_layers: Layers of the transformer.
        num_heads: Attention heads.
        feedforward_channels: Width of the feed-forward networks.
        part_size: Cells a side that a part box is cut into.
        person_size: Cells a side that a person box is cut into.
        dropout: In the transformer.
        residual: Add the new logits to those of the decoder. The last layer then starts at zero:
            refinement starts from what it is to refine, and has to earn every change. Without,
            the states come from the regions alone.
    """

    def __init__(
        self,
        num_parts: int,
        num_states: int,
        in_channels: int | None = None,
        embed_dims: int = 256,
        num_layers: int = 2,
        num_heads: int = 8,
        feedforward_channels: int = 1024,
        part_size: int = 3,
        person_size: int = 7,
        dropout: float = 0.1,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.num_parts = num_parts
        self.part_size = part_size
        self.person_size = person_size
        self.residual = residual
        self.reduce = (
            nn.Identity()
            if in_channels in (None, embed_dims)
            else ConvModule(in_channels, embed_dims, 1, act_cfg=None)
        )
        self.part_encoding = nn.Linear(part_size**2 * embed_dims, embed_dims)
        self.instance_encoding = nn.Linear(embed_dims, embed_dims)
        self.part_embedding = nn.Embedding(num_parts, embed_dims)
        self.cell_embedding = nn.Embedding(person_size**2, embed_dims)
        attention = dict(
            embed_dims=embed_dims, num_heads=num_heads, dropout=dropout, batch_first=True
        )
        self.transformer = DetrTransformerDecoder(
            num_layers=num_layers,
            layer_cfg=dict(
                self_attn_cfg=dict(attention),
                cross_attn_cfg=dict(attention),
                ffn_cfg=dict(
                    embed_dims=embed_dims,
                    feedforward_channels=feedforward_channels,
                    num_fcs=2,
                    ffn_drop=dropout,
                    act_cfg=dict(type='ReLU', inplace=True),
                ),
            ),
            return_intermediate=False,
        )
        self.fc_state = nn.Linear(embed_dims, num_states)

    def init_weights(self) -> None:
        """Xavier for the attention, as in DETR, and an output that fits ``residual``."""
        super().init_weights()
        for parameter in self.transformer.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if self.residual:
            constant_init(self.fc_state, 0)
        else:
            xavier_init(self.fc_state, bias=bias_init_with_prob(0.01))

    def forward(
        self,
        features: Tensor,
        person_boxes: Sequence[Tensor],
        part_boxes: Sequence[Tensor],
        instances: Tensor,
        state_logits: Tensor,
        stride: Sequence[float],
    ) -> Tensor:
        """State logits of all parts of P persons.

        Args:
            features: (B, in_channels, H, W).
            person_boxes: B tensors (P_b, 4), xyxy in input pixels.
            part_boxes: B tensors (P_b, K, 4), xyxy in input pixels.
            instances: (P, C) instance embeddings, image by image.
            state_logits: (P, K, S) of the decoder, used if ``residual``.
            stride: Input pixels a feature cell, down and across; they may differ by rounding.

        Returns:
            (P, K, S) logits.
        """
        persons, parts = len(instances), self.num_parts
        if persons == 0:  # attention over nothing; keep every parameter in the graph, at gradient 0
            nothing = sum(parameter.sum() for parameter in self.parameters()) * 0
            return state_logits + nothing
        features = self.reduce(features).float()  # RoIAlign has no bfloat16
        # RoIAlign has one scale for both axes: take the boxes to cells ourselves
        scale = features.new_tensor([1 / stride[1], 1 / stride[0]]).repeat(2)
        cut = roi_align(
            features,
            [boxes.float().flatten(0, -2) * scale for boxes in part_boxes],
            self.part_size,
            aligned=True,
        )  # (P * K, C, s, s)
        query = self.part_encoding(cut.flatten(1)).unflatten(0, (persons, parts))  # (P, K, C)
        query = query + self.instance_encoding(instances)[:, None]
        cells = roi_align(
            features,
            [boxes.float() * scale for boxes in person_boxes],
            self.person_size,
            aligned=True,
        )  # (P, C, s, s)
        cells = cells.flatten(2).transpose(1, 2)  # (P, s * s, C)
        query = self.transformer(
            query=query,
            key=cells,
            value=cells,
            query_pos=self.part_embedding.weight.expand(persons, -1, -1),
            key_pos=self.cell_embedding.weight.expand(persons, -1, -1),
            key_padding_mask=None,
        )[0]  # (P, K, C)
        logits = self.fc_state(query)
        return state_logits + logits if self.residual else logits
