"""Pose forecasting: models, data sets, metric and drawing. Importing it registers the plugins."""

from .array_dataset import ArrayForecastDataset
from .attention import STCAttention, STCTimeMap
from .dataset import CMUForecastDataset, Human36MForecastDataset
from .inferencer import ForecastInferencer
from .losses import ForecastMPJPELoss
from .metric import ForecastMPJPE
from .rollout import roll_out
from .stcformer import STCFormer
from .transforms import PackForecastInputs
from .visualizer import ForecastVisualizationHook

__all__ = [
    'ArrayForecastDataset',
    'CMUForecastDataset',
    'STCAttention',
    'ForecastInferencer',
    'ForecastMPJPE',
    'ForecastVisualizationHook',
    'Human36MForecastDataset',
    'ForecastMPJPELoss',
    'PackForecastInputs',
    'STCFormer',
    'STCTimeMap',
    'roll_out',
]
