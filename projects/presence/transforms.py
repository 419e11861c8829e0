"""What presence means, made from the annotation."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpose.datasets.transforms import PackPoseInputs
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
    from ``raw_ann_info``.

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

    Required keys: ``raw_ann_info`` with ``keypoints``, and where the input is cropped
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
            ValueError: If the annotation is missing or of another number of keypoints.
        """
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

    def _visibility(self, results: dict[str, Any]) -> np.ndarray:
        """(1, K) v of the annotation, mirrored as the picture is."""
        path = results.get('img_path')
        annotation = results.get('raw_ann_info')
        if not annotation or 'keypoints' not in annotation:
            raise ValueError(
                f'{path}: no raw_ann_info with keypoints; KeypointPresenceTarget needs annotated '
                'people, one a sample, not detected boxes'
            )
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

    def __repr__(self) -> str:
        options = f'target={self.target!r}, unlabelled={self.unlabelled!r}'
        options += f', outside={self.outside!r}, absent_heatmaps={self.absent_heatmaps!r}'
        return f'{type(self).__name__}({options})'
