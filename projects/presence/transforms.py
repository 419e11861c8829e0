"""What presence means, made from the annotation."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import TRANSFORMS

LABELS = {
    'keypoint_presence': 'keypoint_presence',
    'keypoint_presence_weights': 'keypoint_presence_weights',
}
CHOICES = {
    'target': ('labelled', 'visible'),
    'unlabelled': ('unknown', 'absent'),
    'outside': ('absent', 'unknown', 'present'),
    'absent_heatmaps': ('unknown', 'empty'),
}


@TRANSFORMS.register_module()
class KeypointPresenceTarget(BaseTransform):
    """State of every keypoint whether it is there, and whether that is known.

    It stands after ``TopdownAffine`` and ``GenerateTarget``, which says anew what is packed, and
    before ``PackPoseInputs``. Behind several encoders, whose labels mmpose stacks, presence is
    repeated for each. COCO's v of a keypoint is 0 where it is not labelled, 1 where it is labelled
    and hidden, 2 where it is seen; mmpose's data sets keep no difference of 1 and 2, so v is read
    from ``raw_ann_info``. Data sets without one, such as MPII's, only have the target ``labelled``,
    which is read from ``keypoints_visible``.

    ======== ==================== ============================
    v        target ``labelled``  target ``visible``
    ======== ==================== ============================
    2        present              present
    1        present              absent
    0        absent               as ``unlabelled`` says
    ======== ==================== ============================

    With ``labelled``, absent is all that nobody labelled: what is out of the picture, what nothing
    tells the place of, and what was forgotten.

    mmpose's losses leave out the heatmaps of keypoints without a place, so that these show whatever
    looks like the keypoint. ``absent_heatmaps='empty'`` trains those of absent keypoints to be
    empty: the heatmaps themselves then tell what is there. It changes what mmpose's
    ``VisPredictHead`` takes for its truth.

    Required keys: ``raw_ann_info`` with ``keypoints``, or ``keypoints`` and ``keypoints_visible``
    of an annotated person, and where the input is cropped
    ``transformed_keypoints`` and ``input_size``. Added keys: ``keypoint_presence`` and
    ``keypoint_presence_weights``, (1, K) float32, which are packed as labels.

    Args:
        target: ``labelled`` or ``visible``.
        unlabelled: What v = 0 is for the target ``visible``: ``unknown`` takes no part in loss and
            score, or ``absent``.
        outside: What a labelled keypoint is whose place random cropping left outside of the input:
            ``absent``, ``unknown``, or ``present`` for no difference.
        absent_heatmaps: Whether training leaves the heatmaps of keypoints that are absent and have
            no place to themselves, ``unknown``, or wants them ``empty``.

    Raises:
        ValueError: If an option is not one of these.
    """

    def __init__(
        self,
        target: str = 'labelled',
        unlabelled: str = 'unknown',
        outside: str = 'absent',
        absent_heatmaps: str = 'unknown',
    ) -> None:
        options = {
            'target': target,
            'unlabelled': unlabelled,
            'outside': outside,
            'absent_heatmaps': absent_heatmaps,
        }
        for name, value in options.items():
            if value not in CHOICES[name]:
                raise ValueError(f'{name} is {value!r}, expected one of {CHOICES[name]}')
        self.target = target
        self.unlabelled = unlabelled
        self.outside = outside
        self.absent_heatmaps = absent_heatmaps

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add presence and its weights.

        Args:
            results: Of one person.

        Raises:
            ValueError: If the annotation is missing or of another number of keypoints, or
                ``GenerateTarget`` comes later.
        """
        self._refuse_later_targets(results)
        v = self._visibility(results)
        present = v > (1 if self.target == 'visible' else 0)
        known = np.ones_like(present)
        if self.target == 'visible' and self.unlabelled == 'unknown':
            known = v > 0
        places = results.get('transformed_keypoints')
        if places is not None and self.outside != 'present':
            inside = ((places >= 0) & (places <= np.array(results['input_size']) - 1)).all(-1)
            if self.outside == 'unknown':
                known = known & (inside | (v == 0))
            present = present & inside
        weights = results.get('keypoint_weights')
        several = isinstance(weights, list)  # of encoders, and labels have to be of one length
        levels = weights if several else [weights]
        if self.absent_heatmaps == 'empty' and weights is not None:
            levels = [np.where(known & ~present, 1, one).astype(one.dtype) for one in levels]
            results['keypoint_weights'] = levels if several else levels[0]
        for name, label in (('', present), ('_weights', known)):
            label = label.astype(np.float32)
            results[f'keypoint_presence{name}'] = [label] * len(levels) if several else label
        table = results.get('label_mapping_table', PackPoseInputs.label_mapping_table)
        results['label_mapping_table'] = {**table, **LABELS}
        return results

    def _refuse_later_targets(self, results: dict[str, Any]) -> None:
        """Say that ``GenerateTarget`` would take the labels of this transform away."""
        # mmpose's data sets hand themselves to their pipelines
        pipeline = getattr(results.get('dataset'), 'pipeline', None)
        for step in reversed(getattr(pipeline, 'transforms', ())):
            if step is self:
                return
            if isinstance(step, GenerateTarget) and self in pipeline.transforms:
                raise ValueError(
                    f'{results.get("img_path")}: KeypointPresenceTarget stands before '
                    'GenerateTarget, which drops its labels; expected it behind'
                )

    def _visibility(self, results: dict[str, Any]) -> np.ndarray:
        """(1, K) v of the annotation, mirrored as the picture is."""
        path = results.get('img_path')
        annotation = results.get('raw_ann_info')
        if not annotation or 'keypoints' not in annotation:
            return self._labelled(results)
        v = np.asarray(annotation['keypoints'], dtype=np.float32)[2::3].reshape(1, -1)
        number = results['keypoints'].shape[1]
        if v.shape[1] != number:
            raise ValueError(
                f'{path}: raw_ann_info has {v.shape[1]} keypoints, expected {number}; where '
                'another transform rearranges them, presence cannot be stated'
            )
        if results.get('flip'):
            if results.get('flip_direction') != 'horizontal':
                raise ValueError(
                    f'{path}: flip_direction is {results.get("flip_direction")!r}, expected '
                    "'horizontal'"
                )
            v = v[:, results['flip_indices']]
        return v

    def _labelled(self, results: dict[str, Any]) -> np.ndarray:
        """(1, K) 1 where a data set that keeps no v has a place, 0 elsewhere.

        mmpose mirrors ``keypoints_visible`` with the picture.
        """
        path, places = results.get('img_path'), results['keypoints']
        visible = results.get('keypoints_visible')
        # of detected boxes mmpose has all keypoints at one place, and all of them visible
        if (
            visible is None
            or len(places) != 1
            or (visible.all() and (places == places[:, :1]).all())
        ):
            raise ValueError(
                f'{path}: no raw_ann_info with keypoints and no labelled keypoints; '
                'KeypointPresenceTarget needs annotated people, one a sample, not detected boxes'
            )
        if self.target == 'visible':
            raise ValueError(
                f'{path}: no raw_ann_info with keypoints; this data set keeps no v, so that target '
                "'visible' cannot be stated, expected target 'labelled'"
            )
        # mmpose's KeypointConverter leaves these, and keypoints that the data set never labels
        if visible.ndim == 3 or 'keypoints_visible_weights' in results:
            raise ValueError(
                f'{path}: keypoints_visible has weights, expected none; where another transform '
                'rearranges keypoints, presence cannot be stated'
            )
        return (visible > 0).astype(np.float32)

    def __repr__(self) -> str:
        options = f'target={self.target!r}, unlabelled={self.unlabelled!r}'
        options += f', outside={self.outside!r}, absent_heatmaps={self.absent_heatmaps!r}'
        return f'{type(self).__name__}({options})'
