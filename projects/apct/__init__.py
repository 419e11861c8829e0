"""Part-level action parsing: model, data, score. Importing it registers the plugins."""

from .dataset import KineticsTPSDataset
from .decoder import APCTDecoder
from .detector import APCT
from .head import APCTHead
from .hooks import BackgroundCollapseHook
from .losses import PartStateFocalLoss
from .refinement import PartStateRefinement
from .transforms import LoadKineticsTPSFrame, LoadPartAnnotations, PackPartInputs
from .video_dataset import KineticsTPSVideoDataset
from .video_metric import KineticsTPSVideoMetric

__all__ = [
    'APCT',
    'APCTDecoder',
    'APCTHead',
    'BackgroundCollapseHook',
    'KineticsTPSDataset',
    'KineticsTPSVideoDataset',
    'KineticsTPSVideoMetric',
    'LoadKineticsTPSFrame',
    'LoadPartAnnotations',
    'PackPartInputs',
    'PartStateFocalLoss',
    'PartStateRefinement',
]
