"""Losses of equation 1 that mmdet does not have in a form that runs without mmcv's CUDA kernels."""

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss


@MODELS.register_module()
class PartStateFocalLoss(nn.Module):
    """FocalLoss(p_s, p_s*) over the states of labelled parts (document, equation 1).

    Every state is a yes-or-no question: sigmoid, binary focal loss, summed over the states. mmdet's
    ``FocalLoss`` calls mmcv's CUDA kernel on a GPU; this one is torchvision's.

    Args:
        alpha: Weight of the right state against the others, (0, 1), or -1 for none.
        gamma: How much well classified states count less, 0 for cross-entropy.
        loss_weight: Factor on the loss.
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, states: Tensor, avg_factor: Tensor | float) -> Tensor:
        """The loss of the parts that have a state.

        Args:
            logits: (P, S) of P parts.
            states: (P,) index of the right state; parts with -1 are left out.
            avg_factor: What the sum is divided by, the number of labelled parts.

        Returns:
            Scalar; 0, with gradients of 0, if no part is labelled.
        """
        labelled = states >= 0
        targets = functional.one_hot(states.clamp(min=0), logits.shape[-1]).to(logits)  # (P, S)
        loss = sigmoid_focal_loss(logits, targets, self.alpha, self.gamma).sum(-1)
        # not a product with the mask: the loss of a part left out could be infinite
        loss = torch.where(labelled, loss, 0.0).sum()
        return self.loss_weight * loss / avg_factor
