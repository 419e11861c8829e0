"""Binary cross-entropy over keypoints of which some are unknown."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class KeypointPresenceLoss(nn.Module):
    r"""Binary cross-entropy of presence, unknown keypoints masked out.

    Document 002, section 3: :math:`-[w\,y\log p + (1 - y)\log(1 - p)]`, with the probability
    :math:`p` that a keypoint is there and its truth :math:`y`. As in mmpose's losses of heatmaps,
    the mean is over all B x K keypoints and an unknown one counts 0, so that a batch shared among
    processes gives the gradient of the whole batch.

    Args:
        pos_weight: :math:`w`, the weight of present keypoints against absent ones: one number or
            one for each keypoint. Absent / present of the training set balances them.
        gamma: Power of the focal loss of Lin et al. 2017: a keypoint's loss is multiplied by
            :math:`(1 - p_t)^\gamma`, where :math:`p_t` is the probability of what is true. 0 is
            plain cross-entropy.
        loss_weight: Weight of this loss in the sum of all losses.
    """

    def __init__(
        self,
        pos_weight: float | Sequence[float] | None = None,
        gamma: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        weight = None
        if pos_weight is not None:
            weight = torch.as_tensor(pos_weight, dtype=torch.float32)
            if weight.ndim > 1 or not (torch.isfinite(weight) & (weight > 0)).all():
                raise ValueError(
                    f'pos_weight is {pos_weight!r}, expected a positive number, or one for each '
                    'keypoint'
                )
        if not gamma >= 0:
            raise ValueError(f'gamma is {gamma!r}, expected a number of 0 or more')
        self.register_buffer('pos_weight', weight, persistent=False)
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            logits: (B, K).
            target: (B, K), 1 where the keypoint is there, 0 where it is not.
            known: (B, K), weight of each keypoint, 0 where the target is unknown.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: If ``pos_weight`` is of another number of keypoints.
        """
        if self.pos_weight is not None and self.pos_weight.numel() not in (1, logits.shape[1]):
            raise ValueError(
                f'pos_weight has {self.pos_weight.numel()} numbers, expected 1 or one for each of '
                f'{logits.shape[1]} keypoints'
            )
        logits = logits.float()  # under autocast too
        loss = F.binary_cross_entropy_with_logits(
            logits, target, weight=known, pos_weight=self.pos_weight, reduction='none'
        )
        if self.gamma > 0:
            wrong = torch.sigmoid(torch.where(target > 0.5, -logits, logits))  # 1 - p_t
            loss = loss * wrong**self.gamma
        return loss.mean() * self.loss_weight
