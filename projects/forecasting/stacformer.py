"""STACFormer: STTFormer's encoder, and a decoder of criss-cross attention."""

from typing import Any

from mmengine.registry import MODELS

from projects.forecasting.forecaster import check_sizes
from projects.forecasting.stcformer import STCFormer
from projects.forecasting.sttformer import STABlock


@MODELS.register_module()
class STACFormer(STCFormer):
    """STCFormer whose encoder has the blocks of STTFormer (document, appendix C, "STACFormer").

    The document found that one block of the encoder keeps the performance, and says nothing of what
    stands between encoder and decoder: here it is STCFormer's time map, and the decoder starts from
    the same queries.

    Args:
        num_joints: Joints J.
        num_encoder_blocks: Blocks of the encoder, each a :class:`STABlock`.
        num_decoder_blocks: Blocks of the decoder, as in :class:`STCFormer`.
        position_embedding: Add a learned embedding of each frame and joint to encoder and decoder,
            as STTFormer has in its encoder.
        kwargs: Further options of :class:`STCFormer`, of which ``num_heads`` and ``ffn_ratio`` are
            those of the encoder's blocks too.

    Raises:
        ValueError: As :class:`STCFormer`, or if a number of blocks is below 1.
    """

    encoder_block = STABlock

    def __init__(
        self,
        num_joints: int,
        num_encoder_blocks: int = 1,
        num_decoder_blocks: int = 2,
        position_embedding: bool = True,
        **kwargs: Any,
    ) -> None:
        check_sizes(num_decoder_blocks=num_decoder_blocks)
        super().__init__(
            num_joints,
            num_blocks=num_decoder_blocks,
            num_encoder_blocks=num_encoder_blocks,
            position_embedding=position_embedding,
            **kwargs,
        )
