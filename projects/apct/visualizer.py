"""Drawing parses while testing (``tools/test.py --show-dir``)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from projects.apct.drawing.picture import draw_beside, draw_parses
from projects.apct.people import official_people
from projects.files import safe_name, whole_file


@HOOKS.register_module()
class PartParsingVisualizationHook(Hook):
    """Draw every n-th tested frame, the truth beside the prediction where it is known.

    The files are named after video and frame. A drawing that fails is logged and stops nothing.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Frames from one drawing to the next, in each process.
        person_threshold: Least score of a person, 0..1.
        part_threshold: Least score of a part's state, 0..1.
    """

    def __init__(
        self,
        enable: bool = False,
        out_dir: str | None = None,
        interval: int = 50,
        person_threshold: float = 0.5,
        part_threshold: float = 0.1,
    ) -> None:
        if enable and not out_dir:
            raise ValueError('out_dir is not set: --show-dir of tools/test.py names the folder')
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f'interval is {interval!r}, expected a whole number of 1 or more')
        check_thresholds(person_threshold=person_threshold, part_threshold=part_threshold)
        self.enable = enable
        self.out_dir = out_dir
        self.interval = interval
        self.thresholds = dict(person_threshold=person_threshold, part_threshold=part_threshold)
        self._seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Count the frames from the start."""
        self._seen = 0

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw the frames of this batch whose turn it is."""
        if not self.enable:
            return
        meta = runner.test_dataloader.dataset.metainfo
        for index, sample in enumerate(outputs):
            if (self._seen + index) % self.interval == 0:
                name = self.file_name(sample, self._seen + index)
                try:
                    drawn = self.draw(data_batch['inputs'][index], sample, meta)
                    write_image(Path(self.out_dir, name), drawn)
                except Exception as error:
                    text = f'{name}: not drawn ({type(error).__name__}: {error})'
                    print_log(text, logger='current', level=logging.WARNING)
        self._seen += len(outputs)

    def file_name(self, sample: Any, number: int) -> str:
        """Name of a drawing.

        Args:
            sample: A tested sample.
            number: How many were tested before it.
        """
        video = sample.get('video') or Path(sample.get('img_path') or 'frame').stem
        frame = sample.get('frame_number', number)
        return f'{safe_name(video)}_{frame:05d}.jpg'

    def draw(self, pixels: torch.Tensor, sample: Any, meta: dict[str, Any]) -> np.ndarray:
        """Draw one tested frame.

        Args:
            pixels: (3, height, width) uint8, BGR, as the model got it.
            sample: Its ``DetDataSample`` with ``pred_instances``.
            meta: ``part_names`` and ``state_names``.

        Returns:
            (height', width', 3) uint8, BGR.
        """
        image = np.ascontiguousarray(pixels.cpu().numpy().transpose(1, 2, 0))
        height, width = sample.get('ori_shape', image.shape)[:2]
        if image.shape[:2] != (height, width):  # boxes are those of the frame before resizing
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        names = meta['part_names']
        people, _ = official_people(
            sample.pred_instances, names, meta['state_names'], for_drawing=True
        )
        truth = sample.get('truth')
        if truth is None:
            return draw_parses(image, people, names, **self.thresholds)
        return draw_beside(image, truth['humans'], people, names, **self.thresholds)


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
