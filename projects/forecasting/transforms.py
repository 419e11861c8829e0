"""Transforms of motion windows."""

from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackForecastInputs(BaseTransform):
    """Split a window into what the model sees and what it is to forecast.

    Turns ``motion`` (num_frames + num_frames_out, J, 3) into ``observed`` and ``target`` tensors
    of (num_frames, J, 3) and (num_frames_out, J, 3), float32 millimetres; action, file and first
    frame go to ``meta``.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack one sample."""
        motion = torch.from_numpy(results['motion'])
        split = results['num_frames']
        meta = {key: results[key] for key in ('action', 'path', 'start')}
        return dict(observed=motion[:split], target=motion[split:], meta=meta)
