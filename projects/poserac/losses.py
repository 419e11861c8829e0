"""Metric-learning losses on the embeddings of salient poses."""

from typing import Any

import torch
import torch.distributed.nn.functional as differentiable
from mmengine.dist import is_distributed
from mmengine.registry import MODELS
from pytorch_metric_learning import losses, miners
from torch import Tensor, nn

KINDS = {
    'triplet': losses.TripletMarginLoss,
    'contrastive': losses.ContrastiveLoss,
    'circle': losses.CircleLoss,
}


@MODELS.register_module()
class PoseRACMetricLoss(nn.Module):
    """Pulls embeddings of one salient pose together and pushes those of others apart.

    The document's section 4: triplet margin loss (the original's), contrastive loss (positive
    margin 0, negative margin 1) or circle loss (m 0.4, gamma 80), all of them
    ``pytorch-metric-learning``'s, on the pairs that its multi-similarity miner finds hard.

    Of several processes all embeddings are compared with one another, and the gradient is that of
    the whole batch in one process.

    Args:
        kind: ``'triplet'``, ``'contrastive'`` or ``'circle'``.
        miner: Compare only pairs of the multi-similarity miner (its epsilon is 0.1).
        options: Arguments of the loss, as in ``margin=0.1``.

    Raises:
        ValueError: If the kind is unknown.
    """

    def __init__(self, kind: str = 'triplet', miner: bool = True, **options: Any) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f'kind is {kind!r}, expected one of {sorted(KINDS)}')
        self.loss = KINDS[kind](**options)
        self.miner = miners.MultiSimilarityMiner(epsilon=0.1) if miner else None

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch.

        Args:
            embeddings: (B, C), C being the embedding's channels.
            labels: (B,) int, equal for embeddings that belong together.

        Returns:
            Scalar, 0 where no pair is hard.
        """
        embeddings = embeddings.float()
        if is_distributed():
            embeddings = torch.cat(differentiable.all_gather(embeddings))
            labels = torch.cat(differentiable.all_gather(labels))
        pairs = None if self.miner is None else self.miner(embeddings, labels)
        return self.loss(embeddings, labels, pairs)
