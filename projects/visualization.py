"""What the drawings of several methods share: the look, the files, and drawing while testing."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from PIL import ImageFont

from projects.files import whole_file

Colour = tuple[int, int, int]

BACKGROUND, CARD = (24, 26, 31), (38, 41, 48)
WHITE, SOFT, DIM = (255, 255, 255), (205, 209, 216), (130, 135, 145)


class DrawnSample(NamedTuple):
    """A tested sample whose turn it is to be drawn."""

    number: int
    """How many samples this process tested before it."""
    index: int
    """Its place in the batch."""
    batch: dict[str, Any]
    """The batch as the data loader gave it."""
    output: Any
    """What the model says of it."""
    dataset: Any
    """The data set that is tested on."""


class VisualizationHook(Hook, ABC):
    """Draw every n-th tested sample (``tools/test.py --show-dir``).

    A method says in :meth:`file_name` and :meth:`draw` how. A drawing that fails is logged and
    stops nothing.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Samples from one drawing to the next, in each process.

    Raises:
        ValueError: If drawing is enabled without a folder, or the interval is not 1 or more.
    """

    def __init__(
        self, enable: bool = False, out_dir: str | None = None, interval: int = 50
    ) -> None:
        if enable and not out_dir:
            raise ValueError('out_dir is not set: --show-dir of tools/test.py names the folder')
        if isinstance(interval, bool) or not isinstance(interval, int) or interval < 1:
            raise ValueError(f'interval is {interval!r}, expected a whole number of 1 or more')
        self.enable = enable
        self.out_dir = out_dir
        self.interval = interval
        self._seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Count the samples from the start."""
        self._seen = 0

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the samples of this batch whose turn it is."""
        if not self.enable:
            return
        first, self._seen = self._seen, self._seen + len(outputs)
        if not self.can_draw(data_batch, first):
            return
        dataset = runner.test_dataloader.dataset
        for index in range(-first % self.interval, len(outputs), self.interval):
            sample = DrawnSample(first + index, index, data_batch, outputs[index], dataset)
            name = f'sample {sample.number}'
            try:
                name = self.file_name(sample)
                self.draw(Path(self.out_dir, name), sample)
            except Exception as error:
                text = f'{name}: not drawn ({type(error).__name__}: {error})'
                print_log(text, logger='current', level=logging.WARNING)

    def can_draw(self, batch: dict[str, Any], first: int) -> bool:
        """Whether a batch holds what can be drawn.

        Args:
            batch: As the data loader gave it.
            first: How many samples this process tested before it.
        """
        return True

    def file_name(self, sample: DrawnSample) -> str:
        """Name of a drawing, which no other sample's has.

        Args:
            sample: What is drawn.
        """
        return f'{process_prefix()}{sample.number:06d}.png'

    @abstractmethod
    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one sample.

        Args:
            path: File to write.
            sample: What is drawn.
        """


def process_prefix() -> str:
    """What tells apart the files of several processes that test together; '' in the first."""
    return f'rank{get_rank()}_' if get_rank() else ''


def check_thresholds(**thresholds: float) -> None:
    """Stop on a threshold that is no score.

    Args:
        thresholds: By name.

    Raises:
        ValueError: If one is not in 0..1.
    """
    for name, value in thresholds.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ValueError(f'{name} is {value!r}, expected a number in 0..1')


@lru_cache(maxsize=32)
def font(bold: bool = False, size: int = 15) -> ImageFont.FreeTypeFont:
    """Matplotlib's own font, which is there wherever matplotlib is.

    Args:
        bold: Whether to take the bold one.
        size: Pixels.
    """
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(mpl.get_data_path(), 'fonts', 'ttf', name)), size)


def scaled(image: np.ndarray, long_side: tuple[int, int]) -> np.ndarray:
    """A copy of an image whose long side lies in a range.

    Args:
        image: (height, width, 3) uint8.
        long_side: Smallest and largest long side, pixels.
    """
    height, width = image.shape[:2]
    scale = max(long_side[0] / max(height, width), 1.0)
    scale = min(scale, long_side[1] / max(height, width))
    if scale == 1:
        return image.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def beside(one: np.ndarray, two: np.ndarray, gap: int = 10) -> np.ndarray:
    """Two pictures side by side, or one above the other where that is less wide.

    Args:
        one: (height, width, 3) uint8, BGR.
        two: Likewise, of any size.
        gap: Pixels between them.

    Returns:
        (height', width', 3) uint8, BGR; what neither covers has the background's colour.
    """
    axis = 1 if one.shape[1] + two.shape[1] < 2.2 * max(one.shape[0], two.shape[0]) else 0
    shape = np.maximum(one.shape, two.shape)
    shape[axis] = one.shape[axis] + gap + two.shape[axis]
    canvas = np.empty(shape, dtype=np.uint8)
    canvas[:] = BACKGROUND[::-1]
    canvas[: one.shape[0], : one.shape[1]] = one
    top, left = (one.shape[side] + gap if axis == side else 0 for side in (0, 1))
    canvas[top : top + two.shape[0], left : left + two.shape[1]] = two
    return canvas


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an image file whole; text stays crisp in a JPEG.

    Args:
        path: Ends in ``.jpg`` or ``.png``.
        image: (height, width, 3) uint8, BGR.

    Raises:
        ValueError: If it cannot be written.
    """
    options = []
    if Path(path).suffix.lower() in ('.jpg', '.jpeg'):
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    with whole_file(path) as partial:
        if not cv2.imwrite(str(partial), image, options):
            raise ValueError(f'{path}: cannot be written')
