"""Drawing counts while testing (``tools/test.py --show-dir``)."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from projects.files import safe_name
from projects.keypoints import keypoint_layout
from projects.poserac.annotations import pose_file
from projects.poserac.drawing import plot_counts
from projects.poserac.poses import read_poses
from projects.poserac.trace import CountTrace, count_trace


@HOOKS.register_module()
class PoseRACVisualizationHook(Hook):
    """Draw an overview of every n-th tested sequence: score, triggers, counts, counted poses.

    The class that was predicted is drawn. A drawing that fails is logged and stops nothing. Of a
    test on single poses, in which nothing is counted, there are no drawings; the log says so.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Sequences from one drawing to the next, in each process.

    Raises:
        ValueError: If drawing is enabled without a folder, or the interval is not 1 or more.
    """

    def __init__(
        self, enable: bool = False, out_dir: str | None = None, interval: int = 10
    ) -> None:
        if enable and not out_dir:
            raise ValueError('out_dir is not set: --show-dir of tools/test.py names the folder')
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f'interval is {interval!r}, expected a whole number of 1 or more')
        self.enable = enable
        self.out_dir = out_dir
        self.interval = interval
        self._seen = 0

    def before_test_epoch(self, runner: Runner) -> None:
        """Count the sequences from the start."""
        self._seen = 0

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | None = None,
        outputs: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        """Draw the sequences of this batch whose turn it is."""
        if not self.enable:
            return
        if 'meta' not in data_batch:
            if not self._seen:  # the first batch
                text = f'{type(self).__name__}: nothing is drawn, the test is on single poses'
                print_log(text, logger='current')
            self._seen += len(outputs)
            return
        dataset = runner.test_dataloader.dataset
        for index, output in enumerate(outputs):
            number = self._seen + index
            if number % self.interval:
                continue
            meta = data_batch['meta'][index]
            name = safe_name(os.path.splitext(meta['name'])[0])
            path = Path(self.out_dir, f'{number:06d}_{name}.png')
            if get_rank():
                path = path.with_name(f'rank{get_rank()}_{path.name}')
            try:
                self.draw(path, dataset, data_batch['poses'][index], meta, output)
            except Exception as error:
                text = f'{path.name}: not drawn ({type(error).__name__}: {error})'
                print_log(text, logger='current', level=logging.WARNING)
        self._seen += len(outputs)

    def draw(
        self, path: Path, dataset: Any, poses: Any, meta: dict[str, Any], output: dict[str, Any]
    ) -> None:
        """Draw one sequence.

        Args:
            path: File to write.
            dataset: The data set, whose ``metainfo`` has ``classes`` and ``layout``.
            poses: (T, J, D) tensor as the model got it.
            meta: The sample's.
            output: What the model predicts of it.
        """
        layout = keypoint_layout(dataset.metainfo['layout'])
        classes, label = dataset.metainfo['classes'], int(output['predicted_label'])
        poses = poses.cpu().numpy()
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
