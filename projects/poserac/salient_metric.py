"""Scores of single salient poses: which class, which state, and the classification loss."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class SalientPoseMetric(BaseMetric):
    """How well a model knows salient poses.

    - ``loss``: the classification loss, mean over the poses: what the document selects models by.
    - ``state_accuracy``: share of poses whose state (salient I or II) is right.
    - ``class_accuracy``: share of poses whose class is right, and ``accuracy``: share whose class
      and state are both right, for a model with separate salient states.
    - ``salient1_accuracy``: share of the salient poses I whose class and state are right, for a
      model with shared states, which cannot name the class of a salient pose II.

    Args:
        collect_device: As in mmengine's ``BaseMetric``; the default needs no shared disk and works
            on CPU too.
        prefix: As in mmengine's ``BaseMetric``.
    """

    default_prefix = 'salient'

    def __init__(self, collect_device: str = 'gpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep what counts of each pose.

        Args:
            data_batch: ``label`` (B,) and ``state`` (B,).
            data_samples: B predictions of :meth:`projects.poserac.model.PoseRAC.classify`.
        """
        truths = zip(data_batch['label'].tolist(), data_batch['state'].tolist(), strict=True)
        for (label, state), sample in zip(truths, data_samples, strict=True):
            self.results.append(
                (
                    sample['loss'],
                    label,
                    state,
                    sample['label'],
                    sample['state'],
                    len(sample['logits']) == 2 * len(self.dataset_meta['classes']),
                )
            )

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Average over the poses."""
        table = np.array(results, dtype=float)
        loss, label, state, said_label, said_state, separate = table.T
        right_class, right_state = said_label == label, said_state == state
        scores = dict(loss=loss.mean(), state_accuracy=right_state.mean())
        if separate.all():
            scores['class_accuracy'] = right_class.mean()
            scores['accuracy'] = (right_class & right_state).mean()
        elif (state == 0).any():
            scores['salient1_accuracy'] = (right_class & right_state)[state == 0].mean()
        return {name: float(score) for name, score in scores.items()}
