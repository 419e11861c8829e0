"""Part-level action parsing: model, data, score. Importing it registers the plugins."""

from .decoder import APCTDecoder
from .detector import APCT
from .head import APCTHead
from .hooks import BackgroundCollapseHook
from .losses import PartStateFocalLoss
from .refinement import PartStateRefinement

__all__ = [
    'APCT',
    'APCTDecoder',
    'APCTHead',
    'BackgroundCollapseHook',
    'PartStateFocalLoss',
    'PartStateRefinement',
]
