"""Frames of a clip, and its pictures and joints brought into the form of the model's inputs.

The order in a pipeline is ``SampleSegments``, mmaction2's decoding of pictures if there are any,
``PickJoints``, ``CropPeople`` of ``crop.py``, in training ``FlipPeople`` and ``PerturbJoints``,
mmaction2's ``FormatShape`` of pictures, ``FormatJoints``. Letters in shapes: M people, T frames of
all clips together, J joints. Pixels count from 0 and a pixel's place is its centre, as in OpenCV.
"""

from typing import Any

import cv2
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from projects.keypoints import keypoint_layout


@TRANSFORMS.register_module()
class SampleSegments(BaseTransform):
    """One frame of each of ``clip_len`` segments of equal length, which are the whole sample.

    In training a frame is drawn from within its segment. In test the clips take evenly spread
    places of the segments, clip k the place (k + 0.5) / ``num_clips``, a single clip the centre, so
    that nothing is random. A sample of fewer frames than ``clip_len`` has frames that repeat; the
    order is always that of time.

    Required key: ``total_frames``. Added keys: ``frame_inds``, (num_clips * clip_len,) int64 from
    0, one clip after the other, ``clip_len``, ``num_clips``, and ``frame_interval``, which is None
    as nothing else is true of all frames.

    Args:
        clip_len: Frames of a clip.
        num_clips: Clips of a sample.
        test_mode: Whether nothing is random.
        temporal_crop: Least and largest share of the sample that the segments of a clip are taken
            from in training, drawn for each clip like where that stretch lies. Without effect in
            test, which sees the whole.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        clip_len: int = 16,
        num_clips: int = 1,
        test_mode: bool = False,
        temporal_crop: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        for name, value in (('clip_len', clip_len), ('num_clips', num_clips)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} is {value!r}, expected an integer of at least 1')
        if len(temporal_crop) != 2 or not 0 < temporal_crop[0] <= temporal_crop[1] <= 1:
            raise ValueError(
                f'temporal_crop is {temporal_crop!r}, expected least and largest share, above 0 '
                'and up to 1'
            )
        self.clip_len = clip_len
        self.num_clips = num_clips
        self.test_mode = test_mode
        self.temporal_crop = tuple(temporal_crop)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the indices of frames.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If the sample has no frames.
        """
        total = results['total_frames']
        if total < 1:
            raise ValueError(
                f'{sample_name(results)}: total_frames is {total}, expected at least 1'
            )
        shape = (self.num_clips, self.clip_len)
        if self.test_mode:
            start, length = 0.0, float(total)
            places = ((np.arange(self.num_clips) + 0.5) / self.num_clips)[:, None]
        else:
            length = total * np.random.uniform(*self.temporal_crop, (self.num_clips, 1))  # noqa: NPY002
            start = np.random.uniform(0, total - length)  # noqa: NPY002
            places = np.random.random_sample(shape)  # noqa: NPY002
        times = start + (np.arange(self.clip_len) + places) * (length / self.clip_len)
        # a place right below a segment's end may be rounded to the end of the sample
        frames = np.minimum(times.astype(np.int64), total - 1)  # (num_clips, clip_len)
        results['frame_inds'] = frames.reshape(-1)
        results['clip_len'] = self.clip_len
        results['num_clips'] = self.num_clips
        results['frame_interval'] = None
        return results

    def __repr__(self) -> str:
        options = f'clip_len={self.clip_len}, num_clips={self.num_clips}'
        options += f', test_mode={self.test_mode}, temporal_crop={self.temporal_crop}'
        return f'{type(self).__name__}({options})'


@TRANSFORMS.register_module()
class PickJoints(BaseTransform):
    """Joints of the sampled frames.

    It is used instead of mmaction2's ``PoseDecode``, which adds ``offset`` to the frames' indices:
    ``offset`` is what the number of a picture's file is ahead of its index (Penn Action's files
    count from 1), and with it ``PoseDecode`` takes every frame's joints from the frame behind.

    Required keys: ``keypoint`` (M, all frames, J, 2), ``frame_inds``; ``keypoint_score`` (M, all
    frames, J) is 1 if it is left out. Modified keys: ``keypoint`` (M, T, J, 2) and
    ``keypoint_score`` (M, T, J), float32 copies. Joints without a score or a finite place are
    missing: their score is 0, their place 0, 0.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut the joints like the pictures.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If the arrays do not fit each other, or have fewer frames than the sample.
        """
        results.setdefault(
            'keypoint_score', np.ones(np.shape(results['keypoint'])[:-1], dtype=np.float32)
        )
        points, scores = people_joints(results)
        frames = np.reshape(results['frame_inds'], -1)
        expected = max(int(results.get('total_frames', 0)), int(frames.max()) + 1)
        if points.shape[1] < expected:
            raise ValueError(
                f'{sample_name(results)}: keypoint has {points.shape[1]} frames, expected the '
                f'{expected} of the sample'
            )
        points = points[:, frames].astype(np.float32)
        scores = scores[:, frames].astype(np.float32)
        _clear(points, scores, ~known_joints(points, scores))
        results['keypoint'], results['keypoint_score'] = points, scores
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'


