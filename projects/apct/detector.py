"""The detector: mmdet's DETR with the cascaded decoder and a feature map for the refinement."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors import DETR
from mmdet.registry import MODELS
from torch import Tensor

from projects.apct.decoder import APCTDecoder, Cascade


@MODELS.register_module()
class APCT(DETR):
    """End-to-end part-level action parsing with a cascaded transformer (document, section 2.1).

    Backbone -> 1 x 1 convolution -> encoder -> cascaded decoder -> :class:`APCTHead`. With the
    head's cascade, parts, states and refinement off and ``decoder.condition`` off it is mmdet's
    ``DETR``, to the same numbers from the same weights.

    Args:
        roi_level: Output of the backbone that the refinement cuts its regions from, an index into
            ``backbone.out_indices``; None for the encoder's output. The last output goes to the
            encoder.
        kwargs: Of mmdet's ``DETR``. ``decoder`` also takes ``condition``, see ``APCTDecoder``.

    Raises:
        ValueError: If decoder and head contradict one another.
    """

    def __init__(self, *, roi_level: int | None = None, **kwargs: Any) -> None:
        self.roi_level = roi_level
        super().__init__(**kwargs)
        head, decoder = self.bbox_head, self.decoder
        cascade = getattr(head, 'cascade', False)  # any head of DETR's kind will do
        if decoder.condition and not cascade:
            raise ValueError(
                f'decoder.condition is {decoder.condition!r}, but the head has no cascade: switch '
                'bbox_head.cascade on, or set decoder.condition to None'
            )
        if cascade and decoder.num_layers != head.num_layers:
            raise ValueError(
                f'decoder.num_layers is {decoder.num_layers}, but bbox_head.num_layers is '
                f'{head.num_layers}: the cascade has a regression for each layer'
            )

    def _init_layers(self) -> None:
        decoder = dict(self.decoder)
        ours = ('condition', 'region_size')
        self.decoder = {key: value for key, value in decoder.items() if key not in ours}
        super()._init_layers()  # builds mmdet's decoder, whose place ours takes
        temperature = self.positional_encoding.temperature
        self.decoder = APCTDecoder(temperature=temperature, **decoder)

    def init_weights(self) -> None:
        """DETR's, and a decoder that starts as DETR's."""
        super().init_weights()
        self.decoder.start_as_detr()

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of a batch.

        Args:
            batch_inputs: (B, 3, H, W).

        Returns:
            The map for the encoder, (B, C, h, w), last; before it the one for the refinement, if
            it is one of the backbone's.
        """
        maps = self.backbone(batch_inputs)
        encoder_map = self.neck(maps[-1:])[-1]
        if self.roi_level is None:
            return (encoder_map,)
        return (maps[self.roi_level], encoder_map)

    def forward_transformer(
        self, img_feats: Sequence[Tensor], batch_data_samples: Sequence | None = None
    ) -> dict[str, Tensor]:
        """Encoder and decoder, as in DETR.

        Args:
            img_feats: Of :meth:`extract_feat`.
            batch_data_samples: B samples.

        Returns:
            What the head takes: ``hidden_states`` (L, B, N, C) and, for a head with refinement,
            ``features`` (B, C', h', w').
        """
        encoder_inputs, decoder_inputs = self.pre_transformer(img_feats, batch_data_samples)
        memory = self.forward_encoder(**encoder_inputs)['memory']
        queries, _ = self.pre_decoder(memory)
        hidden_states = self.decoder(
            query=queries['query'],
            key=memory,
            value=memory,
            query_pos=queries['query_pos'],
            key_pos=decoder_inputs['memory_pos'],
            key_padding_mask=decoder_inputs['memory_mask'],
            cascade=self.cascade(img_feats[-1], batch_data_samples),
        )
        inputs = dict(hidden_states=hidden_states)
        if getattr(self.bbox_head, 'refinement', None) is not None:
            if self.roi_level is None:
                inputs['features'] = memory.transpose(1, 2).reshape(img_feats[-1].shape)
            else:
                inputs['features'] = img_feats[0]
        return inputs

    def cascade(self, encoder_map: Tensor, samples: Sequence) -> Cascade | None:
        """What the decoder needs to hand predictions on; None for a head without cascade."""
        if not getattr(self.bbox_head, 'cascade', False):
            return None
        share = torch.tensor(
            [
                [sample.img_shape[axis] / sample.batch_input_shape[axis] for axis in (1, 0)]
                for sample in samples
            ],
            device=encoder_map.device,
        )  # (B, 2)
        return Cascade(self.bbox_head.layer_boxes, tuple(encoder_map.shape[-2:]), share)
