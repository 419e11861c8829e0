"""The classifier's head: mmaction2's, for mixed precision too."""

from collections.abc import Sequence
from typing import Any

import torch
from mmaction.models.heads import I3DHead
from mmaction.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FloatI3DHead(I3DHead):
    """``I3DHead`` whose scores are float32 in mixed precision, and that says which label it lacks.

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

    def loss(self, feats: Tensor, data_samples: Sequence[Any], **kwargs: Any) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            feats: (B, C, T, H, W) of the backbone.
            data_samples: B samples with ``gt_label``.
            kwargs: Of ``I3DHead``.

        Raises:
            ValueError: If a label is beyond the classes.
        """
        highest = int(torch.cat([sample.gt_label for sample in data_samples]).max())
        if highest >= self.num_classes:
            raise ValueError(
                f'cls_head.num_classes is {self.num_classes}, but a video has the label '
                f'{highest}, counted from 0: set it to the number of class folders, which is at '
                f'least {highest + 1}'
            )
        return super().loss(feats, data_samples, **kwargs)
