"""From mmpose's data samples to people as they are drawn and written."""

from typing import Any, NamedTuple

import numpy as np
from mmengine.structures import InstanceData
from mmpose.utils.tensor_utils import to_numpy

from projects.pose_look import PosePerson

MEASURES = {
    'keypoints_presence': 'probability',
    'keypoints_visible': 'probability',
    'keypoint_scores': 'heatmap maximum',
}
"""What a prediction may say of presence, the best first, and what that is."""


class Presence(NamedTuple):
    """What tells whether keypoints are there."""

    scores: np.ndarray
    """(K,) the higher, the surer a keypoint is there."""
    source: str
    """One of ``MEASURES``."""


def predicted_presence(instances: InstanceData) -> Presence:
    """What a prediction of one person says of presence.

    That is ``keypoints_presence`` of a :class:`projects.presence.head.KeypointPresenceHead`, else
    ``keypoints_visible`` of mmpose's ``VisPredictHead``, else the heatmap maxima. mmpose fills
    ``keypoints_visible`` of other heads with ``keypoint_scores``, so equal ones are no answer.

    Args:
        instances: A data sample's ``pred_instances``.
    """
    scores = _row(instances.keypoint_scores)
    if 'keypoints_presence' in instances:
        return Presence(_row(instances.keypoints_presence), 'keypoints_presence')
    visible = instances.get('keypoints_visible')
    if visible is not None and not np.array_equal(_row(visible), scores):
        return Presence(_row(visible), 'keypoints_visible')
    return Presence(scores, 'keypoint_scores')


def predicted_person(sample: Any, threshold: float) -> PosePerson:
    """A predicted person.

    Args:
        sample: A ``PoseDataSample`` with ``pred_instances`` of one person.
        threshold: Score from which a keypoint counts as present.
    """
    instances = sample.pred_instances
    scores = predicted_presence(instances).scores
    points = np.asarray(instances.keypoints, dtype=float)[0, :, :2]
    box = np.asarray(instances.bboxes, dtype=float)[0]
    return PosePerson(points, scores >= threshold, scores, box)


def true_person(sample: Any) -> PosePerson | None:
    """The truth of a tested person; None where a sample has none, as of a detected box.

    What is present is ``gt_instance_labels.keypoint_presence`` where its weight is not 0; without
    the transform :class:`projects.presence.transforms.KeypointPresenceTarget` it is what is
    labelled. Keypoints at (0, 0) have no place, and neither have those of which it is not known
    whether they are there: a drawing shows them as neither present nor absent, and a card with a
    dash.

    Args:
        sample: A ``PoseDataSample`` with ``gt_instances`` of one person.
    """
    instances = sample.gt_instances
    if 'keypoints' not in instances or not np.any(instances.keypoints):
        return None
    points = np.asarray(instances.keypoints, dtype=float)[0, :, :2]
    visible = np.asarray(instances.keypoints_visible, dtype=float)[0]
    # of mmpose's converters visibility comes in pairs with its weight
    truth = (visible.reshape(len(points), -1)[:, 0] > 0).astype(float)
    labels = sample.get('gt_instance_labels')
    if labels is not None and 'keypoint_presence' in labels:
        # of several encoders all labels are repeated, see KeypointPresenceTarget
        stated, weights = (
            _row(labels[name]).reshape(-1, len(points))[-1]
            for name in ('keypoint_presence', 'keypoint_presence_weights')
        )
        truth = np.where(weights > 0, stated, np.nan)
    placeless = (points == 0).all(axis=1) | np.isnan(truth)
    points = np.where(placeless[:, None], np.nan, points)
    box = np.asarray(instances.bboxes, dtype=float)[0]
    return PosePerson(points, truth > 0.5, None, box, truth)


def _row(values: Any) -> np.ndarray:
    """(K,) of one person, whether an array or a tensor on any device."""
    return to_numpy(values).astype(float).reshape(-1)
