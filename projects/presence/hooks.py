"""Takes the thresholds of presence from validation to testing."""

import math
from collections.abc import Mapping
from typing import Any

from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from projects.presence.metric import KeypointPresenceMetric
from projects.visualization import check_thresholds

META = 'presence_threshold'
METAS = 'presence_thresholds'


@HOOKS.register_module()
class PresenceThresholdHook(Hook):
    """Remembers the best thresholds of the last validation, also in checkpoints.

    A threshold chosen on the test data flatters the F1 there. This hook keeps the one that
    validation chose for each source of scores: checkpoints hold that of the metric's first source
    as ``presence_threshold`` in their ``meta``, where the inferencer finds it too, and those of
    all sources by name as ``presence_thresholds``. Testing hands them to every
    ``KeypointPresenceMetric`` without a ``threshold`` of its own, whose ``F1_val`` are then at
    these. Of a checkpoint that holds the first source's alone only that source has ``F1_val``.

    It acts before mmengine's ``CheckpointHook``, so the best checkpoint holds the thresholds of its
    own validation. A checkpoint of an epoch is written before that epoch's validation and holds
    those before, unless it is also the best.

    Args:
        key: Where the first source's threshold is among the scores of validation. Those of the
            others, which the ``KeypointPresenceMetric`` of this prefix names, have the source's
            name before the last part: ``presence/<source>/best_threshold``.
    """

    priority = 'NORMAL'  # above CheckpointHook's VERY_LOW

    def __init__(self, key: str = 'presence/best_threshold') -> None:
        self.key = key
        self.threshold: float | None = None  # of the first source
        self.thresholds: dict[str, float] = {}  # of all, by name
        self.lent: list[KeypointPresenceMetric] = []

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Remember the thresholds; one that the data did not define changes nothing."""
        start = self.key.rfind('/') + 1
        of_prefix = (
            metric.sources
            for metric in _metrics_of(runner.val_evaluator)
            if self.key[:start].endswith(f'{metric.prefix}/')  # after a data set's, of several
        )
        for number, source in enumerate(next(of_prefix, ())):
            key = f'{self.key[:start]}{source}/{self.key[start:]}' if number else self.key
            found = (metrics or {}).get(key)
            if found is None or math.isnan(found):
                continue
            self.thresholds[source] = float(found)
            if number == 0:
                self.threshold = float(found)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write them into the checkpoint."""
        if self.threshold is not None:
            checkpoint['meta'][META] = self.threshold
        if self.thresholds:
            checkpoint['meta'][METAS] = dict(self.thresholds)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read them from a checkpoint; one without takes away those of other weights.

        Raises:
            ValueError: If one is no number in 0..1.
        """
        meta = checkpoint.get('meta') or {}
        threshold, thresholds = meta.get(META), meta.get(METAS)
        where = "the checkpoint's meta"
        if threshold is not None:
            check_thresholds(**{f'{META} in {where}': threshold})
        if thresholds is None:
            thresholds = {}
        if not isinstance(thresholds, Mapping):
            raise ValueError(f'{METAS} in {where} is {thresholds!r}, expected a dict by source')
        check_thresholds(**{f'{METAS}[{name!r}] in {where}': x for name, x in thresholds.items()})
        self.threshold = None if threshold is None else float(threshold)
        self.thresholds = {str(source): float(value) for source, value in thresholds.items()}

    def before_test_epoch(self, runner: Runner) -> None:
        """Hand them to the metrics of the test."""
        for metric in _metrics_of(runner.test_evaluator):
            if metric.threshold is not None:
                continue
            names = list(metric.sources)
            known = self.thresholds
            if not known and self.threshold is not None:  # of a checkpoint with the first alone
                known = {names[0]: self.threshold}
            found = {name: known[name] for name in names if name in known}
            if not found:
                continue
            metric.threshold = found
            self.lent.append(metric)
            said = ', '.join(f'{value:.4f} of {name}' for name, value in found.items())
            runner.logger.info(f'F1_val is at {said}, chosen in validation')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Take them back: the next test may be of other weights."""
        for metric in self.lent:
            metric.threshold = None
        self.lent = []


def _metrics_of(evaluator: Evaluator) -> list[KeypointPresenceMetric]:
    return [one for one in evaluator.metrics if isinstance(one, KeypointPresenceMetric)]
