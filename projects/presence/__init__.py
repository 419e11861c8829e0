"""2D pose with the presence of every keypoint. Importing it registers the plugins."""

from .bilinear_head import BilinearHeatmapHead
from .dataset import LSPDataset
from .head import KeypointPresenceHead
from .hooks import PresenceThresholdHook
from .inferencer import KeypointPresenceInferencer
from .losses import KeypointPresenceLoss
from .lsp_pck import LSPPCKAccuracy
from .metric import KeypointPresenceMetric
from .transforms import KeypointPresenceTarget
from .transpose import TransPoseEncoder
from .visualizer import KeypointPresenceVisualizationHook

__all__ = [
    'BilinearHeatmapHead',
    'KeypointPresenceHead',
    'KeypointPresenceInferencer',
    'KeypointPresenceLoss',
    'KeypointPresenceMetric',
    'KeypointPresenceTarget',
    'KeypointPresenceVisualizationHook',
    'LSPDataset',
    'LSPPCKAccuracy',
    'PresenceThresholdHook',
    'TransPoseEncoder',
]
