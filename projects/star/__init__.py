"""Action recognition from video and skeleton. Importing it registers the plugins."""

from .attention import BAttn, FAttn, ZAttn
from .backbone import MC3
from .crop import CropPeople
from .head import STARHead
from .inferencer import STARInferencer
from .metric import ActionAccuracy
from .ntu import NTURGBDDataset
from .penn_action import PennActionDataset
from .pose_pickle import PosePickleDataset
from .timesformer_attention import STARAttentionWithNorm
from .transformer import STARLayer, STARTransformer
from .transforms import FlipPeople, FormatJoints, PerturbJoints, PickJoints, SampleSegments
from .visualizer import STARVisualizationHook

__all__ = [
    'ActionAccuracy',
    'BAttn',
    'CropPeople',
    'FAttn',
    'FlipPeople',
    'FormatJoints',
    'MC3',
    'NTURGBDDataset',
    'PennActionDataset',
    'PerturbJoints',
    'PickJoints',
    'PosePickleDataset',
    'STARAttentionWithNorm',
    'STARHead',
    'STARInferencer',
    'STARLayer',
    'STARTransformer',
    'STARVisualizationHook',
    'SampleSegments',
    'ZAttn',
]
