"""How a count came about: what the thresholds saw and when the triggers fired, to be drawn."""

from dataclasses import dataclass

import numpy as np

from projects.poserac.counting import (
    FIRST_SCORE,
    count_repetitions,
    filter_scores,
    fired_triggers,
    trigger_zones,
)


@dataclass(frozen=True)
class CountTrace:
    """How the repetitions of one class were counted.

    Args:
        scores: (T,) score of salient pose I, in [0, 1], NaN where the pose is missing.
        smoothed: (T,) what the thresholds are compared with; where the pose is missing, the last.
        missing: (T,) True = no pose.
        fired_1: Frames at which the trigger of salient pose I fired.
        fired_2: Frames at which that of salient pose II fired.
        counted: Frames at which a repetition was counted.
        enter_threshold: What arms a trigger.
        exit_threshold: What it fires below.
    """

    scores: np.ndarray
    smoothed: np.ndarray
    missing: np.ndarray
    fired_1: np.ndarray
    fired_2: np.ndarray
    counted: np.ndarray
    enter_threshold: float
    exit_threshold: float


def count_trace(
    scores: np.ndarray,
    enter_threshold: float = 0.78,
    exit_threshold: float = 0.4,
    momentum: float = 0.4,
) -> CountTrace:
    """Follow the count of one class.

    Args:
        scores: (T,) score of salient pose I, NaN where the pose is missing.
        enter_threshold: See :func:`projects.poserac.counting.count_repetitions`.
        exit_threshold: See :func:`projects.poserac.counting.count_repetitions`.
        momentum: See :func:`projects.poserac.counting.count_repetitions`.

    Raises:
        ValueError: If the scores are not (T,).
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1:
        raise ValueError(f'scores have shape {scores.shape}, expected (T,) of one class')
    thresholds = dict(enter_threshold=enter_threshold, exit_threshold=exit_threshold)
    _, frames = count_repetitions(
        scores[:, None], momentum=momentum, return_frames=True, **thresholds
    )
    missing = np.isnan(scores)
    seen = np.flatnonzero(~missing)
    values = filter_scores(scores[seen, None], momentum)  # (1, T'), of the frames seen
    fired = [seen[places] for places in fired_triggers(trigger_zones(values, **thresholds))]
    so_far = np.cumsum(~missing)  # (T,) frames seen
    smoothed = np.append(FIRST_SCORE, values)[so_far]
    return CountTrace(scores, smoothed, missing, *fired, counted=frames[0], **thresholds)
