"""From class tokens to actions."""

from typing import Any

import torch
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class STARHead(BaseHead):
    """Mean of the class tokens, then an MLP (document 004, Encoder & Decoder).

    The document does not describe the MLP. Here it has one hidden layer with a GELU.

    In a stock config of mmaction2 it takes what a backbone gives: tokens (B, L, C), a vector
    (B, C), or a feature map (B, C, T, h, w) whose cells are the tokens.

    Args:
        num_classes: Number of actions.
        in_channels: Channels C.
        hidden_channels: Of the MLP; None for as many as come in.
        dropout: Before the last layer.
        kwargs: As in mmaction2's ``BaseHead``, such as ``average_clips='prob'``, the mean of the
            probabilities of a video's clips.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        hidden_channels: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, **kwargs)
        hidden_channels = hidden_channels or in_channels
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, num_classes),
        )

    def forward(self, x: Tensor, **kwargs: Any) -> Tensor:
        """Scores of the classes, before the softmax.

        Args:
            x: (B, L, C), (B, C) or (B, C, T, h, w).
            kwargs: Of other heads; ignored.

        Returns:
            (B, classes).

        Raises:
            ValueError: If ``x`` has another shape.
        """
        if x.ndim == 5:
            x = x.flatten(2).transpose(1, 2)  # (B, T*h*w, C)
        if x.ndim not in (2, 3) or x.shape[-1] != self.in_channels:
            raise ValueError(
                f'x has shape {tuple(x.shape)}, expected (batch, C), (batch, tokens, C) or '
                f'(batch, C, frames, height, width) with C = in_channels = {self.in_channels}'
            )
        return self.mlp(x.mean(dim=1) if x.ndim == 3 else x)

    def loss(self, feats: Tensor, data_samples: list, **kwargs: Any) -> dict[str, Tensor]:
        """Loss and accuracies of clips, in full precision: mmaction2 counts with NumPy.

        Args:
            feats: As ``x`` of :meth:`forward`.
            data_samples: mmaction2's data samples with their ``gt_label``.
            kwargs: Of other heads; ignored.
        """
        return self.loss_by_feat(self(feats).to(torch.float32), data_samples)

    def predict(self, feats: Tensor, data_samples: list, **kwargs: Any) -> list:
        """Scores and labels of clips, in full precision whatever precision the model runs in.

        Args:
            feats: As ``x`` of :meth:`forward`.
            data_samples: mmaction2's data samples, which get ``pred_score`` and ``pred_label``.
            kwargs: Of other heads; ignored.
        """
        return self.predict_by_feat(self(feats).to(torch.float32), data_samples)
