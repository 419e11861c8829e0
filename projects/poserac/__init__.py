"""Repetition counting from poses: model, data, counting, scores. Importing it registers plugins."""

from .counting import ClassVote, RepetitionCounter, count_repetitions, predict_class
from .dataset import RepCountDataset, SalientPoseDataset, poserac_collate
from .inferencer import PoseRACInferencer
from .losses import PoseRACMetricLoss
from .metric import PoseRACMetric
from .model import PoseRAC
from .salient_metric import SalientPoseMetric
from .streaming import PersonCount, PoseRACStream
from .transforms import FlipPoses, JitterPoses, NormalizePoses, PackPoses, RotatePoses
from .visualizer import PoseRACVisualizationHook

__all__ = [
    'ClassVote',
    'FlipPoses',
    'JitterPoses',
    'NormalizePoses',
    'PackPoses',
    'PersonCount',
    'PoseRAC',
    'PoseRACInferencer',
    'PoseRACMetric',
    'PoseRACMetricLoss',
    'PoseRACStream',
    'PoseRACVisualizationHook',
    'RepCountDataset',
    'RepetitionCounter',
    'RotatePoses',
    'SalientPoseDataset',
    'SalientPoseMetric',
    'count_repetitions',
    'poserac_collate',
    'predict_class',
]
