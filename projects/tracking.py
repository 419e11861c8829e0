"""Which pose is whose: following people from frame to frame."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.structures import InstanceData


class Pose(NamedTuple):
    """One person in one frame."""

    keypoints: np.ndarray
    """(J, D) float32 pixels."""
    scores: np.ndarray
    """(J,) how sure the estimator is of each keypoint, 0 to about 1."""
    box: np.ndarray
    """(4,) xyxy pixels."""


class PoseTracker:
    """Gives people their numbers from frame to frame, by MMPose's greedy matching.

    Args:
        sigmas: (J,) spread of the joints for the similarity of poses (OKS); None to match boxes by
            their overlap.
        threshold: Least similarity, from 0 to 1.
        patience: For how many frames someone who is not seen is remembered.
    """

    def __init__(
        self, sigmas: np.ndarray | None, threshold: float = 0.3, patience: int = 30
    ) -> None:
        self.sigmas = sigmas
        self.threshold = threshold
        self.patience = patience
        self._seen: list[Any] = []  # everyone as last seen
        self._next = 0
        self._frame = 0

    def __call__(self, poses: Sequence[Pose]) -> list[int]:
        """Numbers of the people of the next frame.

        Args:
            poses: Their poses.

        Returns:
            A number for each pose, the same as in earlier frames for the same person.
        """
        from mmpose.apis.inference_tracking import _track_by_iou, _track_by_oks

        left = [one for one in self._seen if self._frame - one.frame <= self.patience + 1]
        numbers = [-1] * len(poses)
        seen = []
        # Who is surest chooses first, as the matching is greedy.
        for index in sorted(range(len(poses)), key=lambda i: -float(poses[i].scores.mean())):
            one = _sample(poses[index])
            if self.sigmas is None:
                number, left, _ = _track_by_iou(one, left, self.threshold)
            else:
                number, left, _ = _track_by_oks(one, left, self.threshold, self.sigmas)
            if number < 0:
                number, self._next = self._next, self._next + 1
            one.track_id, one.frame = number, self._frame
            numbers[index] = number
            seen.append(one)
        self._seen = seen + left
        self._frame += 1
        return numbers


def _sample(pose: Pose) -> Any:
    """A pose in the form that MMPose's tracking functions take."""
    from mmpose.structures import PoseDataSample

    sides = np.maximum(pose.box[2:] - pose.box[:2], 1)
    instances = InstanceData(
        bboxes=pose.box[None],
        areas=np.array([sides.prod()]),
        keypoints=pose.keypoints[None, :, :2],
        keypoint_scores=pose.scores[None],
    )
    return PoseDataSample(pred_instances=instances)
