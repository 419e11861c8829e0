"""Says when a training has gone the way that DETRs go on little data."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class BackgroundCollapseHook(Hook):
    """Warns when every query called everything background for an epoch.

    A DETR trained from scratch on little data settles there easily: with few persons and many
    queries, "no object" everywhere is a good first guess. It reads ``person_queries`` of
    ``APCTHead``'s losses, the share of queries that say "person".

    Args:
        patience: First epoch, counted from 1, whose end may bring the warning.
    """

    def __init__(self, patience: int = 1) -> None:
        self.patience = patience
        self.seen_person = False

    def before_train_epoch(self, runner: Runner) -> None:
        """Forget the epoch before."""
        self.seen_person = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Look whether a query said "person"."""
        if not self.seen_person:  # else spare the wait for the device
            self.seen_person = float((outputs or {}).get('person_queries', 1.0)) > 0

    def after_train_epoch(self, runner: Runner) -> None:
        """Warn."""
        if not self.seen_person and runner.epoch + 1 >= self.patience:
            runner.logger.warning(
                f'epoch {runner.epoch + 1}: every query predicted background in every image. If '
                'this goes on, the model has collapsed to "no object": start from weights trained '
                'on COCO (load_from), check that it can overfit a few images '
                '(train_dataloader.dataset.indices=8), or train longer; see "From scratch" in '
                'projects/apct/README.md'
            )
