"""The part of the pictures where people are, with their joints."""

from typing import Any

import cv2
import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform

from projects.star.transforms import check_range, known_joints, people_joints, sample_name

# A box around a single joint, or joints in a heap, would have no size; this share of the longer
# side of the picture is its least.
_LEAST_BOX = 0.1


@TRANSFORMS.register_module()
class CropPeople(BaseTransform):
    """One part of the picture around all people and all sampled frames, scaled to one size.

    Pictures and joints go through the same affine map. Like mmpose's ``GetBBoxCenterScale`` and
    ``TopdownAffine``, it widens the box around the joints by ``padding`` and then its shorter side
    until it has the input's shape, and its random part means the same as ``RandomBBoxTransform``'s;
    the random numbers are uniform instead of truncated normal. Joints outside of the picture count
    as on its edge, so that a wild one does not make people small. Where no joint spans the box it
    is the whole picture. What lies outside of the picture is black.

    Pictures that are made smaller by more than 2 are first averaged over blocks of pixels, for
    bilinear sampling alone would leave most pixels of a large picture unread.

    Required keys: ``keypoint`` and ``keypoint_score`` as ``PickJoints`` gives them, ``img_shape``.
    Optional keys: ``imgs``, T pictures (h, w, 3), which then say the size; ``keypoint_shape``,
    height and width of the picture that the joints were annotated in. mmaction2's decoders
    overwrite ``img_shape`` with the size of the pictures they find. Where ``keypoint_shape`` is
    another size, such as of videos that were stored smaller, the joints are scaled to the pictures.

    Modified keys: ``imgs`` (T, h, w, 3), ``keypoint``, ``img_shape``, ``keypoint_shape``. The
    joints may lie outside of the new picture; missing ones keep 0, 0.

    Args:
        input_size: Width and height of the result, px.
        padding: How much larger than the box around the joints the part of the picture is.
        shift_factor: Largest random shift along either side, as a share of that side.
        scale_factor: Least and largest random factor on what is seen; above 1, people are smaller.
        rotate_factor: Largest random turn to either side, degrees.
        min_score: Only joints of a higher score span the box.
        whole_picture: Whether the whole picture is used instead of the box, without ``padding``,
            for actions that its scene tells of. It is fitted into the result, with black sides
            where their shapes differ.

    Raises:
        ValueError: If an option is out of range.
    """

    def __init__(
        self,
        input_size: tuple[int, int] = (112, 112),
        padding: float = 1.25,
        shift_factor: float = 0.0,
        scale_factor: tuple[float, float] = (1.0, 1.0),
        rotate_factor: float = 0.0,
        min_score: float = 0.0,
        whole_picture: bool = False,
    ) -> None:
        sizes = tuple(input_size)
        if len(sizes) != 2 or not all(isinstance(size, int) and size > 0 for size in sizes):
            raise ValueError(f'input_size is {input_size!r}, expected width and height in pixels')
        if len(scale_factor) != 2 or not 0 < scale_factor[0] <= scale_factor[1]:
            raise ValueError(
                f'scale_factor is {scale_factor!r}, expected least and largest, above 0'
            )
        if not padding > 0:
            raise ValueError(f'padding is {padding!r}, expected a positive number')
        check_range('shift_factor', shift_factor, np.inf)
        check_range('rotate_factor', rotate_factor, 180)
        check_range('min_score', min_score, 1)
        self.input_size = sizes
        self.padding = padding
        self.shift_factor = shift_factor
        self.scale_factor = tuple(scale_factor)
        self.rotate_factor = rotate_factor
        self.min_score = min_score
        self.whole_picture = whole_picture

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Map pictures and joints.

        Args:
            results: Of one sample.

        Raises:
            ValueError: If arrays do not fit each other, or pictures are of different sizes.
        """
        points, scores = people_joints(results)
        imgs = results.get('imgs')
        size = _picture_size(results, imgs, points.shape[1])
        known = known_joints(points, scores)
        points = np.where(known[..., None], points, 0)
        if 'keypoint_shape' in results:
            factor = size / np.array(results['keypoint_shape'][::-1])
            if (factor != 1).any():
                points = (points + 0.5) * factor - 0.5
        matrix = self._matrix(points[known & (scores > self.min_score)], size)
        points = (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        points[~known] = 0
        results['keypoint'] = points
        if imgs is not None:
            results['imgs'] = warp_pictures(imgs, matrix, self.input_size)
        results['img_shape'] = self.input_size[::-1]
        if 'keypoint_shape' in results:
            results['keypoint_shape'] = results['img_shape']
        return results

    def _matrix(self, points: np.ndarray, size: np.ndarray) -> np.ndarray:
        """(2, 3) map of the picture's pixels to the result's, of the joints (N, 2) it is to show.

        mmpose's ``get_warp_matrix`` of the same box, turn and size, but for half a pixel: it puts
        the box's centre at half of the width, which is half a pixel right of the middle.
        """
        target = np.array(self.input_size)
        if self.whole_picture or not len(points):
            center, extent = (size - 1) / 2, size
        else:
            points = np.clip(points, 0, size - 1)
            low, high = points.min(axis=0), points.max(axis=0)
            center = (low + high) / 2
            extent = np.maximum(high - low, _LEAST_BOX * size.max()) * self.padding
        scale = (target / extent).min()
        shift = np.random.uniform(-self.shift_factor, self.shift_factor, 2)  # noqa: NPY002
        zoom = np.random.uniform(*self.scale_factor)  # noqa: NPY002
        turn = np.deg2rad(np.random.uniform(-self.rotate_factor, self.rotate_factor))  # noqa: NPY002
        center = center + shift * target / scale
        cos, sin = np.cos(turn) * scale / zoom, np.sin(turn) * scale / zoom
        linear = np.array([[cos, sin], [-sin, cos]])
        offset = (target - 1) / 2 - linear @ center
        return np.concatenate([linear, offset[:, None]], axis=1)

    def __repr__(self) -> str:
        options = f'input_size={self.input_size}, padding={self.padding}'
        options += f', shift_factor={self.shift_factor}, scale_factor={self.scale_factor}'
        options += f', rotate_factor={self.rotate_factor}, min_score={self.min_score}'
        return f'{type(self).__name__}({options}, whole_picture={self.whole_picture})'


def warp_pictures(
    imgs: list[np.ndarray] | np.ndarray, matrix: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Part of each picture, scaled, without the patterns that skipped pixels would leave.

    Args:
        imgs: T pictures of one size, (H, W, C).
        matrix: (2, 3) map of their pixels to the result's: a turn, a scale and a shift.
        size: Width and height of the result, px.

    Returns:
        (T, h, w, C), the same type, 0 where the pictures do not reach.
    """
    out = np.zeros((len(imgs), *size[::-1], *imgs[0].shape[2:]), dtype=imgs[0].dtype)
    factor = int(1 / np.sqrt(np.linalg.det(matrix[:, :2])))
    if factor < 2:
        for picture, target in zip(imgs, out, strict=True):
            cv2.warpAffine(picture, matrix, size, dst=target, flags=cv2.INTER_LINEAR)
        return out
    # only what the result shows, and two blocks more, as bilinear sampling looks beyond its place
    corners = np.array([[x, y, 1] for x in (0, size[0]) for y in (0, size[1])]) - [0.5, 0.5, 0]
    corners = corners @ cv2.invertAffineTransform(matrix).T
    limit = imgs[0].shape[1::-1]
    low = np.clip(np.floor(corners.min(axis=0)) - 2 * factor, 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 2 * factor, 0, limit).astype(int)
    blocks = (high - low) // factor
    if (blocks < 1).any():
        return out
    (left, top), (right, bottom) = low, low + blocks * factor
    # block b's centre is at low + factor * (b + 0.5) - 0.5
    shrunk = matrix.copy()
    shrunk[:, 2] += matrix[:, :2] @ (low + (factor - 1) / 2)
    shrunk[:, :2] *= factor
    for picture, target in zip(imgs, out, strict=True):
        part = cv2.resize(
            picture[top:bottom, left:right], blocks.tolist(), interpolation=cv2.INTER_AREA
        )
        cv2.warpAffine(part, shrunk, size, dst=target, flags=cv2.INTER_LINEAR)
    return out


def _picture_size(
    results: dict[str, Any], imgs: list[np.ndarray] | np.ndarray | None, frames: int
) -> np.ndarray:
    """Width and height of the pictures, px, or of what the joints are in if there are none."""
    if imgs is None:
        return np.array(results['img_shape'][::-1])
    if len(imgs) != frames:
        raise ValueError(
            f'{sample_name(results)}: {len(imgs)} pictures and {frames} frames of joints, expected '
            'as many; PickJoints cuts joints like pictures'
        )
    shapes = {picture.shape[:2] for picture in imgs}
    if len(shapes) > 1:
        raise ValueError(
            f'{sample_name(results)}: pictures of height and width {sorted(shapes)}, expected one '
            'size'
        )
    return np.array(shapes.pop()[::-1])
