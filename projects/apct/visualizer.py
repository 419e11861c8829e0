"""Drawing parses while testing (``tools/test.py --show-dir``)."""

from pathlib import Path

import cv2
import numpy as np
from mmengine.registry import HOOKS

from projects.apct.drawing.picture import draw_beside, draw_parses
from projects.apct.people import official_people
from projects.files import safe_name
from projects.visualization import DrawnSample, VisualizationHook, check_thresholds, write_image


@HOOKS.register_module()
class PartParsingVisualizationHook(VisualizationHook):
    """Draw every n-th tested frame, the truth beside the prediction where it is known.

    The files are named after video and frame.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Frames from one drawing to the next, in each process.
        person_threshold: Least score of a person, 0..1.
        part_threshold: Least score of a part's state, 0..1.

    Raises:
        ValueError: As :class:`projects.visualization.VisualizationHook`, or if a threshold is not
            in 0..1.
    """

    def __init__(
        self,
        enable: bool = False,
        out_dir: str | None = None,
        interval: int = 50,
        person_threshold: float = 0.5,
        part_threshold: float = 0.1,
    ) -> None:
        super().__init__(enable, out_dir, interval)
        self.thresholds = dict(person_threshold=person_threshold, part_threshold=part_threshold)
        check_thresholds(**self.thresholds)

    def file_name(self, sample: DrawnSample) -> str:
        """Named after video and frame.

        Args:
            sample: What is drawn.
        """
        found = sample.output
        video = found.get('video') or Path(found.get('img_path') or 'frame').stem
        return f'{safe_name(video)}_{found.get("frame_number", sample.number):05d}.jpg'

    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one tested frame as the model got it.

        Args:
            path: File to write.
            sample: Its output is a ``DetDataSample`` with ``pred_instances``.
        """
        pixels, found = sample.batch['inputs'][sample.index], sample.output
        image = np.ascontiguousarray(pixels.cpu().numpy().transpose(1, 2, 0))
        height, width = found.get('ori_shape', image.shape)[:2]
        if image.shape[:2] != (height, width):  # boxes are those of the frame before resizing
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        names, states = (sample.dataset.metainfo[key] for key in ('part_names', 'state_names'))
        people, _ = official_people(found.pred_instances, names, states, for_drawing=True)
        truth = found.get('truth')
        if truth is None:
            drawn = draw_parses(image, people, names, **self.thresholds)
        else:
            drawn = draw_beside(image, truth['humans'], people, names, **self.thresholds)
        write_image(path, drawn)
