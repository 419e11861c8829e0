"""What inferencers of several methods share."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.infer import BaseInferencer
from mmengine.logging import print_log

IMAGE_ENDINGS = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


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


def class_names(named: Sequence[str] | None, number: int) -> tuple[str, ...]:
    """The names of a model's classes; ``class_0``, ... where nothing says them, which is logged.

    Args:
        named: What checkpoint or config says, None if nothing.
        number: Of the model's classes.

    Raises:
        ValueError: If there are more or fewer names.
    """
    if named is None:
        text = 'no names of classes in checkpoint or config; they are numbered class_0, ...'
        print_log(text, logger='current', level=logging.WARNING)
        named = [f'class_{label}' for label in range(number)]
    if len(named) != number:
        shown = ', '.join(map(repr, named[:5])) + (', ...' if len(named) > 5 else '')
        raise ValueError(
            f'there are {len(named)} names of classes ({shown}), but the model has {number} classes'
        )
    return tuple(str(name) for name in named)


def has_ending(path: Path, endings: Collection[str]) -> bool:
    """Whether a file's name ends in one of these, whatever the case; hidden files are none.

    Args:
        path: Of a file.
        endings: Such as ``IMAGE_ENDINGS``.
    """
    return path.suffix.lower() in endings and not path.name.startswith('.')


def images_in(folder: Path) -> list[Path]:
    """The images of a folder, by name.

    Args:
        folder: Where they lie.

    Raises:
        ValueError: If there are none.
    """
    paths = [path for path in sorted(folder.iterdir()) if has_ending(path, IMAGE_ENDINGS)]
    if not paths:
        raise ValueError(f'{folder}: has no images, of which names end in {IMAGE_ENDINGS}')
    return paths


def check_image(image: np.ndarray, number: int) -> None:
    """Stop on an array that is no image.

    Args:
        image: (height, width, 3) uint8.
        number: Which one of the inputs it is.

    Raises:
        ValueError: If it is of another shape or type, or empty.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f'input {number}: is an array of shape {image.shape}, {image.dtype}; '
            'expected (height, width, 3), uint8'
        )


def free_name(stem: str, taken: Collection[str]) -> str:
    """A name that nothing has: the stem itself or, where it is taken, ``<stem>_2``, ``_3``, ...

    Args:
        stem: What it should be.
        taken: Names that there are.
    """
    name, copy = stem, 1
    while name in taken:
        copy += 1
        name = f'{stem}_{copy}'
    return name
