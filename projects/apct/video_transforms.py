"""A step of the classifier's pipeline that leaves of a clip what moves."""

import numpy as np
from mmaction.registry import TRANSFORMS
from mmcv.transforms import BaseTransform


@TRANSFORMS.register_module()
class SubtractMeanFrame(BaseTransform):
    """Takes the mean of its frames from every frame of a clip, so that what stands still is gone.

    A network that starts from nothing and sees few videos learns their backgrounds by heart. One
    that starts from pretrained weights needs the frames as they are.

    It takes and sets ``imgs``, frames (H, W, 3) clip by clip, from then on float32 around 0.
    """

    def transform(self, results: dict) -> dict:
        """Subtract.

        Args:
            results: Sample with ``imgs`` and ``clip_len``.
        """
        frames = np.stack(results['imgs']).astype(np.float32)  # (clips * T, H, W, 3)
        clips = frames.reshape(-1, results['clip_len'], *frames.shape[1:])  # (clips, T, H, W, 3)
        moving = clips - clips.mean(axis=1, keepdims=True)
        results['imgs'] = list(moving.reshape(frames.shape))
        return results