@TRANSFORMS.register_module()
class FlipPeople(BaseTransform):
    """Mirror pictures and joints of a sample, or leave them, at random; in test have both.

    mmaction2's ``Flip`` does this with two lists of joint numbers in the config, where one wrong
    number trains on crossed limbs and nothing tells; here the layout's name gives the pairs. It
    also mirrors joints about the picture's true middle, where ``Flip`` is a pixel off, and joints
    with x = 0 too.

    Required keys: ``keypoint``, ``keypoint_score``, ``img_shape``. Optional key: ``imgs``. Modified
    keys: the first two and ``imgs``, with ``both`` also ``num_clips``. Added keys: ``flip`` and
    ``flip_direction``.

    Args:
        prob: Probability.
        layout: Name in :data:`projects.keypoints.LAYOUTS`.
        both: Add the mirrored clips behind the others instead, as many again. Their scores are
            averaged by the head's ``average_clips``.

    Raises:
        ValueError: If there is no such layout, or ``prob`` is out of range.
    """

    def __init__(self, prob: float = 0.5, layout: str = 'penn', both: bool = False) -> None:
        check_range('prob', prob, 1)
        self.prob = 1.0 if both else prob
        self.layout = keypoint_layout(layout)
        self.both = both

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror all frames, or none, or add their mirrored ones.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If the sample does not have the layout's joints.
        """
        points, scores = people_joints(results)
        if scores.shape[-1] != self.layout.num_joints:
            raise ValueError(
                f'{sample_name(results)}: keypoint has {scores.shape[-1]} joints, expected the '
                f'{self.layout.num_joints} of layout {self.layout.name!r}'
            )
        results['flip'] = bool(np.random.random_sample() < self.prob)  # noqa: NPY002
        results['flip_direction'] = 'horizontal'
        if not results['flip']:
            return results
        order = list(self.layout.flip_indices)
        points, scores = points[:, :, order], scores[:, :, order]
        points[..., 0] = results['img_shape'][1] - 1 - points[..., 0]
        _clear(points, scores, ~known_joints(points, scores))
        pictures = None
        if results.get('imgs') is not None:
            pictures = [cv2.flip(picture, 1) for picture in results['imgs']]
        if self.both:
            points = np.concatenate([results['keypoint'], points], axis=1)
            scores = np.concatenate([results['keypoint_score'], scores], axis=1)
            pictures = None if pictures is None else [*results['imgs'], *pictures]
            results['num_clips'] = 2 * results.get('num_clips', 1)
        results['keypoint'], results['keypoint_score'] = points, scores
        if pictures is not None:
            results['imgs'] = pictures
        return results

    def __repr__(self) -> str:
        options = f'prob={self.prob}, layout={self.layout.name!r}, both={self.both}'
        return f'{type(self).__name__}({options})'


@TRANSFORMS.register_module()
class PerturbJoints(BaseTransform):
    """Move joints and make them missing at random, as a pose estimator's errors do.

    Required and modified keys: ``keypoint``, ``keypoint_score``; required: ``img_shape``.

    Args:
        noise: Standard deviation of a joint's shift in a frame, as a share of the picture's width
            along x and of its height along y.
        drop_in_frame: Probability that a joint of a person is missing in a frame.
        drop_in_sample: Probability that a joint of a person is missing in all frames.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self, noise: float = 0.0, drop_in_frame: float = 0.0, drop_in_sample: float = 0.0
    ) -> None:
        check_range('noise', noise, np.inf)
        check_range('drop_in_frame', drop_in_frame, 1)
        check_range('drop_in_sample', drop_in_sample, 1)
        self.noise = noise
        self.drop_in_frame = drop_in_frame
        self.drop_in_sample = drop_in_sample

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change joints.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If the arrays do not fit each other.
        """
        points, scores = people_joints(results)
        people, _, joints = scores.shape
        deviation = self.noise * np.array(results['img_shape'][::-1])
        points = points + np.random.standard_normal(points.shape) * deviation  # noqa: NPY002
        points, scores = points.astype(np.float32), scores.astype(np.float32)
        dropped = np.random.random_sample(scores.shape) < self.drop_in_frame  # noqa: NPY002
        dropped |= np.random.random_sample((people, 1, joints)) < self.drop_in_sample  # noqa: NPY002
        _clear(points, scores, dropped | ~known_joints(points, scores))
        results['keypoint'], results['keypoint_score'] = points, scores
        return results

    def __repr__(self) -> str:
        options = f'noise={self.noise}, drop_in_frame={self.drop_in_frame}'
        return f'{type(self).__name__}({options}, drop_in_sample={self.drop_in_sample})'


@TRANSFORMS.register_module()
class FormatJoints(BaseTransform):
    """Joints as the model takes them.

    A place is a share of the picture: 0 is the outer edge of its first pixel, 1 that of its last,
    so that a pixel's centre x is at (x + 0.5) / width, and the mirrored picture has 1 minus it.

    Required keys: ``keypoint`` (M, T, J, 2), ``keypoint_score`` (M, T, J), ``img_shape``;
    ``num_clips`` is 1 if it is left out. Modified key: ``keypoint`` (num_clips, T / num_clips,
    num_people * J, 3) float32, x and y as shares and the score limited to 0 to 1. A missing joint,
    one of a score of 0 or without a finite place, is 0, 0, 0.

    Args:
        num_people: Number of people, the first ones of the data set's order. All joints of those
            that a sample has fewer are missing, and what it has more is left out.

    Raises:
        ValueError: If ``num_people`` is not positive.
    """

    def __init__(self, num_people: int = 1) -> None:
        if not isinstance(num_people, int) or num_people < 1:
            raise ValueError(f'num_people is {num_people!r}, expected an integer of at least 1')
        self.num_people = num_people

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the array.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If the arrays do not fit each other or the number of clips.
        """
        points, scores = people_joints(results)
        points, scores = points[: self.num_people], scores[: self.num_people]
        people, frames, joints = scores.shape
        clips = results.get('num_clips', 1)
        if frames % clips:
            raise ValueError(
                f'{sample_name(results)}: keypoint has {frames} frames, expected a multiple of the '
                f'{clips} clips'
            )
        height, width = results['img_shape']
        tokens = np.zeros((frames, self.num_people, joints, 3), dtype=np.float32)
        found = tokens[:, :people].swapaxes(0, 1)  # (M, T, J, 3), a view
        found[..., :2] = (points + 0.5) / (width, height)
        found[..., 2] = np.minimum(scores, 1)
        found[~known_joints(points, scores)] = 0
        results['keypoint'] = tokens.reshape(clips, -1, self.num_people * joints, 3)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_people={self.num_people})'


