"""Pose forecasting: models, data sets, metric and drawing. Importing it registers the plugins."""

from .attention import CrissCrossAttention, TimeMap
from .dataset import CMUForecastDataset, Human36MForecastDataset
from .inferencer import ForecastInferencer
from .losses import MPJPELoss
from .metric import ForecastMPJPE
from .stcformer import STCFormer
from .transforms import PackForecastInputs
from .visualizer import ForecastVisualizationHook

__all__ = [
    'CMUForecastDataset',
    'CrissCrossAttention',
    'ForecastInferencer',
    'ForecastMPJPE',
    'ForecastVisualizationHook',
    'Human36MForecastDataset',
    'MPJPELoss',
    'PackForecastInputs',
    'STCFormer',
    'TimeMap',
]
