"""Pipeline steps of poses: changes that keep the action, normalisation, packing.

All of them take ``results['poses']`` (..., J, D) float32, a pose or a sequence. Where a pose or a
keypoint is missing, its NaN stays. Coordinates are BlazePose's: x to the right, y down, z in depth,
in one unit such as pixels. Random ones draw from numpy's global generator, as mmcv's do, which
``projects.runtime.seed_worker`` seeds for every epoch.
"""

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from scipy.spatial.transform import Rotation

from projects.keypoints import keypoint_layout
from projects.poserac.poses import min_max_normalize, pose_bounds


@TRANSFORMS.register_module()
class NormalizePoses(BaseTransform):
    """Scale each axis of each pose to [0, 1], see ``projects.poserac.poses.min_max_normalize``."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise the poses."""
        results['poses'] = min_max_normalize(results['poses'])
        return results


@TRANSFORMS.register_module()
class FlipPoses(BaseTransform):
    """Mirror poses left to right: x about the pose's own middle, left and right joints exchanged.

    Args:
        layout: Name of the keypoint layout, which says what is left and right.
        prob: How often, 0 to 1.

    Raises:
        ValueError: If there is no such layout, or ``prob`` is out of range.
    """

    def __init__(self, layout: str = 'blazepose', prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob!r}, expected a number from 0 to 1')
        self.layout = keypoint_layout(layout)
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror all poses of the sample, or none.

        Args:
            results: A sample.

        Raises:
            ValueError: If the poses are not of the layout's joints.
        """
        poses = results['poses']
        if poses.shape[-2] != self.layout.num_joints:
            raise ValueError(
                f'poses have shape {poses.shape}, expected (..., {self.layout.num_joints}, D) of '
                f'layout {self.layout.name!r}'
            )
        if np.random.random_sample() < self.prob:  # noqa: NPY002
            low, high = pose_bounds(poses)  # (..., 1, D)
            mirrored = poses[..., self.layout.flip_indices, :]
            mirrored[..., 0] = (low + high)[..., 0] - mirrored[..., 0]
            results['poses'] = mirrored
        return results


@TRANSFORMS.register_module()
class RotatePoses(BaseTransform):
    """Turn poses about their middle by random angles, as a camera placed elsewhere sees them.

    3-D poses are turned about the vertical axis, then tilted forward and sideways; 2-D poses are
    tilted in the picture's plane. It belongs before the normalisation: that scales the axes
    differently, and a turn of what it gives would be a shear.

    Args:
        max_angle: Largest turn of 3-D poses about the vertical axis, degrees.
        max_tilt: Largest tilt of each kind, degrees; small, for what is upright stays so.

    Raises:
        ValueError: If an angle is negative or above 180 degrees.
    """

    def __init__(self, max_angle: float = 30.0, max_tilt: float = 5.0) -> None:
        for name, value in (('max_angle', max_angle), ('max_tilt', max_tilt)):
            if not 0 <= value <= 180:
                raise ValueError(f'{name} is {value!r}, expected degrees from 0 to 180')
        self.max_angle = max_angle
        self.max_tilt = max_tilt

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turn all poses of the sample alike."""
        poses = results['poses']
        middle = sum(pose_bounds(poses)) / 2  # (..., 1, D)
        limits = (self.max_angle, self.max_tilt, self.max_tilt)
        if poses.shape[-1] == 2:
            limits = (self.max_tilt,)
        angles = [np.random.uniform(-limit, limit) for limit in limits]  # noqa: NPY002
        if poses.shape[-1] == 3:
            turn = Rotation.from_euler('yxz', angles, degrees=True).as_matrix()
        else:
            turn = Rotation.from_euler('z', angles[0], degrees=True).as_matrix()[:2, :2]
        results['poses'] = ((poses - middle) @ turn.T + middle).astype(np.float32)
        return results


@TRANSFORMS.register_module()
class JitterPoses(BaseTransform):
    """Move every keypoint at random, as a pose estimator's errors do.

    Args:
        std: Standard deviation as a share of the pose's extent along each axis, so that it means
            the same in pixels and normalised.

    Raises:
        ValueError: If it is negative.
    """

    def __init__(self, std: float = 0.01) -> None:
        if not std >= 0:
            raise ValueError(f'std is {std!r}, expected 0 or more')
        self.std = std

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add noise to the poses."""
        poses = results['poses']
        low, high = pose_bounds(poses)  # (..., 1, D)
        noise = np.random.standard_normal(poses.shape) * self.std  # noqa: NPY002
        results['poses'] = (poses + noise * (high - low)).astype(np.float32)
        return results


@TRANSFORMS.register_module()
class PackPoses(BaseTransform):
    """Pack poses as a float32 tensor, with ``label``, ``state`` and ``meta`` where they are."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample."""
        poses = np.ascontiguousarray(results['poses'], dtype=np.float32)
        kept = {key: results[key] for key in ('label', 'state', 'meta') if key in results}
        return dict(poses=torch.from_numpy(poses), **kept)
