"""Repetitions out of joints alone: one number a frame for each exercise of Penn Action.

Penn Action marks 13 joints in every frame but neither repetitions nor salient poses. What is found
here stands in for an annotation; nobody has looked at each video and counted.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import find_peaks, savgol_filter

from projects.keypoints import LAYOUTS

PENN = LAYOUTS['penn']


class Exercise(NamedTuple):
    """How the repetitions of an action show in the heights of joints."""

    penn_name: str
    """What Penn Action calls it."""
    sign: int
    """1 if salient pose I is where the upper joints are highest, -1 if lowest."""
    heights: tuple[tuple[str, str], ...]
    """Pairs (upper, lower) of joints, the height of the one over the other being the signal. The
    first pair is taken of which a side is marked for each: far sides and what is outside of the
    picture never are."""


EXERCISES = {
    # the lowest point; II: standing
    'squat': Exercise('squat', -1, (('hip', 'ankle'), ('hip', 'knee'))),
    # chin over the bar; II: hanging
    'pull_up': Exercise('pullup', 1, (('shoulder', 'wrist'), ('head', 'wrist'))),
    # the lowest point; II: arms straight. Hands stay where they are, so do feet.
    'push_up': Exercise(
        'pushup', -1, (('shoulder', 'wrist'), ('shoulder', 'ankle'), ('shoulder', 'elbow'))
    ),
    # sitting; II: lying
    'situp': Exercise('situp', 1, (('shoulder', 'hip'), ('shoulder', 'knee'), ('head', 'hip'))),
    # arms up; II: arms down
    'jump_jack': Exercise('jumping_jacks', 1, (('wrist', 'shoulder'),)),
}
"""The exercises that both RepCount and Penn Action have, by RepCount's names."""

# Lengths in trunks (shoulder to hip), of an adult of average build.
_BONES = (
    *(('shoulder', 'hip', 1.0), ('shoulder', 'elbow', 0.58), ('elbow', 'wrist', 0.5)),
    *(('hip', 'knee', 0.85), ('knee', 'ankle', 0.85)),
)


class Repetitions(NamedTuple):
    """Where the R repetitions of a video are."""

    salient1: np.ndarray
    """(R,) frames of salient pose I, the extreme away from rest."""
    rest: np.ndarray
    """(R + 1,) frames of salient pose II: before, between and after them; (0,) if R is 0."""

    @property
    def bounds(self) -> np.ndarray:
        """(R, 2) first and last frame of each, from a rest to the next."""
        return np.stack([self.rest[:-1], self.rest[1:]], axis=1)

    @property
    def pairs(self) -> np.ndarray:
        """(R, 2) frames of salient pose I and of the rest after it, as in ``pose_train.csv``."""
        return np.stack([self.salient1, self.rest[1:]], axis=1)


def body_size(poses: np.ndarray) -> float:
    """Length of the trunk in a video, in pixels, by all bones that are marked.

    A bone that points at the camera looks shorter and none looks longer, so of the lengths that
    the bones suggest one near the top is taken.

    Args:
        poses: (T, 13, 2) pixels, NaN where a joint is not marked.

    Returns:
        Pixels, NaN if no bone is marked.
    """
    lengths = [
        np.linalg.norm(poses[:, _joint(side, a)] - poses[:, _joint(side, b)], axis=-1) / length
        for a, b, length in _BONES
        for side in ('left', 'right')
    ]  # 10 x (T,)
    lengths = [np.nanmedian(length) for length in lengths if np.isfinite(length).any()]
    return float(np.quantile(lengths, 0.8)) if lengths else np.nan


def exercise_signal(poses: np.ndarray, action: str) -> np.ndarray:
    """How far a person is from rest in each frame: greatest in salient pose I, least in II.

    It is the height in the picture of one joint over another (mean of the sides that are marked),
    or minus it, in lengths of the trunk.

    Args:
        poses: (T, 13, 2) pixels, NaN where a joint is not marked.
        action: One of ``EXERCISES``.

    Returns:
        (T,), without gaps.

    Raises:
        ValueError: If the joints for it are not marked, or the person has no size.
    """
    exercise = EXERCISES[action]
    size = body_size(poses)
    if not size > 0:
        raise ValueError('no bone is marked that has a length')
    for upper, lower in exercise.heights:
        height = _height(poses, upper) - _height(poses, lower)  # (T,)
        seen = np.flatnonzero(np.isfinite(height))
        if len(seen):
            frames = np.arange(len(height))
            return exercise.sign * np.interp(frames, seen, height[seen]) / size
    pairs = ', or '.join(' and '.join(pair) for pair in exercise.heights)
    raise ValueError(f'no frame in which {pairs} are marked')


def smooth_signal(signal: np.ndarray) -> np.ndarray:
    """A signal without single misplaced frames and without jitter.

    Args:
        signal: (T,).

    Returns:
        (T,).
    """
    # Nine frames are a third of the shortest repetitions, jumping jacks of 0.8 s, so that their
    # extremes stay; the median takes out one or two bad frames.
    signal = median_filter(signal, 5, mode='nearest')
    window = min(9, len(signal) - (len(signal) + 1) % 2)
    return savgol_filter(signal, window, polyorder=2) if window > 2 else signal


def find_repetitions(
    signal: np.ndarray, least_range: float = 0.2, prominence: float = 0.5
) -> Repetitions:
    """Extremes of a signal and the repetitions between them.

    Salient pose I is a peak that rises above what is around it, on both sides, by a share of the
    signal's whole range: a repetition at the edge of the clip counts only if the person comes from
    halfway to rest and gets back there. The rest is where the signal is least between two peaks,
    before the first and after the last.

    Args:
        signal: (T,) as :func:`smooth_signal` returns it.
        least_range: A signal with less between its extremes has no repetition, trunk lengths.
        prominence: Share of the range.

    Returns:
        The repetitions, possibly none.
    """
    extent = float(np.ptp(signal))
    nothing = np.zeros(0, dtype=np.int64)
    if extent < least_range:
        return Repetitions(nothing, nothing)
    peaks: list[int] = []
    for peak in find_peaks(signal, prominence=prominence * extent)[0].tolist():
        # of peaks exactly as high, as on a plateau, scipy gives each the prominence of all
        if not peaks or signal[peak] - signal[peaks[-1] : peak].min() >= prominence * extent:
            peaks.append(peak)
    if not peaks:
        return Repetitions(nothing, nothing)
    edges = [0, *peaks, len(signal)]
    rest = [
        start + int(np.argmin(signal[start:end]))
        for start, end in zip(edges[:-1], edges[1:], strict=True)
    ]
    return Repetitions(np.array(peaks, dtype=np.int64), np.array(rest, dtype=np.int64))


def _joint(side: str, name: str) -> int:
    return PENN.joint_names.index(f'{side}_{name}')


def _height(poses: np.ndarray, name: str) -> np.ndarray:
    """(T,) height of a joint in the picture, the mean of its marked sides, NaN if none is."""
    joints = [PENN.joint_names.index('head')] if name == 'head' else []
    joints = joints or [_joint(side, name) for side in ('left', 'right')]
    heights = -poses[:, joints, 1]  # (T, 1 or 2)
    seen = np.isfinite(heights)
    total = np.where(seen, heights, 0).sum(axis=1)
    return np.where(seen.any(axis=1), total / np.maximum(seen.sum(axis=1), 1), np.nan)
