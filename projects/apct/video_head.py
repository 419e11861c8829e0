"""The classifier's head: mmaction2's, for mixed precision too."""

from typing import Any

from mmaction.models.heads import I3DHead
from mmaction.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FloatI3DHead(I3DHead):
    """``I3DHead`` whose scores are float32 in mixed precision.

    While training, mmaction2 counts the right ones in numpy, which has no bfloat16.
    """

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Scores of clips.

        Args:
            x: (B, C, T, H, W) of the backbone.
            kwargs: Of ``I3DHead``, which uses none.

        Returns:
            (B, classes) float32.
        """
        return super().forward(x, **kwargs).float()
