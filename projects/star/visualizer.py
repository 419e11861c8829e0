"""Drawing tested clips: what the model saw of them, and what it says."""

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import HOOKS
from torch import Tensor

from projects.files import safe_name
from projects.keypoints import KeypointLayout, keypoint_layout
from projects.star.drawing import Clip, write_strip
from projects.star.panels import Verdict
from projects.visualization import DrawnSample, VisualizationHook, process_prefix

_SIDE = 224  # pixels of the ground of joints without pictures


@HOOKS.register_module()
class STARVisualizationHook(VisualizationHook):
    """Draw every n-th tested clip: frames as the model took them, skeletons, and the best classes.

    Of a model of skeletons alone the frames are blank, of a model of video alone there are no
    skeletons. Of several clips of a sample the first is drawn.

    Args:
        enable: Whether to draw at all.
        out_dir: Folder to draw into.
        interval: Clips from one drawing to the next, in each process.
        topk: How many of the best classes are shown.

    Raises:
        ValueError: As :class:`projects.visualization.VisualizationHook`, or if ``topk`` is not
            positive.
    """

    def __init__(
        self,
        enable: bool = False,
        out_dir: str | None = None,
        interval: int = 50,
        topk: int = 5,
    ) -> None:
        super().__init__(enable, out_dir, interval)
        if isinstance(topk, bool) or not isinstance(topk, int) or topk < 1:
            raise ValueError(f'topk is {topk!r}, expected a whole number of 1 or more')
        self.topk = topk

    def file_name(self, sample: DrawnSample) -> str:
        """Numbered, and named after the sample.

        Args:
            sample: What is drawn.
        """
        name = safe_name(str(sample.output.get('name') or 'clip'))
        return f'{process_prefix()}{sample.number:06d}_{name}.png'

    def draw(self, path: Path, sample: DrawnSample) -> None:
        """Draw one clip.

        Args:
            path: File to write.
            sample: Its output is an ``ActionDataSample`` with ``pred_score`` and, where known,
                ``gt_label``; the batch holds ``imgs``, ``keypoint`` or both.

        Raises:
            ValueError: If the batch or the metainfo of the data set does not fit.
        """
        meta = sample.dataset.metainfo
        if meta.get('keypoint_layout') is None:
            raise ValueError(
                f"the data set's metainfo has no keypoint_layout but {sorted(meta)}: the order of "
                'the joints is not known'
            )
        output = sample.output
        name = str(output.get('name') or path.stem)
        inputs = sample.batch['inputs']
        inputs = inputs if isinstance(inputs, dict) else dict(imgs=inputs)
        clip = input_clip(
            {key: value[sample.index][0] for key, value in inputs.items()},
            keypoint_layout(meta['keypoint_layout']),
            name,
        )
        scores = output.pred_score.detach().float().cpu().numpy()
        classes = meta.get('classes') or [f'class_{label}' for label in range(len(scores))]
        order = np.argsort(-scores, kind='stable')[: self.topk]
        truth = None
        if 'gt_label' in output:
            truth = classes[int(output.gt_label.flatten()[0])]
        best = tuple((classes[label], float(scores[label])) for label in order)
        frames = np.arange(clip.points.shape[1])
        verdict = Verdict(best, 0, len(frames), frames, truth)
        write_strip(path, clip, verdict, whole_picture=True)


def input_clip(inputs: dict[str, Tensor], layout: KeypointLayout, name: str) -> Clip:
    """What a model takes of one clip, as it is drawn.

    Args:
        inputs: ``imgs``, (3, T, H, W) uint8 RGB before they are normalised, ``keypoint``,
            (T, M * J, 3) with x and y in 0..1 of the picture and a score, or both.
        layout: Of the J joints.
        name: Of the clip.

    Raises:
        ValueError: If the pictures are normalised already, or there are other joints than the
            layout's.
    """
    imgs, keypoint = (_numpy(inputs.get(key)) for key in ('imgs', 'keypoint'))
    shape, pictures = (_SIDE, _SIDE), None
    if imgs is not None:
        if imgs.dtype != np.uint8 or imgs.ndim != 4:
            raise ValueError(
                f'imgs of {name} is {imgs.dtype} of shape {imgs.shape}, expected uint8 (3, T, H, W)'
            )
        shape, frames = imgs.shape[2:], imgs.transpose(1, 2, 3, 0)  # (T, H, W, 3)

        def pictures(numbers: np.ndarray) -> Any:
            return iter(frames[numbers])

    if keypoint is None:
        keypoint = np.zeros((imgs.shape[1], 0, 3), dtype=np.float32)
    people, rest = divmod(keypoint.shape[1], layout.num_joints)
    if rest:
        raise ValueError(
            f'keypoint of {name} has {keypoint.shape[1]} joints, expected a multiple of the '
            f'{layout.num_joints} of layout {layout.name!r}'
        )
    joints = keypoint.reshape(len(keypoint), people, layout.num_joints, 3).swapaxes(0, 1)
    points = joints[..., :2] * np.array(shape[::-1]) - 0.5  # (M, T, J, 2)
    return Clip(name, points, joints[..., 2], tuple(shape), layout, pictures)


def _numpy(value: Tensor | None) -> np.ndarray | None:
    return None if value is None else value.detach().cpu().numpy()
