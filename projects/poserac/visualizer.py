"""Drawing counts while testing (``tools/test.py --show-dir``)."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import HOOKS

from projects.files import safe_name
from projects.keypoints import keypoint_layout
from projects.poserac.annotations import pose_file
from projects.poserac.drawing import plot_counts
from projects.poserac.poses import read_poses
from projects.poserac.trace import CountTrace, count_trace
from projects.visualization import DrawnSample, VisualizationHook, process_prefix


@HOOKS.register_module()
class PoseRACVisualizationHook(VisualizationHook):
    """Draw an overview of every n-th tested sequence: score, triggers, counts, counted poses.

    The class that was predicted is drawn. Of a test on single poses, in which nothing is counted,
    there are no drawings; the log says so.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Sequences from one drawing to the next, in each process.

    Raises:
        ValueError: As :class:`projects.visualization.VisualizationHook`.
    """

    def __init__(
        self, enable: bool = False, out_dir: str | None = None, interval: int = 10
    ) -> None:
        super().__init__(enable, out_dir, interval)

    def can_draw(self, batch: dict[str, Any], first: int) -> bool:
        """Whether a batch holds sequences, not single poses.

        Args:
            batch: As the data loader gave it.
            first: How many samples this process tested before it.
        """
        sequences = 'meta' in batch
        if not sequences and not first:
            text = f'{type(self).__name__}: nothing is drawn, the test is on single poses'
            print_log(text, logger='current')
        return sequences

    def file_name(self, sample: DrawnSample) -> str:
        """Numbered, and named after the video.

        Args:
            sample: What is drawn.
        """
        name = os.path.splitext(sample.batch['meta'][sample.index]['name'])[0]
        return f'{process_prefix()}{sample.number:06d}_{safe_name(name)}.png'

    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one sequence.

        Args:
            path: File to write.
            sample: Of a data set whose ``metainfo`` has ``classes`` and ``layout``.
        """
        dataset, output, meta = sample.dataset, sample.output, sample.batch['meta'][sample.index]
        layout = keypoint_layout(dataset.metainfo['layout'])
        classes, label = dataset.metainfo['classes'], int(output['predicted_label'])
        poses = sample.batch['poses'][sample.index].cpu().numpy()  # (T, J, D) as the model got it
        stored = self._stored_poses(dataset, meta)
        if stored is not None and len(stored) == len(poses):
            poses = stored  # each pose normalised on its own is squeezed into a square
        person = f', person {meta["person"]}' if meta.get('person') else ''
        found = classes[label] if label >= 0 else 'no class'
        found += '' if found == meta['action'] else f', truly {meta["action"]}'
        plot_counts(
            str(path),
            poses,
            trace_of(output, label),
            layout,
            title=f'{meta["name"]}{person}: {found}',
            frame_rate=meta.get('frame_rate'),
            repetitions=meta.get('repetitions'),
            true_count=meta.get('count'),
            y_up=grows_upwards(layout.name),
        )

    def _stored_poses(self, dataset: Any, meta: dict[str, Any]) -> np.ndarray | None:
        """The poses (T, J, D) before they were normalised, if the data set tells where they are."""
        folder = getattr(dataset, 'pose_dir', None)
        if folder is None or 'error' in meta:
            return None
        poses = read_poses(pose_file(folder, meta['name']), dataset.layout, dataset.dims)
        return poses[:, meta['person']]


def trace_of(output: dict[str, Any], label: int) -> CountTrace:
    """How a class of a prediction was counted.

    Args:
        output: With ``scores`` (T, C) and ``thresholds``.
        label: The class; -1 for none, of which nothing was counted.
    """
    scores = np.asarray(output['scores'])
    column = scores[:, label] if label >= 0 else np.full(len(scores), np.nan)
    return count_trace(column, **output['thresholds'])


def grows_upwards(layout_name: str) -> bool:
    """Whether the y coordinate of a layout's poses grows upwards: Kinect's does, pixels' do not.

    Args:
        layout_name: Name of the layout.
    """
    return layout_name == 'ntu'
