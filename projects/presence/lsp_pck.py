"""Share of joints found near enough, as it is reported on Leeds Sports Pose."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.logging import MMLogger
from mmpose.evaluation.functional import keypoint_pck_accuracy
from mmpose.evaluation.metrics import PCKAccuracy
from mmpose.registry import METRICS

from projects.keypoints import keypoint_layout

LAYOUT = keypoint_layout('lsp')
PARTS = {
    part: [index for index, name in enumerate(LAYOUT.joint_names) if name.endswith(joint)]
    for part, joint in dict(
        Head='head_top', Neck='neck', Shoulder='shoulder', Elbow='elbow', Wrist='wrist', Hip='hip',
        Knee='knee', Ankle='ankle',
    ).items()
}  # fmt: skip
TORSOS = tuple(
    tuple(LAYOUT.joint_names.index(name) for name in ends)
    for ends in (('left_hip', 'right_shoulder'), ('right_hip', 'left_shoulder'))
)


@METRICS.register_module()
class LSPPCKAccuracy(PCKAccuracy):
    """Percentage of correct keypoints in torsos: left hip to right shoulder.

    A joint is right if it is nearer to its place than ``thr`` torsos; only joints that have a
    place count. mmpose's own torso connects other joints, of JHMDB's order. Where an end of the
    torso has no place, the other diagonal is taken, which is as long in a body seen from the
    front; without both, the person is left out, and the log tells how many these are.

    Scores: ``PCK``, the mean over the 14 joints, and ``PCK/Wrist`` and so on, the mean over both
    sides; 0 to 1. Like those of mmpose's ``PCKAccuracy`` they have no prefix unless one is given.

    Args:
        thr: Largest distance of a right joint, torsos.
        collect_device: As in mmengine's ``BaseMetric``.
        prefix: As in mmengine's ``BaseMetric``.

    Raises:
        ValueError: If ``thr`` is not above 0.
    """

    def __init__(
        self, thr: float = 0.2, collect_device: str = 'cpu', prefix: str | None = None
    ) -> None:
        if not thr > 0:
            raise ValueError(f'thr is {thr!r}, expected more than 0')
        super().__init__(thr=thr, norm_item='torso', collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: Sequence[Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep places and the torso's length of every person.

        Args:
            data_batch: Not used.
            data_samples: With ``pred_instances`` and ``gt_instances``, of one person each.

        Raises:
            ValueError: If they are not of LSP's joints.
        """
        for sample in data_samples:
            truth = sample['gt_instances']
            places = np.asarray(truth['keypoints'], dtype=float)
            if places.shape[:2] != (1, LAYOUT.num_joints):
                raise ValueError(
                    f'{sample.get("img_path")}: keypoints are of shape {places.shape}, expected '
                    f'(1, {LAYOUT.num_joints}, 2) in the order of LSPDataset'
                )
            visible = np.asarray(truth['keypoints_visible'])
            # mmpose packs the loss weights beside v in a last axis
            visible = visible.reshape(1, LAYOUT.num_joints, -1)[..., 0] > 0
            torso = next(
                (
                    np.linalg.norm(places[0, hip] - places[0, shoulder])
                    for hip, shoulder in TORSOS
                    if visible[0, hip] and visible[0, shoulder]
                ),
                0.0,
            )
            self.results.append(
                dict(
                    pred_coords=np.asarray(sample['pred_instances']['keypoints'], dtype=float),
                    gt_coords=places,
                    mask=visible & (torso > 0),
                    torso_size=np.full((1, 2), torso),
                )
            )

    def compute_metrics(self, results: list[dict[str, np.ndarray]]) -> dict[str, float]:
        """Score all people.

        Args:
            results: Of :meth:`process`.
        """
        columns = {
            name: np.concatenate([result[name] for result in results]) for name in results[0]
        }
        without = int((columns['torso_size'][:, 0] == 0).sum())
        if without:
            MMLogger.get_current_instance().info(
                f'PCK is without {without} of {len(results)} people, whose torso is not marked'
            )
        of_joint, mean, _ = keypoint_pck_accuracy(
            columns['pred_coords'],
            columns['gt_coords'],
            columns['mask'],
            self.thr,
            columns['torso_size'],
        )
        scores = {'PCK': float(mean)}
        for part, joints in PARTS.items():
            known = of_joint[joints][of_joint[joints] >= 0]  # -1 where no place is known
            if len(known):
                scores[f'PCK/{part}'] = float(known.mean())
        return scores
