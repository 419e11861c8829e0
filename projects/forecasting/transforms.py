"""Transforms of motion windows: augmentation in training, and the split into past and future.

A window is ``motion``, (F, J, 3) float32 millimetres, y up, the pelvis at the origin, observed and
forecast frames together: all of it is turned or mirrored alike. Random numbers are NumPy's, which
the loaders' workers are seeded with.
"""

from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


class _RandomTransform(BaseTransform):
    """A transform of a share of the windows.

    Args:
        prob: The share, 0 to 1.

    Raises:
        ValueError: If ``prob`` is no share.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'prob is {prob!r}, expected a number from 0 to 1')
        self.prob = prob

    def drawn(self) -> bool:
        """Whether this window is one of them."""
        return np.random.random_sample() < self.prob  # noqa: NPY002

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob})'


@TRANSFORMS.register_module()
class MirrorMotion(_RandomTransform):
    """Left becomes right: x is negated, and the joints of the two sides change places.

    Required keys: ``motion``, and ``flip_indices`` (J,), for each joint the one that it becomes.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Mirror one sample, or not.

        Args:
            results: Of one window.
        """
        if self.drawn():
            mirrored = np.take(results['motion'], results['flip_indices'], axis=1)
            results['motion'] = mirrored * np.array([-1, 1, 1], dtype=mirrored.dtype)
        return results


@TRANSFORMS.register_module()
class ReverseMotion(_RandomTransform):
    """The window backwards in time."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Reverse one sample, or not.

        Args:
            results: Of one window.
        """
        if self.drawn():
            results['motion'] = results['motion'][::-1].copy()
        return results


@TRANSFORMS.register_module()
class RotateMotion(BaseTransform):
    """A turn about the vertical, by an angle drawn evenly.

    Args:
        max_angle: Largest turn to either side, degrees; 180 for any direction.

    Raises:
        ValueError: If the angle is not from 0 to 180.
    """

    def __init__(self, max_angle: float = 180.0) -> None:
        if not 0 <= max_angle <= 180:
            raise ValueError(f'max_angle is {max_angle!r}, expected degrees from 0 to 180')
        self.max_angle = max_angle

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turn one sample.

        Args:
            results: Of one window.
        """
        motion = results['motion']
        angle = np.deg2rad(np.random.uniform(-self.max_angle, self.max_angle))  # noqa: NPY002
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=motion.dtype)
        results['motion'] = motion @ turn.T
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_angle={self.max_angle})'


@TRANSFORMS.register_module()
class PackForecastInputs(BaseTransform):
    """Split a window into what the model sees and what it is to forecast.

    Turns ``motion`` (num_frames + num_frames_out, J, 3) into ``observed`` and ``target`` tensors
    of (num_frames, J, 3) and (num_frames_out, J, 3), float32 millimetres; action, file and first
    frame go to ``meta``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample.

        Args:
            results: Of one window.
        """
        motion = torch.from_numpy(results['motion'])
        split = results['num_frames']
        meta = {key: results[key] for key in ('action', 'path', 'start')}
        return dict(observed=motion[:split], target=motion[split:], meta=meta)
