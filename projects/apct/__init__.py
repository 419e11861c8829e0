"""Part-level action parsing: model, data, score. Importing it registers the plugins."""

from .dataset import KineticsTPSDataset
from .decoder import APCTDecoder
from .detector import APCT
from .head import APCTHead
from .hooks import BackgroundCollapseHook
from .inferencer import PartParsingInferencer
from .losses import PartStateFocalLoss
from .metric import KineticsTPSMetric
from .refinement import PartStateRefinement
from .transforms import LoadKineticsTPSFrame, LoadPartAnnotations, PackPartInputs
from .video_dataset import KineticsTPSVideoDataset
from .video_head import FloatI3DHead
from .video_metric import KineticsTPSVideoMetric
from .video_transforms import SubtractMeanFrame
from .visualizer import PartParsingVisualizationHook

__all__ = [
    'APCT',
    'APCTDecoder',
    'APCTHead',
    'BackgroundCollapseHook',
    'FloatI3DHead',
    'KineticsTPSDataset',
    'KineticsTPSMetric',
    'KineticsTPSVideoDataset',
    'KineticsTPSVideoMetric',
    'LoadKineticsTPSFrame',
    'LoadPartAnnotations',
    'PackPartInputs',
    'PartParsingInferencer',
    'PartParsingVisualizationHook',
    'PartStateFocalLoss',
    'PartStateRefinement',
    'SubtractMeanFrame',
]
