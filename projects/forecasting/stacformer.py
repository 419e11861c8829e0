"""STACFormer: STTFormer's encoder, and a decoder of criss-cross attention."""

from typing import Any

from mmengine.registry import MODELS
from torch import nn

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
        channels: Hidden features C.
        num_encoder_blocks: Blocks of the encoder, each a :class:`STABlock`.
        num_decoder_blocks: Blocks of the decoder, as in :class:`STCFormer`.
        num_heads: Heads of each attention of the encoder, and of each half in the decoder.
        ffn_ratio: Width of the feed-forward layers, as a multiple of C.
        decoder_query: As in :class:`STCFormer`.
        position_embedding: Add a learned embedding of each frame and joint to encoder and decoder,
            as STTFormer has in its encoder.
        kwargs: Further options of :class:`PoseForecaster`: frames, ``residual``, ``loss``, ...

    Raises:
        ValueError: If ``decoder_query`` is unknown or a size is out of range.
    """

    def __init__(
        self,
        num_joints: int,
        channels: int = 32,
        num_encoder_blocks: int = 1,
        num_decoder_blocks: int = 2,
        num_heads: int = 1,
        ffn_ratio: float = 0.25,
        decoder_query: str = 'last_pose',
        position_embedding: bool = True,
        **kwargs: Any,
    ) -> None:
        check_sizes(num_encoder_blocks=num_encoder_blocks, num_decoder_blocks=num_decoder_blocks)
        super().__init__(
            num_joints,
            channels=channels,
            num_blocks=num_decoder_blocks,
            num_heads=num_heads,
            ffn_ratio=ffn_ratio,
            decoder_query=decoder_query,
            position_embedding=position_embedding,
            **kwargs,
        )
        self.encoder = nn.ModuleList(
            STABlock(channels, num_heads, ffn_ratio) for _ in range(num_encoder_blocks)
        )