def sample_name(results: dict[str, Any]) -> str:
    """What messages call a sample.

    Args:
        results: Of one sample.
    """
    keys = ('name', 'frame_dir', 'filename')
    return str(next((results[key] for key in keys if results.get(key)), 'sample without name'))


def check_range(name: str, value: float, highest: float) -> None:
    """Refuse an option that is out of range.

    Args:
        name: Its name.
        value: Its value.
        highest: The largest value; the least is 0.

    Raises:
        ValueError: If it is out of range.
    """
    if not 0 <= value <= highest:
        most = '' if np.isinf(highest) else f' and at most {highest}'
        raise ValueError(f'{name} is {value!r}, expected at least 0{most}')


def people_joints(results: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Joints and their scores, which fit each other.

    Args:
        results: Of one sample.

    Returns:
        ``keypoint`` (M, T, J, 2) and ``keypoint_score`` (M, T, J), not copied.

    Raises:
        ValueError: If they are of other shapes.
    """
    points, scores = results['keypoint'], results['keypoint_score']
    if points.ndim != 4 or points.shape[-1] != 2 or scores.shape != points.shape[:3]:
        raise ValueError(
            f'{sample_name(results)}: keypoint has shape {points.shape} and keypoint_score '
            f'{scores.shape}, expected (people, frames, joints, 2) and (people, frames, joints)'
        )
    return points, scores


def known_joints(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which joints are there.

    Args:
        points: Joints (M, T, J, 2).
        scores: Their scores (M, T, J).

    Returns:
        (M, T, J) bool, False for a score of 0 or a place that is not finite.
    """
    return (scores > 0) & np.isfinite(points).all(axis=-1)


def _clear(points: np.ndarray, scores: np.ndarray, missing: np.ndarray) -> None:
    """Make joints missing, in place."""
    points[missing] = 0
    scores[missing] = 0
