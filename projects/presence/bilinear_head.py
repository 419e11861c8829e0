"""The decoder of document 002: upsampled features, ReLU, one convolution."""

from typing import Any

import torch.nn.functional as F
from mmpose.models.heads import HeatmapHead
from mmpose.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@MODELS.register_module()
class BilinearHeatmapHead(HeatmapHead):
    """Heatmaps from bilinearly upsampled features: upsampling, ReLU, 1 x 1 convolution.

    Document 002, section 3. mmpose's simple ViTPose decoder (``FeatureMapProcessor`` and a
    convolution) applies ReLU before it upsamples. Here the order is the document's, and since ReLU
    stands between the two linear steps the convolution cannot be moved to the small features: with
    16 times and 768 channels the upsampled ones take 147 MiB an image of 224 x 224.

    Args:
        in_channels: Channels of the features.
        out_channels: K, number of heatmaps.
        scale_factor: Upsampling; 16 brings patches of 16 pixels to the size of the image.
        with_cp: Whether training computes the upsampled features again in the backward pass
            instead of keeping them.
        kwargs: ``loss``, ``decoder``, ``final_layer`` and ``init_cfg`` as in mmpose's
            ``HeatmapHead``.

    Raises:
        ValueError: If ``scale_factor`` is not positive.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale_factor: float = 16,
        with_cp: bool = False,
        **kwargs: Any,
    ) -> None:
        if not scale_factor > 0:
            raise ValueError(f'scale_factor is {scale_factor!r}, expected a positive number')
        super().__init__(
            in_channels, out_channels, deconv_out_channels=(), deconv_kernel_sizes=(), **kwargs
        )
        self.scale_factor = scale_factor
        self.with_cp = with_cp

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Heatmaps (B, K, scale_factor x h, scale_factor x w) of features (B, C, h, w)."""
        if self.with_cp and feats[-1].requires_grad:
            return checkpoint(self._decode, feats[-1], use_reentrant=False)
        return self._decode(feats[-1])

    def _decode(self, feature: Tensor) -> Tensor:
        large = F.interpolate(feature, scale_factor=self.scale_factor, mode='bilinear')
        return self.final_layer(F.relu_(large)).float()  # mmpose hands it to numpy
