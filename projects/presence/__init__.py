"""2D pose with the presence of every keypoint. Importing it registers the plugins."""

from .bilinear_head import BilinearHeatmapHead
from .head import KeypointPresenceHead
from .losses import KeypointPresenceLoss
from .transforms import KeypointPresenceTarget

__all__ = [
    'BilinearHeatmapHead',
    'KeypointPresenceHead',
    'KeypointPresenceLoss',
    'KeypointPresenceTarget',
]
