"""Takes the threshold of presence from validation to testing."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from projects.presence.metric import KeypointPresenceMetric

META = 'presence_threshold'


@HOOKS.register_module()
class PresenceThresholdHook(Hook):
    """Remembers the best threshold of the last validation, also in checkpoints.

    A threshold chosen on the test data flatters the F1 there. This hook keeps the one that
    validation chose: checkpoints hold it as ``presence_threshold`` in their ``meta``, where the
    inferencer finds it too, and testing hands it to every ``KeypointPresenceMetric`` without a
    ``threshold`` of its own, whose ``F1_val`` is then at that threshold.

    It acts before mmengine's ``CheckpointHook``, so the best checkpoint holds the threshold of its
    own validation. A checkpoint of an epoch is written before that epoch's validation and holds the
    one before, unless it is also the best.

    Args:
        key: Where the threshold is among the scores of validation.
    """

    priority = 'NORMAL'  # above CheckpointHook's VERY_LOW

    def __init__(self, key: str = 'presence/best_threshold') -> None:
        self.key = key
        self.threshold: float | None = None
        self.lent: list[KeypointPresenceMetric] = []

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remember the threshold; one that the data did not define changes nothing."""
        threshold = (metrics or {}).get(self.key)
        if threshold is not None and not math.isnan(threshold):
            self.threshold = float(threshold)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write it into the checkpoint."""
        if self.threshold is not None:
            checkpoint['meta'][META] = self.threshold

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read it from a checkpoint; one without takes away that of other weights.

        Raises:
            ValueError: If it is no number in 0..1.
        """
        threshold = (checkpoint.get('meta') or {}).get(META)
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if threshold is not None and not (number and 0 <= threshold <= 1):
            raise ValueError(
                f"the checkpoint's meta has {META} {threshold!r}, expected a number in 0..1"
            )
        self.threshold = None if threshold is None else float(threshold)

    def before_test_epoch(self, runner: Runner) -> None:
        """Hand it to the metrics of the test."""
        if self.threshold is None:
            return
        self.lent = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, KeypointPresenceMetric) and metric.threshold is None
        ]
        for metric in self.lent:
            metric.threshold = self.threshold
            runner.logger.info(f'F1_val is at {self.threshold:.4f}, chosen in validation')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Take it back: the next test may be of other weights."""
        for metric in self.lent:
            metric.threshold = None
        self.lent = []
