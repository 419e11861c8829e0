"""Drawing people and the presence of their keypoints while testing."""

from pathlib import Path

import mmcv
import numpy as np
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from projects.files import safe_name
from projects.pose_look import PosePerson, pose_look
from projects.presence.drawing import SCORES, draw_presence, draw_with_truth
from projects.presence.hooks import PresenceThresholdHook
from projects.presence.people import MEASURES, predicted_person, predicted_presence, true_person
from projects.visualization import (
    DrawnSample,
    VisualizationHook,
    check_thresholds,
    process_prefix,
    write_image,
)

_THRESHOLD = 0.5  # where nothing tells a better one
_MARGIN = 0.1  # around what the model saw, as a share of it


@HOOKS.register_module()
class KeypointPresenceVisualizationHook(VisualizationHook):
    """Draw every n-th tested person, the truth beside the prediction where it is known.

    Models that predict no presence are drawn by what they have, see
    :func:`projects.presence.people.predicted_presence`.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: People from one drawing to the next, in each process.
        threshold: Score from which a keypoint counts as present, 0..1; None for the one that
            validation chose, as the ``PresenceThresholdHook`` of the run read it from the
            checkpoint, or 0.5 without one.
        scores: Which numbers are written at keypoints: of the ``absent``, of ``all`` or ``none``.

    Raises:
        ValueError: As :class:`projects.visualization.VisualizationHook`, or if another option is
            not one of the allowed.
    """

    def __init__(
        self,
        enable: bool = False,
        out_dir: str | None = None,
        interval: int = 50,
        threshold: float | None = None,
        scores: str = 'absent',
    ) -> None:
        super().__init__(enable, out_dir, interval)
        if threshold is not None:
            check_thresholds(threshold=threshold)
        if scores not in SCORES:
            raise ValueError(f'scores is {scores!r}, expected one of {SCORES}')
        self.threshold = threshold
        self.scores = scores
        self._limit = _THRESHOLD if threshold is None else threshold  # of the test at hand

    def before_test_epoch(self, runner: Runner) -> None:
        """Count the samples from the start, at the threshold of the weights that are tested."""
        super().before_test_epoch(runner)
        if self.threshold is None:
            chosen = [x.threshold for x in runner.hooks if isinstance(x, PresenceThresholdHook)]
            self._limit = next((one for one in chosen if one is not None), _THRESHOLD)

    def file_name(self, sample: DrawnSample) -> str:
        """Numbered, and named after the image.

        Args:
            sample: What is drawn.
        """
        stem = safe_name(Path(sample.output.get('img_path') or 'image').stem)
        return f'{process_prefix()}{sample.number:06d}_{stem}.png'

    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one person and what is around.

        Args:
            path: File to write.
            sample: Its output is a ``PoseDataSample`` with ``pred_instances`` of one person.

        Raises:
            ValueError: If the image cannot be read.
        """
        found = sample.output
        image = mmcv.imread(found.img_path)
        if image is None:
            raise ValueError(f'{found.img_path}: cannot be read as an image')
        image, corner = _surroundings(image, found.input_center, found.input_scale)
        person = _moved(predicted_person(found, self._limit), corner)
        truth = true_person(found)
        look = pose_look(sample.dataset.metainfo)
        measure = MEASURES[predicted_presence(found.pred_instances).source]
        options = dict(threshold=self._limit, scores=self.scores, measure=measure)
        if truth is None:
            drawn = draw_presence(image, [person], look, **options)
        else:
            drawn = draw_with_truth(image, _moved(truth, corner), person, look, **options)
        write_image(path, drawn)


def _surroundings(
    image: np.ndarray, centre: np.ndarray, size: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The part of an image that the model saw, with a margin, and its upper left corner (2,)."""
    half = np.asarray(size, dtype=float) * (0.5 + _MARGIN)
    centre = np.asarray(centre, dtype=float)
    far = np.array(image.shape[1::-1])
    low = np.clip(np.floor(centre - half), 0, far - 1).astype(int)
    high = np.clip(np.ceil(centre + half), low + 1, far).astype(int)
    return image[low[1] : high[1], low[0] : high[0]], low


def _moved(person: PosePerson, corner: np.ndarray) -> PosePerson:
    return person._replace(points=person.points - corner, box=person.box - np.tile(corner, 2))
