"""What inferencers of several methods share."""

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.infer import BaseInferencer


class MethodInferencer(BaseInferencer):
    """An inferencer that remembers what a checkpoint says of its data, and draws by itself.

    ``saved_meta`` is the ``metainfo`` of the data set that the checkpoint was trained on, empty
    without a checkpoint or where it says nothing.

    Args:
        args: As in mmengine's ``BaseInferencer``.
        kwargs: As in mmengine's ``BaseInferencer``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.saved_meta: dict[str, Any] = {}
        super().__init__(*args, **kwargs)

    def _load_weights_to_model(
        self, model: torch.nn.Module, checkpoint: dict | None, cfg: Any
    ) -> None:
        super()._load_weights_to_model(model, checkpoint, cfg)
        meta = (checkpoint or {}).get('meta') or {}
        self.saved_meta = meta.get('dataset_meta') or {}

    def _init_visualizer(self, cfg: Any) -> None:
        return None  # methods draw with functions of their own


def tested_dataset(cfg: Any) -> ConfigDict:
    """The config of the data set to test on, inside of any wrappers.

    Args:
        cfg: Config of a method.

    Raises:
        ValueError: If it has none.
    """
    dataset = (cfg.get('test_dataloader') or {}).get('dataset')
    while dataset is not None and 'dataset' in dataset:
        dataset = dataset.dataset
    if dataset is None:
        raise ValueError('the config has no test_dataloader.dataset, by which inputs are prepared')
    return dataset
