"""Pose forecasting: models, data sets, metric and drawing. Importing it registers the plugins."""

from .array_dataset import ArrayForecastDataset
from .attention import STCAttention, STCTimeMap
from .autoregressive import STCFormerAutoregressive
from .convstgat import ConvSTGAT, GraphAttention
from .dataset import CMUForecastDataset, Human36MForecastDataset
from .dctformer import DCTFormer
from .inferencer import ForecastInferencer
from .losses import ForecastMPJPELoss
from .metric import ForecastMPJPE
from .mlp import MotionMLP
from .rollout import roll_out
from .stacformer import STACFormer
from .stcformer import STCFormer
from .sttformer import STABlock, STTFormer
from .transforms import MirrorMotion, PackForecastInputs, ReverseMotion, RotateMotion
from .visualizer import ForecastVisualizationHook

__all__ = [
    'ArrayForecastDataset',
    'CMUForecastDataset',
    'ConvSTGAT',
    'DCTFormer',
    'STCAttention',
    'ForecastInferencer',
    'ForecastMPJPE',
    'ForecastVisualizationHook',
    'Human36MForecastDataset',
    'ForecastMPJPELoss',
    'GraphAttention',
    'MotionMLP',
    'PackForecastInputs',
    'RotateMotion',
    'ReverseMotion',
    'MirrorMotion',
    'STABlock',
    'STACFormer',
    'STCFormer',
    'STCFormerAutoregressive',
    'STCTimeMap',
    'STTFormer',
    'roll_out',
]
